// A lane per camera, a tick per hit: its height and shade say how likely. Drag along the hours to look at a part.

import { clock, day, fullTime, odds, offsetOf, place, seconds, seenBy, shortClock, span, speed, tone } from "./format.js";
import { gettext, interpolate, listed } from "./i18n.js";
import { keyOf, select } from "./hits.js";
import { byId, element, show } from "./page.js";
import { goTo } from "./path.js";
import { get, set, watch } from "./store.js";

const LANE = 24;
const RULER = 22;
const LABEL = 206;
const LANES_MOST = 60;
const STEPS = [10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
const MINUTE_STEPS = 60;
const body = byId("timeline-body");
let scale = null;
let dragging = null;
let asked = false;

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const judged = (hit) => hit.verdict && hit.verdict !== "undecided";
const visible = () => get("hits").filter((hit) => hit.likelihood >= get("floor") || judged(hit));

/** Draw once, however many things have changed since the last frame. */
function schedule() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
  });
}

function draw() {
  const hits = visible();
  show(byId("timeline-empty"), !hits.length);
  if (!hits.length) return body.replaceChildren();
  const width = Math.max(320, body.clientWidth);
  scale = scaleOf(hits, width);
  const lanes = lanesOf(hits);
  body.replaceChildren(ruler(width), chart(lanes, width));
  return undefined;
}

function scaleOf(hits, width) {
  const times = [...hits.map((hit) => hit.at), ...photoStops().map((stop) => seconds(stop.start))];
  const [low, high] = [Math.min(...times), Math.max(...times)];
  const margin = Math.max(30, (high - low) * 0.03);
  const [from, to] = [low - margin, high + margin];
  const label = width < 600 ? 104 : LABEL;
  const perSecond = (width - label - 14) / (to - from);
  const x = (time) => label + (time - from) * perSecond;
  return { from, to, x, time: (place) => from + (place - label) / perSecond, perSecond, label, offset: offsetOf(hits[0].time) };
}

const photoStops = () => (get("path")?.stops ?? []).filter((stop) => !stop.camera);
/** Each camera has a lane, and so has each photo whose place and time are known. */
const laneOfStop = (stop) => stop.camera?.id ?? `photo-${stop.photo}`;

/** Cameras and photos in the order of the path, then by their best hit. */
function lanesOf(hits) {
  const lanes = new Map();
  for (const hit of hits) {
    const lane = lanes.get(hit.camera.id) ?? { key: hit.camera.id, name: hit.camera.name, hits: [], best: 0, first: Infinity };
    lane.hits.push(hit);
    lane.best = Math.max(lane.best, hit.likelihood);
    lanes.set(hit.camera.id, lane);
  }
  for (const stop of photoStops()) lanes.set(laneOfStop(stop), { key: laneOfStop(stop), name: seenBy(stop), hits: [], best: 1, first: Infinity });
  (get("path")?.stops ?? []).forEach((stop, index) => {
    const lane = lanes.get(laneOfStop(stop));
    if (lane) lane.first = Math.min(lane.first, index);
  });
  const order = (one, other) => (one.first === other.first ? other.best - one.best : one.first - other.first);
  return [...lanes.values()].sort(order).slice(0, LANES_MOST);
}

function ruler(width) {
  const drawing = svg("svg", { class: "lanes ruler-box", width, height: RULER, role: "group", tabindex: 0, "aria-label": gettext("Time window: left and right move it, plus and minus change it, Escape clears it") });
  const group = svg("g", { class: "ruler" });
  group.append(svg("rect", { class: "ruler-ground", width, height: RULER }));
  for (const mark of marks()) {
    const text = svg("text", { x: scale.x(mark.time) + 3, y: 15, class: mark.midnight ? "day" : "" });
    text.textContent = mark.text;
    group.append(svg("line", { class: "grid", x1: scale.x(mark.time), x2: scale.x(mark.time), y1: 6, y2: RULER }), text);
  }
  drawing.append(group, ...windowOf(RULER));
  drawing.addEventListener("pointerdown", startDrag);
  drawing.addEventListener("keydown", onRulerKey);
  return drawing;
}

function marks() {
  const room = 74 / scale.perSecond;
  const step = STEPS.find((candidate) => candidate >= room) ?? STEPS.at(-1);
  const found = [];
  const first = Math.ceil((scale.from + scale.offset) / step) * step - scale.offset;
  for (let time = first; time < scale.to; time += step) {
    const midnight = (time + scale.offset) % 86400 === 0;
    const text = midnight ? day(time, scale.offset).slice(5) : step < MINUTE_STEPS ? clock(time, scale.offset) : shortClock(time, scale.offset);
    found.push({ time, midnight, text });
  }
  if (found.length && !found[0].midnight) found[0].text = `${day(found[0].time, scale.offset).slice(5)} ${found[0].text}`;
  return found;
}

function windowOf(height) {
  const chosen = get("window");
  if (!chosen) return [];
  const [left, right] = chosen.map((time) => Math.max(scale.label, scale.x(time)));
  return [svg("rect", { class: "window", x: left, width: Math.max(1, right - left), height }), ...[left, right].map((x) => svg("line", { class: "window-edge", x1: x, x2: x, y2: height }))];
}

function chart(lanes, width) {
  const height = lanes.length * LANE + 6;
  const drawing = svg("svg", { class: "lanes", width, height });
  for (const mark of marks()) drawing.append(svg("line", { class: "grid", x1: scale.x(mark.time), x2: scale.x(mark.time), y2: height }));
  lanes.forEach((lane, index) => drawing.append(laneOf(lane, index, width)));
  const here = get("path")?.stops[get("here")];
  if (here) drawing.append(svg("line", { class: "cursor", x1: scale.x(seconds(here.start)), x2: scale.x(seconds(here.start)), y2: height }));
  drawing.append(...legsOf(lanes), ...windowOf(height));
  drawing.addEventListener("click", onTick);
  return drawing;
}

