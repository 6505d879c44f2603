// The path in words: every stop, every leg, and who could have seen the person in between but did not.

import { read } from "./api.js";
import { colour } from "./basemap.js";
import { distance, fullTime, place, seenBy, span, speed, sureness } from "./format.js";
import { gettext, interpolate, ngettext } from "./i18n.js";
import { map } from "./map.js";
import { app, byId, element, icon, narrow, show } from "./page.js";
import { goTo } from "./path.js";
import { get, set, watch } from "./store.js";

const L = window.L;
const panel = byId("itinerary");
const toggle = byId("itinerary-toggle");
const unseen = L.layerGroup();
let gaps = [];
// The path whose gaps are here, or asked for.
let known = null;

export function openPanel(opened = panel.hidden) {
  if (opened && narrow.matches) app.dataset.view = "map";
  show(panel, opened);
  toggle.setAttribute("aria-expanded", String(opened));
  if (!opened) set("gap", null);
  return opened ? load() : undefined;
}

/** A new path has other gaps. */
function renew(path) {
  [known, gaps] = [null, []];
  set("gaps", gaps);
  set("gap", null);
  if (!path?.stops.length) return openPanel(false);
  draw();
  return panel.hidden ? undefined : load();
}

/** Gaps are asked for when somebody looks: in this panel, or while the path is played. */
async function load() {
  const path = get("path");
  if (!path?.stops.length || known === path) return;
  known = path;
  try {
    const found = await read(`searches/${get("search")}/gaps/`);
    if (path !== get("path")) return;
    gaps = found;
    set("gaps", found);
    draw();
  } catch {
    known = null;
  }
}

function draw() {
  const path = get("path");
  if (!path) return;
  const rows = path.stops.flatMap((stop, index) => (index ? [legRow(path.legs[index - 1], index - 1), stopRow(stop, index)] : [stopRow(stop, index)]));
  byId("itinerary-list").replaceChildren(...rows);
  mark();
}

function stopRow(stop, index) {
  const number = element("span", { class: `stop-badge ${stop.style}`, text: stop.number });
  const words = element("span", { class: "stop-words" }, element("b", { text: seenBy(stop), title: stop.camera?.name }), element("small", { text: `${fullTime(stop.start)} · ${sureness(stop)}` }));
  const button = element("button", { type: "button", class: "stop-row" }, number, words);
  button.addEventListener("click", () => goTo(index));
  return element("li", { "data-stop-row": index }, button);
}

function legRow(leg, index) {
  const facts = interpolate(gettext("%(distance)s in %(time)s, at least %(speed)s, %(sure)s"), { distance: distance(leg.distance_m), time: span(leg.seconds), speed: speed(leg.speed_kmh), sure: sureness(leg) });
  const row = element("li", { class: `leg-row ${leg.style}`, "data-leg-row": index }, element("span", { text: facts }));
  const gap = gaps[index];
  if (gap?.passable) row.append(gapButton(gap, index), cameraList(gap));
  return row;
}

function gapButton(gap, index) {
  const button = element("button", { type: "button", class: "quiet small gap-button", "aria-expanded": "false" }, icon("camera"), gapText(gap));
  button.addEventListener("click", () => set("gap", get("gap") === index ? null : index));
  return button;
}

/** How many cameras were looked at between two stops, in vain. */
export function gapText(gap) {
  const values = { n: gap.on_way || gap.passable };
  if (gap.on_way) return interpolate(ngettext("%(n)s camera on the way, searched without a hit", "%(n)s cameras on the way, searched without a hit", values.n), values);
  return interpolate(ngettext("%(n)s camera could have been passed, searched without a hit", "%(n)s cameras could have been passed, searched without a hit", values.n), values);
}

function cameraList(gap) {
  const rows = gap.cameras.map((camera) => element("li", { title: camera.name }, element("span", { text: place(camera.name) }), element("small", { class: "note", text: detourText(camera) })));
  const more = gap.passable - rows.length;
  if (more > 0) rows.push(element("li", { class: "note", text: interpolate(gettext("and %(n)s more that there was time for"), { n: more }) }));
  return element("ul", { class: "gap-cameras", hidden: "" }, ...rows);
}

const detourText = (camera) => (camera.on_way ? gettext("on the way") : interpolate(gettext("%(distance)s round"), { distance: distance(camera.detour_m) }));

/** The gap in hand: its list opened, its cameras ringed on the map. */
function mark() {
  unseen.clearLayers();
  const chosen = get("gap");
  for (const row of panel.querySelectorAll("[data-leg-row]")) {
    const own = Number(row.dataset.legRow) === chosen;
    row.querySelector(".gap-button")?.setAttribute("aria-expanded", String(own));
    const cameras = row.querySelector(".gap-cameras");
    if (cameras) show(cameras, own);
  }
  for (const camera of gaps[chosen]?.cameras ?? []) unseen.addLayer(ring(camera));
  for (const row of panel.querySelectorAll("[data-stop-row]")) row.toggleAttribute("aria-current", Number(row.dataset.stopRow) === get("here"));
}

function ring(camera) {
  const text = `${place(camera.name)} · ${gettext("searched without a hit")} · ${detourText(camera)}`;
  const ink = colour("--path");
  return L.circleMarker([camera.latitude, camera.longitude], { pane: "path", radius: 10, color: ink, weight: camera.on_way ? 2.5 : 1.5, dashArray: camera.on_way ? null : "3 3", fillColor: ink, fillOpacity: 0.12 }).bindTooltip(text, { direction: "top", opacity: 1 });
}

/** A leg was clicked on the map: its line in the list. */
export async function showLeg(index) {
  await openPanel(true);
  set("gap", gaps[index]?.passable ? index : null);
  panel.querySelector(`[data-leg-row="${index}"]`)?.scrollIntoView({ block: "center" });
}

export function start() {
  unseen.addTo(map);
  toggle.addEventListener("click", () => openPanel());
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    openPanel(false);
    toggle.focus();
  });
  byId("itinerary-close").addEventListener("click", () => {
    openPanel(false);
    toggle.focus();
  });
  map.on("leg", (event) => showLeg(event.index));
  watch("path", renew);
  watch("here", (here) => here !== null && load());
  watch(["gap", "here"], mark);
}
