// The path: numbered stops, legs by confidence, and a playback that jumps from stop to stop.

import { colour } from "./basemap.js";
import { clock, day, distance, fullTime, odds, offsetOf, seconds, seenBy, span, speed, sureness } from "./format.js";
import { gettext, interpolate, listed, ngettext } from "./i18n.js";
import { keyOf, select } from "./hits.js";
import { fit, map, resize } from "./map.js";
import { announce, app, byId, calm, element, narrow, show } from "./page.js";
import { get, set, watch } from "./store.js";

const L = window.L;
const DASHES = { solid: null, dashed: "9 7", dotted: "1 7" };
const STEP_MS = 1700;
const ARC_ZOOM = 18;
const ARC_BOW = 0.14;
const ARC_STEPS = 20;
const NEAR_PIXELS = 22;

const legs = L.layerGroup();
const stops = L.layerGroup();
const markers = new Map();
// The lines of each leg, to bring one forward while the path is played.
let lines = [];
let timer = null;
let drawn = "";

const list = () => get("path")?.stops ?? [];
const legTo = (index) => get("path")?.legs[index - 1];
export const hitOfStop = (stop) => get("hits").find((hit) => hit.sighting === stop.sighting);
const placeOf = (stop) => L.latLng(stop.coordinates[1], stop.coordinates[0]);

function draw(path) {
  const shape = JSON.stringify(path);
  if (shape === drawn) return;
  const first = !markers.size;
  drawn = shape;
  pause();
  for (const layer of [legs, stops]) layer.clearLayers();
  markers.clear();
  lines = [];
  set("here", null);
  show(byId("player"), list().length > 0);
  show(byId("fit-path"), list().length > 0);
  conflicts(path?.conflicts ?? []);
  resize();
  if (!list().length) return;
  path.legs.forEach((leg, index) => drawLeg(leg, index, path.stops));
  drawStops(path.stops);
  tell();
  // After a verdict the eyes stay where they are, unless the path has left the window.
  if (first || !map.getBounds().contains(bare())) fit(pathBounds());
}

const bare = () => L.latLngBounds(list().map(placeOf));
const pathBounds = () => bare().pad(0.12);

/** An arc from stop to stop says how sure the order is; the way along the streets is only a thin, dotted guess. */
function drawLeg(leg, index, all) {
  const [from, to] = [all[index], all[index + 1]];
  const [ink, ground, wayColour] = [colour("--path"), colour("--map-halo"), colour("--way")];
  const way = leg.coordinates.map(([lon, lat]) => [lat, lon]);
  const ends = arc(placeOf(from), placeOf(to));
  const drawing = [];
  if (leg.inferred) drawing.push(L.polyline(way, { pane: "path", color: wayColour, weight: 2.5, dashArray: "1 6", interactive: false }));
  drawing.push(L.polyline(ends, { pane: "path", color: ground, weight: 7, interactive: false }));
  const line = L.polyline(ends, { pane: "path", color: ink, weight: 3.5, dashArray: DASHES[leg.style] });
  line.on("click", () => map.fire("leg", { index }));
  drawing.push(line.bindTooltip(legText(leg), { sticky: true, opacity: 1 }));
  drawing.forEach((layer) => legs.addLayer(layer));
  lines.push(drawing);
  dim();
}

/** A bow between two places, always to the right of the way: nobody takes it for a street, and there and back differ. */
function arc(from, to) {
  const [start, end] = [map.project(from, ARC_ZOOM), map.project(to, ARC_ZOOM)];
  const across = L.point(start.y - end.y, end.x - start.x).multiplyBy(ARC_BOW);
  const top = start.add(end).divideBy(2).add(across);
  return Array.from({ length: ARC_STEPS + 1 }, (_, step) => {
    const share = step / ARC_STEPS;
    const bent = start.multiplyBy((1 - share) ** 2).add(top.multiplyBy(2 * share * (1 - share))).add(end.multiplyBy(share ** 2));
    return map.unproject(bent, ARC_ZOOM);
  });
}

/** While the path is played, the leg that leads to the stop stands out; else all of them are alike. */
function dim() {
  const here = get("here");
  lines.forEach((drawing, index) => {
    const opacity = here === null ? 0.9 : index === here - 1 ? 1 : 0.16;
    drawing.forEach((layer) => layer.setStyle({ opacity }));
    if (index === here - 1) drawing.forEach((layer) => layer.bringToFront());
  });
}

function legText(leg) {
  const values = { from: leg.from, to: leg.to, distance: distance(leg.distance_m), time: span(leg.seconds), speed: speed(leg.speed_kmh), words: odds(leg.confidence) };
  return interpolate(gettext("%(distance)s in %(time)s, %(speed)s, confidence %(words)s"), values);
}

/** One marker for all stops that would lie over one another, as they do where a camera was passed twice. */
function drawStops(all) {
  stops.clearLayers();
  markers.clear();
  for (const together of groupsOf(all)) {
    const numbers = together.slice(0, 3).map((stop) => stop.number).join(" · ") + (together.length > 3 ? " …" : "");
    const best = together.reduce((one, other) => (other.confidence > one.confidence ? other : one));
    const title = together.map(stopText).join("\n");
    const icon = L.divIcon({ className: `stop-marker ${best.style}${together.length > 1 ? " wide" : ""}`, html: element("span", { text: numbers }), iconSize: [0, 0] });
    const marker = L.marker(placeOf(best), { icon, title, alt: title, pane: "stops", riseOnHover: true });
    marker.on("click", () => goTo(all.indexOf(together[0])));
    for (const stop of together) markers.set(stop.number, marker);
    stops.addLayer(marker);
  }
  ring();
}