function laneOf(lane, index, width) {
  const base = (index + 1) * LANE;
  const group = svg("g", {}, svg("line", { class: "lane-line", x1: 0, x2: width, y1: base, y2: base }));
  for (const hit of lane.hits) group.append(tick(hit, base));
  const name = svg("text", { class: "lane-name", x: 10, y: base - 7 });
  const room = Math.floor((scale.label - 16) / (/[\u3400-\u9fff]/.test(lane.name) && document.documentElement.lang.startsWith("zh") ? 11.5 : 6.4));
  const text = place(lane.name);
  name.textContent = text.length > room ? `${text.slice(0, room - 1)}…` : text;
  name.append(titled(lane.name));
  group.append(name);
  return group;
}

function titled(text) {
  const title = svg("title");
  title.textContent = text;
  return title;
}

function tick(hit, base) {
  const height = 5 + 14 * hit.likelihood;
  const state = [keyOf(hit) === get("selected") ? "current" : "", judged(hit) ? hit.verdict : ""].join(" ");
  const mark = svg("rect", { class: `tick tone-${tone(hit.likelihood)} ${state}`, x: scale.x(hit.at) - 2.5, y: base - height, width: 5, height, rx: 1.5, "data-key": keyOf(hit) });
  mark.append(titled(listed(fullTime(hit.time), odds(hit.likelihood))));
  return mark;
}

/** The path over the lanes, each leg with the speed it needs. */
function legsOf(lanes) {
  const path = get("path");
  if (!path) return [];
  const rows = new Map(lanes.map((lane, index) => [lane.key, index]));
  const points = path.stops.map((stop) => {
    const row = rows.get(laneOfStop(stop));
    return row === undefined ? null : { x: scale.x(seconds(stop.start)), y: (row + 0.5) * LANE, stop };
  });
  const drawn = [];
  path.legs.forEach((leg, index) => {
    const [from, to] = [points[index], points[index + 1]];
    if (!from || !to) return;
    drawn.push(svg("line", { class: `leg ${leg.style}`, x1: from.x, y1: from.y, x2: to.x, y2: to.y }));
    if (to.x - from.x > 62) drawn.push(speedText(leg, from, to));
  });
  return [...drawn, ...points.filter(Boolean).map(stopMark)];
}

function speedText(leg, from, to) {
  const wide = to.x - from.x > 150;
  // A steep line would cross the text: it stands higher then.
  const rise = Math.min(12, (Math.abs(to.y - from.y) / (to.x - from.x)) * (wide ? 60 : 25));
  const text = svg("text", { class: "speed", x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 - 5 - rise });
  text.textContent = wide ? listed(span(leg.seconds), speed(leg.speed_kmh)) : speed(leg.speed_kmh);
  return text;
}

function stopMark({ x, y, stop }) {
  const number = svg("text", { x, y: y + 3.7 });
  number.textContent = stop.number;
  return svg("g", { class: "stop", "data-stop": stop.number }, svg("circle", { cx: x, cy: y, r: 8.5 }), number);
}

function onTick(event) {
  const key = event.target.closest("[data-key]")?.dataset.key;
  if (key) select(key, { focus: true });
  const number = event.target.closest("[data-stop]")?.dataset.stop;
  if (number) goTo(get("path").stops.findIndex((stop) => String(stop.number) === number));
}

// The time window.

const within = (time) => Math.min(scale.to, Math.max(scale.from, time));

function startDrag(event) {
  const box = body.getBoundingClientRect();
  const at = (moved) => within(scale.time(moved.clientX - box.left));
  dragging = at(event);
  const moved = (next) => {
    const to = at(next);
    if (Math.abs(to - dragging) * scale.perSecond > 4) set("window", [Math.min(dragging, to), Math.max(dragging, to)]);
  };
  const done = (last) => {
    window.removeEventListener("pointermove", moved);
    if (Math.abs(at(last) - dragging) * scale.perSecond <= 4) set("window", null);
  };
  window.addEventListener("pointermove", moved);
  window.addEventListener("pointerup", done, { once: true });
}

function onRulerKey(event) {
  const whole = scale.to - scale.from;
  const [from, to] = get("window") ?? [scale.from, scale.to];
  const by = whole / 20;
  const changes = { ArrowLeft: [from - by, to - by], ArrowRight: [from + by, to + by], "+": [from + by, to - by], "-": [from - by, to + by], Escape: null };
  if (!(event.key in changes)) return;
  event.preventDefault();
  const changed = changes[event.key];
  if (!changed) set("window", null);
  else if (changed[1] - changed[0] >= by) set("window", changed.map(within));
  requestAnimationFrame(() => requestAnimationFrame(() => body.querySelector(".ruler-box")?.focus()));
}

function chip(chosen) {
  const button = byId("window-clear");
  show(button, Boolean(chosen));
  if (!chosen) return;
  const values = { from: shortClock(chosen[0], scale.offset), to: shortClock(chosen[1], scale.offset) };
  button.replaceChildren(interpolate(gettext("Only %(from)s to %(to)s"), values), element("span", { text: "✕", "aria-hidden": "true" }));
  button.setAttribute("aria-label", `${interpolate(gettext("Only %(from)s to %(to)s"), values)}. ${gettext("Show all times")}`);
}

export function start() {
  byId("window-clear").addEventListener("click", () => set("window", null));
  new ResizeObserver(schedule).observe(body);
  watch(["shown", "path", "selected", "here"], schedule);
  watch("window", chip);
}
