// The box of a photo: proposed where people were found, drawn with mouse or finger, moved and sized by keys.

import { gettext, interpolate } from "./i18n.js";
import { byId, element, show } from "./page.js";

const dialog = byId("cropper");
const frame = byId("crop-frame");
const picture = byId("crop-picture");
const mark = byId("crop-box");
// The smallest photo the server accepts, in pixels.
const LEAST = [32, 64];
const STEP = 0.01;
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

let size = [1, 1];
let box = null;
let drag = null;
let answer = null;

/** Ask for the box of a photo; resolves to a box, null for the whole photo, or undefined where nothing was decided. */
export function askBox({ url, width, height, people = [], box: given = null }) {
  [size, box] = [[width, height], given ?? (people.length === 1 ? people[0] : null)];
  picture.src = url;
  frame.style.setProperty("--ratio", String(width / height));
  offer(people);
  draw();
  dialog.returnValue = "";
  dialog.showModal();
  (box ? mark : (frame.querySelector("button") ?? byId("crop-middle"))).focus();
  return new Promise((resolve) => {
    answer = resolve;
  });
}

/** A numbered button over each person that was found. */
function offer(people) {
  const frames = people.map((person, index) => {
    const text = interpolate(gettext("Person %(n)s"), { n: index + 1 });
    const button = element("button", { type: "button", title: text, "aria-label": text }, String(index + 1));
    button.addEventListener("click", () => take(person));
    const outline = element("div", { class: "crop-person" }, button);
    place(outline, person);
    return outline;
  });
  byId("crop-people").replaceChildren(...frames);
  byId("crop-found").textContent = found(people.length);
}

function found(count) {
  if (!count) return gettext("Nobody was found by itself. Draw a box around the person.");
  if (count === 1) return gettext("One person was found. Change the box if it does not fit.");
  return interpolate(gettext("%(n)s people were found. Choose one by its number, or draw a box."), { n: count });
}

function place(target, [left, top, right, bottom]) {
  const [width, height] = size;
  Object.assign(target.style, { left: `${(100 * left) / width}%`, top: `${(100 * top) / height}%`, width: `${(100 * (right - left)) / width}%`, height: `${(100 * (bottom - top)) / height}%` });
}

function take(next) {
  box = next.map(Math.round);
  draw();
}

function draw() {
  show(mark, Boolean(box));
  byId("crop-use").disabled = !box || small();
  if (!box) return describe(gettext("No box yet: the whole photo is compared."));
  place(mark, box);
  const [width, height] = [box[2] - box[0], box[3] - box[1]];
  const text = interpolate(gettext("%(w)s × %(h)s pixels"), { w: width, h: height });
  return describe(small() ? `${text}. ${gettext("At least 32 × 64 are needed.")}` : text);
}

function describe(text) {
  byId("crop-size").textContent = text;
}

const small = () => box[2] - box[0] < LEAST[0] || box[3] - box[1] < LEAST[1];
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** Where a pointer is, in pixels of the photo. */
function spot(event) {
  const bounds = frame.getBoundingClientRect();
  const at = [(event.clientX - bounds.left) / bounds.width, (event.clientY - bounds.top) / bounds.height];
  return at.map((part, axis) => clamp(part, 0, 1) * size[axis]);
}

/** A corner resizes, the box itself moves, anywhere else a new box begins. */
function begin(event) {
  if (event.button || event.target.closest("button")) return;
  event.preventDefault();
  frame.setPointerCapture(event.pointerId);
  const [from, corner] = [spot(event), event.target.dataset.corner];
  if (corner) drag = { fixed: [corner.includes("w") ? box[2] : box[0], corner.includes("n") ? box[3] : box[1]] };
  else if (event.target === mark) drag = { from, start: [...box] };
  else drag = { fixed: from };
}

function go(event) {
  if (!drag) return;
  const to = spot(event);
  if (drag.start) shift(drag.start, to[0] - drag.from[0], to[1] - drag.from[1]);
  else take([Math.min(drag.fixed[0], to[0]), Math.min(drag.fixed[1], to[1]), Math.max(drag.fixed[0], to[0]), Math.max(drag.fixed[1], to[1])]);
}

function end() {
  if (drag) mark.focus();
  drag = null;
}

/** The box as it was, moved; it stops at the border. */
function shift([left, top, right, bottom], aside, down) {
  const dx = clamp(aside, -left, size[0] - right);
  const dy = clamp(down, -top, size[1] - bottom);
  take([left + dx, top + dy, right + dx, bottom + dy]);
}

/** Arrows move the box, with Shift they move its lower right corner. */
function onKey(event) {
  const way = KEYS[event.key];
  if (!way || !box) return;
  event.preventDefault();
  const [dx, dy] = way.map((sign, axis) => sign * Math.max(1, Math.round(STEP * size[axis])));
  if (!event.shiftKey) return shift(box, dx, dy);
  return take([box[0], box[1], clamp(box[2] + dx, box[0] + LEAST[0], size[0]), clamp(box[3] + dy, box[1] + LEAST[1], size[1])]);
}

/** Without a box, Enter draws one in the middle: from there the arrows go on. */
function middle() {
  const height = size[1] * 0.8;
  const width = Math.min(size[0] * 0.8, height / 2);
  take([(size[0] - width) / 2, size[1] * 0.1, (size[0] + width) / 2, size[1] * 0.9]);
  mark.focus();
}

function closed() {
  const answers = { use: box, whole: null };
  answer?.(dialog.returnValue in answers ? answers[dialog.returnValue] : undefined);
  answer = null;
}

export function start() {
  frame.addEventListener("pointerdown", begin);
  frame.addEventListener("pointermove", go);
  for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, end);
  mark.addEventListener("keydown", onKey);
  byId("crop-middle").addEventListener("click", middle);
  for (const button of dialog.querySelectorAll("[data-answer]")) button.addEventListener("click", () => dialog.close(button.dataset.answer));
  dialog.addEventListener("close", closed);
}