/** The stops by place on the screen, at the zoom of the map. */
function groupsOf(all) {
  const groups = [];
  for (const stop of all) {
    const at = map.project(placeOf(stop));
    const near = groups.find((group) => group.at.distanceTo(at) < NEAR_PIXELS);
    if (near) near.stops.push(stop);
    else groups.push({ at, stops: [stop] });
  }
  return groups.map((group) => group.stops);
}

/** Ring the stop that is being played. */
function ring() {
  for (const marker of new Set(markers.values())) marker.getElement()?.classList.remove("here");
  markers.get(list()[get("here")]?.number)?.getElement()?.classList.add("here");
}

function stopText(stop) {
  const values = { n: stop.number, time: timeOf(stop), camera: seenBy(stop), sure: sureness(stop) };
  return interpolate(gettext("%(n)s: %(time)s, %(camera)s, %(sure)s"), values);
}

const timeOf = (stop) => {
  const offset = offsetOf(stop.start);
  return `${day(seconds(stop.start), offset)} ${clock(seconds(stop.start), offset)}`;
};

/** Two confirmed sightings that cannot both be true are said, not dropped. */
function conflicts(found) {
  const box = byId("conflicts");
  show(box, found.length > 0);
  const name = (end) => `${seenBy(end)} (${fullTime(end.start)})`;
  const lines = found.map((conflict) => {
    const values = { first: name(conflict.first), second: name(conflict.second), distance: distance(conflict.distance_m ?? 0), time: span(conflict.seconds ?? 0) };
    return element("li", { text: interpolate(gettext("Both are confirmed, but exclude each other: %(first)s and %(second)s, %(distance)s apart within %(time)s."), values) });
  });
  box.replaceChildren(element("ul", {}, ...lines));
}

// Playback.

function tell() {
  const [all, index] = [list(), get("here")];
  const note = byId("player-note");
  if (index === null) {
    const total = get("path").legs.reduce((sum, leg) => sum + (leg.distance_m ?? 0), 0);
    const values = { n: all.length, distance: distance(total), time: span(seconds(all.at(-1).end ?? all.at(-1).start) - seconds(all[0].start)) };
    note.textContent = interpolate(gettext("%(n)s stops, %(distance)s, %(time)s. Between them nobody saw the person."), values);
    show(byId("clock-badge"), false);
    return;
  }
  const stop = all[index];
  const leg = legTo(index);
  const head = interpolate(gettext("Stop %(n)s of %(total)s"), { n: stop.number, total: all.length });
  const after = leg ? interpolate(gettext("unseen for %(time)s before, %(distance)s away"), { time: span(leg.seconds), distance: distance(leg.distance_m) }) : gettext("first sighting");
  const gap = get("gaps")[index - 1];
  const saw = gap?.on_way ? `${gettext("; ")}${interpolate(ngettext("%(n)s camera on the way saw nobody", "%(n)s cameras on the way saw nobody", gap.on_way), { n: gap.on_way })}` : "";
  note.replaceChildren(element("b", { text: `${head} · ${seenBy(stop)}` }), ` ${listed(sureness(stop), after)}${saw}`);
  const offset = offsetOf(stop.start);
  byId("clock-badge").replaceChildren(clock(seconds(stop.start), offset), element("small", { text: day(seconds(stop.start), offset) }));
  show(byId("clock-badge"), true);
}

/** Be at one stop: on the map, in the hits and on the timeline. */
export function goTo(index) {
  const stop = list()[index];
  if (!stop) return;
  set("here", index);
  ring();
  if (!map.getBounds().pad(-0.1).contains(placeOf(stop))) map.panTo(placeOf(stop), { animate: !calm.matches });
  const hit = hitOfStop(stop);
  if (hit) select(keyOf(hit));
  tell();
}

export const playing = () => timer !== null;

export function togglePlay() {
  if (!list().length) return;
  if (playing()) pause();
  else play();
}

function play() {
  if (narrow.matches) app.dataset.view = "map";
  byId("play").setAttribute("aria-pressed", "true");
  const last = list().length - 1;
  const from = get("here") === null || get("here") >= last ? 0 : get("here") + 1;
  announce(gettext("Playing the path."));
  next(from);
}

function next(index) {
  goTo(index);
  const wait = STEP_MS / Number(byId("speed").value);
  timer = setTimeout(() => (index + 1 < list().length ? next(index + 1) : pause()), wait);
}

function pause() {
  clearTimeout(timer);
  timer = null;
  byId("play").setAttribute("aria-pressed", "false");
}

function step(by) {
  pause();
  const index = get("here") === null ? (by > 0 ? 0 : list().length - 1) : get("here") + by;
  goTo(Math.max(0, Math.min(list().length - 1, index)));
}

export function start() {
  legs.addTo(map);
  stops.addTo(map);
  map.on("zoomend", () => drawStops(list()));
  byId("play").addEventListener("click", togglePlay);
  byId("step-back").addEventListener("click", () => step(-1));
  byId("step-on").addEventListener("click", () => step(1));
  byId("fit-path").addEventListener("click", () => fit(pathBounds()));
  watch("path", draw);
  watch("here", dim);
  watch("gaps", () => get("here") !== null && list().length && tell());
}
