// Hits as cards: kept, moved and changed by key, so that nothing jumps while more of them arrive.

import { cropOf, pictureOf, placeOf, turnOn } from "./crops.js";
import { isKept, toggleKept } from "./evidence.js";
import { fullTime, likelihoodWords, number, odds, outOf100, percent, place, seconds, shortPath, tone } from "./format.js";
import { gettext, interpolate, listed, ngettext } from "./i18n.js";
import { app, byId, calm, show } from "./page.js";
import { viewOf } from "./photos.js";
import { get, set, watch } from "./store.js";
import { judge, pendingOf } from "./verdicts.js";

const list = byId("hits");
const template = byId("hit-card").content.firstElementChild;
const scroller = byId("results-scroll");
// Key of a hit near the window -> its card. All others have no element, so that a frame of scrolling and a new ranking
// cost what is seen, not what is found.
const cards = new Map();
// Key of a shown hit -> its index among those shown; sighting of a stop -> its number.
let indexes = new Map();
let stops = new Map();
// Drawn above and below the window, for the next turns of the wheel.
const GLANCE_PX = 700;
// While the list is scrolled a picture is asked for once its card has stayed near the window for so long: what flies
// past costs neither server nor browser anything.
const LINGER_MS = 120;
// Addresses of pictures that were asked for, which the browser has by now.
const fetched = new Set();
let scrolled = -Infinity;
let columns = 1;
let rows = 0;
// Of the narrowest card, and between two; as in the style sheet.
const CARD_WIDTH = 420;
const GAP = 8;
// A crop of fewer rows shows clothes, hardly a person.
const SMALL = 80;
const ORDERS = {
  likelihood: (one, other) => one.rank - other.rank,
  time: (one, other) => one.at - other.at || one.rank - other.rank,
  camera: (one, other) => one.camera.name.localeCompare(other.camera.name) || one.at - other.at,
};

export const keyOf = (hit) => String(hit.crop);

/** The hits that pass the slider and the time window, sorted; a hit with a verdict always passes. */
function choose() {
  keepSelected();
  const [floor, span] = [get("floor"), get("window")];
  const judged = (hit) => hit.verdict && hit.verdict !== "undecided";
  const passes = (hit) => (hit.likelihood >= floor || judged(hit)) && (!span || (hit.at >= span[0] && hit.at <= span[1]));
  set("shown", prepared().filter(passes).sort(ORDERS[get("sort")]));
}

/** After a new scoring another crop may stand for the same sighting: the hit in hand stays in hand. */
function keepSelected() {
  const key = get("selected");
  if (!key || hitOf(key)) return;
  const holder = get("hits").find((hit) => hit.burst.includes(Number(key)));
  if (holder) set("selected", keyOf(holder));
}

function prepared() {
  for (const hit of get("hits")) {
    hit.at ??= seconds(hit.time);
    hit.verdict = pendingOf(hit) ?? hit.verdict;
  }
  return get("hits");
}

/** The list is as high as all its hits at once; only those near the window are drawn. */
function render() {
  const shown = get("shown");
  indexes = new Map(shown.map((hit, index) => [keyOf(hit), index]));
  stops = new Map((get("path")?.stops ?? []).map((stop) => [stop.sighting, stop.number]));
  measure(shown.length);
  look(true);
  note(shown.length);
}

/** As many columns as the list is wide, one at least; its height is that of its rows. */
function measure(count) {
  columns = Math.max(1, Math.floor((list.clientWidth + GAP) / (CARD_WIDTH + GAP)));
  list.style.setProperty("--columns", String(columns));
  rows = Math.ceil(count / columns);
  list.style.setProperty("--rows", String(rows));
}

function resized() {
  measure(indexes.size);
  look(true);
}

/** Draw what is near the window, all of it `anew` or what has come near; what is far away gives its elements back. */
function look(anew = false) {
  const focused = document.activeElement;
  const wanted = near();
  const keys = new Set(wanted.map((index) => keyOf(get("shown")[index])));
  for (const [key, card] of cards) if (!keys.has(key)) drop(key, card);
  let before = null;
  for (const index of wanted) {
    const card = draw(index, anew);
    const next = before ? before.nextElementSibling : list.firstElementChild;
    if (next !== card) list.insertBefore(card, next);
    before = card;
  }
  // A card that was moved among the others has lost the focus that it had.
  if (focused !== document.activeElement && list.contains(focused)) focused.focus({ preventScroll: true });
}

function drop(key, card) {
  card.remove();
  cards.delete(key);
}

function draw(index, anew) {
  const hit = get("shown")[index];
  const known = cards.get(keyOf(hit));
  if (known && !anew) return known;
  const card = known ?? template.cloneNode(true);
  cards.set(keyOf(hit), card);
  card.dataset.key = keyOf(hit);
  stand(card, index);
  fill(card, hit, index);
  return card;
}

