// Evidence: hits that are kept for the case, shared by all who work on the search; printed and exported.

import { file, read, remove, send } from "./api.js";
import * as approval from "./approval.js";
import { cropOf } from "./crops.js";
import { fullTime, place } from "./format.js";
import { gettext, interpolate, ngettext } from "./i18n.js";
import { announce, app, byId, complain, cropUrl, element, icon, show } from "./page.js";
import { get, set, watch } from "./store.js";

const dialog = byId("evidence");
let turn = Promise.resolve();

const crops = () => new Set(get("evidence").map((row) => row.crop));

/** Whether any crop of the hit's sighting is kept. */
export const isKept = (hit) => hit.burst.some((crop) => crops().has(crop));

/** Keep the crop that is looked at, or, where the sighting is kept, keep it no longer. */
export function toggleKept(hit) {
  if (!hit) return announce(gettext("Choose a hit first: J takes the next one."));
  turn = turn.then(() => (isKept(hit) ? drop(hit.burst) : keep(cropOf(hit)))).catch((error) => complain(error.message));
  return turn;
}

async function keep(crop) {
  set("evidence", await send(`searches/${get("search")}/evidence/`, { crop }));
  announce(gettext("Added to the evidence."));
}

async function drop(burst) {
  const kept = burst.filter((crop) => crops().has(crop));
  await Promise.all(kept.map((crop) => remove(`searches/${get("search")}/evidence/${crop}/`)));
  set("evidence", get("evidence").filter((row) => !kept.includes(row.crop)));
  announce(gettext("Taken from the evidence."));
}

/** What colleagues have added since is read whenever hits are. */
async function load() {
  const id = get("search");
  const rows = id ? await read(`searches/${id}/evidence/`).catch(() => get("evidence")) : [];
  if (id === get("search")) set("evidence", rows);
}

/** Added hits, and the confirmed ones, which are evidence by themselves. */
function pieces() {
  const added = get("evidence").map((row) => ({ ...row, hit: get("hits").find((hit) => hit.burst.includes(row.crop)) }));
  const confirmed = get("hits").filter((hit) => hit.verdict === "confirmed" && !isKept(hit));
  return [...added, ...confirmed.map((hit) => ({ crop: hit.crop, hit }))];
}

function render() {
  const found = pieces();
  byId("evidence-count").textContent = found.length ? String(found.length) : "";
  byId("evidence-open").title = interpolate(ngettext("%(n)s piece of evidence", "%(n)s pieces of evidence", found.length), { n: found.length });
  if (!dialog.open) return;
  byId("evidence-list").replaceChildren(...found.map(line));
  show(byId("evidence-none"), !found.length);
  byId("evidence-export").disabled = !found.length || get("approval")?.state === "asked";
  byId("evidence-export").textContent = approval.isFree() ? gettext("Export as a ZIP") : gettext("Ask for the export");
  byId("evidence-print").toggleAttribute("aria-disabled", !found.length);
  byId("evidence-print").href = `${app.dataset.pageUrl}${get("search")}/evidence`;
}

function line({ crop, user, hit }) {
  const by = user ? interpolate(gettext("added by %(user)s"), { user }) : gettext("confirmed");
  const words = element("div", {}, element("b", { text: hit ? place(hit.camera.name) : interpolate(gettext("Crop %(id)s"), { id: crop }) }), element("span", { text: hit ? fullTime(hit.time) : "" }), element("span", { class: "note", text: by }));
  const row = element("li", {}, element("img", { src: cropUrl(crop), alt: "", width: 36, height: 72 }), words);
  if (!user) return row;
  const button = element("button", { type: "button", class: "quiet small", title: gettext("Take out"), "aria-label": interpolate(gettext("Take out: crop %(id)s"), { id: crop }) }, icon("cross"));
  button.addEventListener("click", () => {
    turn = turn.then(() => drop([crop])).catch((error) => complain(error.message));
  });
  row.append(button);
  return row;
}

function open() {
  dialog.showModal();
  fault("");
  render();
  load();
}

function fault(text) {
  byId("evidence-error").textContent = text;
  show(byId("evidence-error"), Boolean(text));
}

async function save() {
  fault("");
  const button = byId("evidence-export");
  button.disabled = true;
  try {
    const made = await file(`searches/${get("search")}/export/`);
    await approval.load();
    if (!made) return announce(gettext("The export is asked for. A supervisor of the unit has to approve it."));
    const url = URL.createObjectURL(made);
    element("a", { href: url, download: `evidence-${get("search").slice(0, 8)}.zip` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    announce(gettext("The package was made. It is signed, and the log names it."));
  } catch (error) {
    fault(error.message);
  } finally {
    button.disabled = false;
    render();
  }
}

export function start() {
  byId("evidence-open").addEventListener("click", open);
  byId("evidence-export").addEventListener("click", save);
  let known = null;
  watch("hits", (hits) => {
    render();
    if (hits !== known) load();
    known = hits;
  });
  watch(["evidence", "approval"], render);
}
