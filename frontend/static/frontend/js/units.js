// The unit tree and the chosen unit. The map chooses through `choose` too, so that both always agree.

import { read } from "./api.js";
import { gettext, interpolate } from "./i18n.js";
import { app, byId, element, icon, show } from "./page.js";
import { place } from "./format.js";
import { get, set, watch } from "./store.js";

const known = new Map();
const tree = byId("tree");

/** The unit with its ancestors, from the server the first time. */
export async function unit(id) {
  const key = Number(id);
  if (!known.has(key)) known.set(key, await read(`units/${key}/`));
  return known.get(key);
}

/** Make a unit the one to be searched, instead of a drawn area; null for none. */
export async function choose(id) {
  const found = id ? await unit(id) : null;
  byId("unit").value = found ? found.id : "";
  if (get("area")) set("area", null);
  set("unit", found);
}

/** Show the unit that a drawn area lies in; the area stays the one to be searched. */
export async function keep(id) {
  const found = await unit(id);
  if (get("area") && get("unit")?.id !== found.id) set("unit", found);
  else tell(get("unit"));
}

const rows = () => [...tree.querySelectorAll(".node")].filter((node) => node.offsetParent !== null);
const allowed = (node) => node.getAttribute("aria-disabled") !== "true";

function open(node, opened) {
  if (!node.hasAttribute("aria-expanded")) return;
  node.setAttribute("aria-expanded", String(opened));
  const branch = node.querySelector(":scope > .branch");
  show(branch, opened);
  if (opened && !branch.childElementCount) load(node.querySelector(".twist"));
}

/** A row that has only just come is not htmx's own yet, and its click would load nothing. */
function load(twist) {
  window.htmx.process(twist);
  window.htmx.trigger(twist, "click");
}

const isOpen = (node) => node.getAttribute("aria-expanded") === "true";

function onClick(event) {
  const node = event.target.closest(".node");
  if (!node) return;
  if (event.target.closest(".twist")) {
    // htmx's own click on the twist loads the branch; a second one by script must not close it again.
    if (event.isTrusted) toggle(node);
  } else if (allowed(node)) {
    choose(node.dataset.unit);
    open(node, true);
  }
}

function toggle(node) {
  const opened = !isOpen(node);
  node.setAttribute("aria-expanded", String(opened));
  show(node.querySelector(":scope > .branch"), opened);
}

function onKey(event) {
  const node = event.target.closest(".node");
  if (!node) return;
  const visible = rows();
  const at = visible.indexOf(node);
  const moves = {
    ArrowDown: () => focus(visible[at + 1]),
    ArrowUp: () => focus(visible[at - 1]),
    Home: () => focus(visible[0]),
    End: () => focus(visible.at(-1)),
    ArrowRight: () => (isOpen(node) ? focus(visible[at + 1]) : open(node, true)),
    ArrowLeft: () => (isOpen(node) ? open(node, false) : focus(node.parentElement.closest(".node"))),
    Enter: () => allowed(node) && choose(node.dataset.unit),
    " ": () => allowed(node) && choose(node.dataset.unit),
  };
  if (!moves[event.key]) return;
  event.preventDefault();
  event.stopPropagation();
  moves[event.key]();
}

function focus(node) {
  if (!node) return;
  for (const other of tree.querySelectorAll(".node[tabindex='0']")) other.tabIndex = -1;
  node.tabIndex = 0;
  node.focus();
}

/** The chosen unit is marked; with none, the first one can be reached by Tab. */
function mark() {
  const id = String(get("unit")?.id ?? "");
  const nodes = [...tree.querySelectorAll(".node")];
  for (const node of nodes) {
    node.setAttribute("aria-selected", String(node.dataset.unit === id && !get("area")));
    node.tabIndex = -1;
  }
  const first = nodes.find((node) => node.dataset.unit === id) ?? nodes[0];
  if (first) first.tabIndex = 0;
}

/** Branches on the way to the chosen unit are opened, where they are loaded already. */
function reveal() {
  const id = get("unit")?.id;
  const node = id && tree.querySelector(`.node[data-unit="${id}"]`);
  if (!node) return openTowards();
  for (let above = node.parentElement.closest(".node"); above; above = above.parentElement.closest(".node")) toggleOpen(above);
  const row = node.querySelector(".node-row");
  const box = tree.getBoundingClientRect();
  const place = row.getBoundingClientRect();
  if (place.top < box.top || place.bottom > box.bottom) tree.scrollTop += place.top - box.top - box.height / 3;
  return undefined;
}

function openTowards() {
  const path = get("unit")?.ancestors ?? [];
  const nodes = path.map((above) => tree.querySelector(`.node[data-unit="${above.id}"]`)).filter(Boolean);
  const last = nodes.at(-1);
  if (last && !last.querySelector(":scope > .branch")?.childElementCount) open(last, true);
}

function toggleOpen(node) {
  if (!isOpen(node)) toggle(node);
}

function tell(found) {
  const box = byId("chosen-unit");
  box.classList.toggle("set", Boolean(found));
  if (get("area")) return box.replaceChildren(...tellArea(found));
  if (!found) return box.replaceChildren(element("span", { class: "note", text: gettext("Choose a unit below, or click it on the map.") }));
  const above = found.ancestors.map((unit) => place(unit.name)).join(" / ");
  box.replaceChildren(element("b", { text: place(found.name), title: found.name }), element("small", { text: [found.level_name, above].filter(Boolean).join(" · ") }));
  show(byId("unit-error"), false);
  return undefined;
}

function tellArea(found) {
  byId("chosen-unit").classList.add("set");
  const clear = element("button", { type: "button", class: "quiet small", "data-area": "clear", title: gettext("Remove the area") }, icon("cross"), element("span", { class: "visually-hidden", text: gettext("Remove the area") }));
  const where = found ? interpolate(gettext("in %(unit)s"), { unit: place(found.name) }) : "";
  return [element("span", { class: "row" }, element("b", { text: gettext("Drawn area") }), clear), element("small", { text: where })];
}

/** The unit that the page was opened with: its search's, or that of its address. It is chosen a moment later. */
export const given = () => byId("unit").value || new URLSearchParams(location.search).get("unit");

export function start() {
  tree.addEventListener("click", onClick);
  tree.addEventListener("keydown", onKey);
  tree.addEventListener("htmx:afterSettle", () => {
    mark();
    reveal();
  });
  watch("unit", (found) => {
    tell(found);
    mark();
    reveal();
  });
  watch("area", () => tell(get("unit")));
  mark();
  const id = given();
  if (id && JSON.parse(byId("area-given").textContent)) unit(id).then((found) => set("unit", found)).catch(() => set("unit", null));
  else if (id) choose(id).catch(() => choose(null));
  else if (app.dataset.state === "empty") chooseOnly();
}

/** Who has rights in one place only need not choose it. */
function chooseOnly() {
  const nodes = [...tree.querySelectorAll(":scope > .node")].filter(allowed);
  if (nodes.length === 1 && !nodes[0].hasAttribute("aria-expanded")) choose(nodes[0].dataset.unit);
}