/** Cards stand by transforms: one that a likelier hit has pushed away glides, and nothing else is laid out anew. */
function stand(card, index) {
  card.style.transform = `translate(calc(${index % columns} * (100% + ${GAP}px)), calc(${Math.floor(index / columns)} * var(--step)))`;
  card.setAttribute("aria-posinset", String(index + 1));
  card.setAttribute("aria-setsize", String(indexes.size));
}

function onScroll() {
  scrolled = performance.now();
  look();
}

/** The indexes, in order, of the hits near the window and of the one in hand; a list that is not on the page has none. */
function near() {
  const [window, { top, height }] = [scroller.getBoundingClientRect(), list.getBoundingClientRect()];
  const row = (y) => (height ? Math.max(0, ((y - top) / height) * rows) : 0);
  const first = Math.floor(row(window.top - GLANCE_PX)) * columns;
  const end = Math.min(indexes.size, Math.ceil(row(window.bottom + GLANCE_PX)) * columns);
  const seen = Array.from({ length: Math.max(0, end - first) }, (_, at) => first + at);
  const far = [...new Set(inHand())].filter((index) => index < first || index >= end);
  return [...seen, ...far].sort((one, other) => one - other);
}

/** Of the selected hit and of the one that has the focus, where they are shown. */
function inHand() {
  const focused = document.activeElement?.closest(".hit-item")?.dataset.key;
  return [get("selected"), focused].map((key) => indexes.get(key)).filter((index) => index !== undefined);
}

const queryPhoto = () => viewOf(get("photos")[0]);

function fill(card, hit, index) {
  const [level, stop] = [tone(hit.likelihood), stops.get(hit.sighting)];
  const article = card.firstElementChild;
  const field = (name) => card.querySelector(`[data-f=${name}]`);
  const put = (name, text) => {
    if (field(name).textContent !== text) field(name).textContent = text;
  };
  article.className = `hit tone-${level}`;
  article.style.setProperty("--likelihood", hit.likelihood.toFixed(3));
  article.dataset.verdict = hit.verdict ?? "undecided";
  article.setAttribute("aria-label", describe(hit, index));
  put("rank", String(index + 1));
  put("words", likelihoodWords(hit.likelihood));
  put("percent", odds(hit.likelihood));
  field("percent").title = interpolate(gettext("Of 100 pairs as alike as this one, %(n)s show the same person."), { n: outOf100(hit.likelihood) });
  put("camera", place(hit.camera.name));
  field("camera").title = hit.camera.name;
  put("code", hit.camera.code);
  put("size", `${hit.width}×${hit.height}`);
  field("size").classList.toggle("poor", hit.height < SMALL);
  field("size").title = hit.height < SMALL ? gettext("A small crop: look at it enlarged before you judge.") : gettext("Size of the crop in pixels");
  put("unit", shortPath(hit.unit_path));
  field("unit").title = hit.unit_path;
  put("time", fullTime(hit.time));
  field("time").dateTime = hit.time;
  put("stop", stop ? String(stop) : "");
  field("stop").title = stop ? interpolate(gettext("Stop %(n)s on the path"), { n: stop }) : "";
  show(field("stop"), Boolean(stop));
  pictures(card, hit);
  for (const button of card.querySelectorAll("[data-verdict]")) press(button, hit.verdict);
  keep(card, hit);
  mark(card, hit);
}

function pictures(card, hit) {
  const [query, crop, burst] = [".query-picture", ".crop-picture", "[data-f=burst]"].map((one) => card.querySelector(one));
  if (query.getAttribute("src") !== queryPhoto()) query.src = queryPhoto();
  // What it waits for counts, not what it still holds: or, turned back in time, it would show the other crop.
  if ((crop.dataset.waits ?? crop.getAttribute("src")) !== pictureOf(hit)) offer(crop, pictureOf(hit));
  burst.textContent = burstText(hit);
  show(burst, hit.burst.length > 1);
  crop.alt = interpolate(gettext("Crop of %(camera)s"), { camera: place(hit.camera.name) });
}

function offer(crop, url) {
  const lingers = performance.now() - scrolled < LINGER_MS && !fetched.has(url);
  if (!lingers) return load(crop, url);
  crop.hidden = true;
  crop.dataset.waits = url;
  return setTimeout(() => crop.isConnected && crop.dataset.waits === url && load(crop, url), LINGER_MS);
}

function load(crop, url) {
  delete crop.dataset.waits;
  fetched.add(url);
  crop.src = url;
  crop.hidden = false;
}

