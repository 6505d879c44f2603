// What the search of the form would look at: cameras, crops, and the times in which its conditions hold.

import { ApiError, send } from "./api.js";
import { day, number, offsetOf, seconds, shortClock, span } from "./format.js";
import { gettext, interpolate, listed, ngettext } from "./i18n.js";
import { byId, element, show } from "./page.js";
import { asked } from "./query.js";
import { set, watch } from "./store.js";
import { keep } from "./units.js";

const WAIT_MS = 300;
const WIDTH = 268;
const HEIGHT = 14;
const LISTED = 3;

let timer = null;
let latest = 0;

/** Ask the server again, once the form has been left alone for a moment. */
function ask() {
  clearTimeout(timer);
  timer = setTimeout(() => load().catch(failed), WAIT_MS);
}

async function load() {
  const wanted = asked();
  const own = (latest += 1);
  if (!wanted) return tell(null);
  const found = await send("searches/preview/", wanted);
  if (own !== latest) return undefined;
  if (wanted.area) await keep(found.unit.id);
  complain({});
  return tell(found);
}

function failed(error) {
  if (!(error instanceof ApiError)) throw error;
  tell(null);
  complain(error.fields ?? {});
}

function complain(fields) {
  for (const [name, id] of [["area", "unit-error"], ["conditions", "conditions-error"]]) {
    const text = [fields[name] ?? ""].flat().join(" ");
    byId(id).textContent = text;
    show(byId(id), Boolean(text));
  }
}

function tell(found) {
  set("scope", found);
  byId("scope-note").textContent = found ? scopeText(found) : "";
  const box = byId("windows");
  show(box, Boolean(found?.windows));
  if (found?.windows) box.replaceChildren(...drawing(found));
}

function scopeText(found) {
  const cameras = interpolate(ngettext("%(n)s camera", "%(n)s cameras", found.cameras), { n: number(found.cameras) });
  const crops = interpolate(ngettext("%(n)s crop", "%(n)s crops", found.crops), { n: number(found.crops) });
  if (!found.windows) return listed(cameras, crops);
  const left = interpolate(gettext("%(left)s of %(all)s crops in these times"), { left: number(found.crops_left), all: number(found.crops) });
  return listed(cameras, left);
}

/** The windows as a strip and in words. */
function drawing(found) {
  const closed = found.windows.filter((window) => window.from && window.to);
  const total = closed.reduce((sum, window) => sum + seconds(window.to) - seconds(window.from), 0);
  const head = found.windows_total === 0 ? gettext("At no time. Loosen a condition.") : interpolate(ngettext("%(n)s time window", "%(n)s time windows", found.windows_total), { n: found.windows_total });
  const long = total ? listed(head, span(total)) : head;
  const pieces = [element("p", { class: "note", text: long })];
  if (closed.length) pieces.push(strip(closed));
  if (found.windows_total) pieces.push(element("ul", { class: "window-list note" }, ...lines(found)));
  return pieces;
}

function strip(windows) {
  const [from, to] = [seconds(windows[0].from), seconds(windows.at(-1).to)];
  const x = (time) => ((time - from) / Math.max(1, to - from)) * WIDTH;
  const name = (tag, values) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
    return made;
  };
  const svg = name("svg", { class: "window-strip", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  svg.append(name("rect", { class: "ground", width: WIDTH, height: HEIGHT, rx: 2 }));
  for (const window of windows) svg.append(name("rect", { class: "window", x: x(seconds(window.from)), width: Math.max(1.5, x(seconds(window.to)) - x(seconds(window.from))), height: HEIGHT }));
  return svg;
}

function lines(found) {
  const shown = found.windows.slice(0, LISTED).map((window) => element("li", { text: windowText(window) }));
  const more = found.windows_total - shown.length;
  return more > 0 ? [...shown, element("li", { text: interpolate(gettext("and %(n)s more"), { n: number(more) }) })] : shown;
}

function windowText({ from, to }) {
  const moment = (iso) => (iso ? `${day(seconds(iso), offsetOf(iso)).slice(5)} ${shortClock(seconds(iso), offsetOf(iso))}` : gettext("any time"));
  return `${moment(from)} – ${moment(to)}`;
}

export function start() {
  byId("query").addEventListener("input", (event) => event.target.closest("#block-period") && ask());
  byId("query").addEventListener("scope", ask);
  watch(["unit", "area"], ask);
}