/** How many crops the sighting has, or which of them is shown. */
function burstText(hit) {
  if (cropOf(hit) !== hit.crop) return interpolate(gettext("%(n)s of %(total)s"), placeOf(hit));
  return interpolate(ngettext("%(n)s crop", "%(n)s crops", hit.burst_count), { n: hit.burst_count });
}

export function press(button, verdict) {
  if (button.tagName === "BUTTON") button.setAttribute("aria-pressed", String(button.dataset.verdict === (verdict ?? "undecided")));
}

function describe(hit, index) {
  const values = { n: index + 1, words: likelihoodWords(hit.likelihood), percent: odds(hit.likelihood), camera: place(hit.camera.name), time: fullTime(hit.time) };
  return interpolate(gettext("Hit %(n)s: %(words)s, %(percent)s, %(camera)s, %(time)s"), values);
}

function keep(card, hit) {
  card.querySelector("[data-act=keep]").setAttribute("aria-pressed", String(isKept(hit)));
}

function mark(card, hit) {
  const current = keyOf(hit) === get("selected");
  card.firstElementChild.toggleAttribute("aria-current", current);
  if (current) card.firstElementChild.setAttribute("aria-current", "true");
}

function note(shown) {
  const [total, floor] = [get("hits").length, get("floor")];
  const hidden = total - shown;
  const parts = [interpolate(ngettext("%(n)s shown", "%(n)s shown", shown), { n: number(shown) })];
  if (hidden && get("window")) parts.push(interpolate(ngettext("%(n)s hidden", "%(n)s hidden", hidden), { n: number(hidden) }));
  else if (hidden) parts.push(interpolate(ngettext("%(n)s hidden below %(floor)s", "%(n)s hidden below %(floor)s", hidden), { n: number(hidden), floor: percent(floor) }));
  byId("floor-note").textContent = get("complaint") || listed(...parts);
  byId("floor-note").classList.toggle("error", Boolean(get("complaint")));
  show(byId("toolbar"), total > 0 || Boolean(get("complaint")));
}

export const hitOf = (key) => get("hits").find((hit) => keyOf(hit) === key);
export const selected = () => hitOf(get("selected"));

/** Take a hit in hand: it is marked here, on the map and on the timeline. */
export function select(key, { scroll = true, focus = false } = {}) {
  cards.get(get("selected"))?.firstElementChild.removeAttribute("aria-current");
  set("selected", key);
  look();
  const card = cards.get(key);
  if (!card) return;
  mark(card, hitOf(key));
  if (scroll) card.scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
  if (focus) card.firstElementChild.focus({ preventScroll: true });
}

/** The next (1) or previous (-1) shown hit. */
export function move(step) {
  const shown = get("shown");
  if (!shown.length) return;
  const at = shown.findIndex((hit) => keyOf(hit) === get("selected"));
  const next = at < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, at + step));
  select(keyOf(shown[next]), { focus: true });
}

function onClick(event) {
  const card = event.target.closest(".hit-item");
  if (!card) return;
  select(card.dataset.key, { scroll: false });
  const verdict = event.target.closest("button[data-verdict]");
  if (verdict) judge(verdict.dataset.verdict, selected());
  if (event.target.closest("[data-act=enlarge]")) app.dispatchEvent(new CustomEvent("enlarge"));
  if (event.target.closest("[data-act=query]")) app.dispatchEvent(new CustomEvent("query-by", { detail: selected() }));
  if (event.target.closest("[data-act=turn]")) turnOn(selected());
  if (event.target.closest("[data-act=keep]")) toggleKept(selected());
}

export function start() {
  const size = new ResizeObserver(resized);
  for (const element of [list, scroller]) size.observe(element);
  scroller.addEventListener("scroll", onScroll, { passive: true });
  list.addEventListener("click", onClick);
  list.addEventListener("focusin", (event) => {
    const card = event.target.closest(".hit-item");
    if (card && card.dataset.key !== get("selected")) select(card.dataset.key, { scroll: false });
  });
  byId("sort").addEventListener("change", (event) => set("sort", event.target.value));
  byId("floor").addEventListener("input", (event) => set("floor", Number(event.target.value) / 100));
  scroller.addEventListener("click", (event) => {
    if (event.target.closest("[data-act=show-all]")) set("floor", 0);
  });
  watch("floor", (floor) => {
    byId("floor").value = Math.round(floor * 100);
    byId("floor-value").textContent = percent(floor);
  });
  watch(["hits", "sort", "floor", "window"], choose);
  watch(["shown", "path", "photos"], render);
  watch("turned", (hit) => cards.has(keyOf(hit)) && draw(indexes.get(keyOf(hit)), true));
  watch("evidence", render);
  watch("complaint", () => note(get("shown").length));
}
