// Where and when a photo was taken, if that is known: a click on a map of its own, or figures, and a time.

import { addBasemap } from "./basemap.js";
import { seconds } from "./format.js";
import { gettext, interpolate } from "./i18n.js";
import { map as cityMap } from "./map.js";
import { byId, cityTime, element, icon, show } from "./page.js";
import { get, watch } from "./store.js";

const L = window.L;
const DECIMALS = 6;
const CLOSE_ZOOM = 16;
const dialog = byId("taken");
const inputs = { longitude: byId("taken-longitude"), latitude: byId("taken-latitude"), time: byId("taken-time") };
const marks = L.layerGroup();
let map = null;
let marker = null;
let answer = null;

/** Ask for a photo's place and time; resolves to them, null for not known, or undefined where nothing was decided. */
export function askTaken({ view, taken, says }) {
  const given = taken ?? says ?? {};
  byId("taken-photo").src = view;
  inputs.time.value = given.time ? cityTime(new Date(given.time)) : "";
  inputs.time.max = cityTime(new Date());
  for (const name of ["longitude", "latitude"]) inputs[name].value = given[name] ?? "";
  show(byId("taken-says"), !taken && Boolean(given.time || given.longitude));
  complain("");
  dialog.returnValue = "";
  dialog.showModal();
  draw();
  inputs.time.focus();
  return new Promise((resolve) => {
    answer = resolve;
  });
}

/** The map of the dialog, made at its first opening, where the map of the page is looking or where the photo was taken. */
function draw() {
  map ??= made();
  map.invalidateSize({ pan: false });
  const at = place();
  if (at) map.setView(at, CLOSE_ZOOM, { animate: false });
  else map.setView(cityMap.getCenter(), cityMap.getZoom(), { animate: false });
  mark();
}

function made() {
  const drawn = L.map("taken-map", { zoomControl: false, attributionControl: false, zoomSnap: 0.25, maxZoom: 20, minZoom: 3 });
  L.control.zoom({ position: "topleft", zoomInTitle: gettext("Zoom in"), zoomOutTitle: gettext("Zoom out") }).addTo(drawn);
  addBasemap(drawn).catch(() => null);
  drawn.on("click", (event) => put(event.latlng));
  drawn.getContainer().addEventListener("keydown", (event) => event.key === "Enter" && put(drawn.getCenter()));
  return drawn;
}

/** The place that the figures say, null while they say none. */
function place() {
  const [lat, lng] = [inputs.latitude, inputs.longitude].map((input) => (input.value && input.validity.valid ? Number(input.value) : null));
  return lat === null || lng === null ? null : L.latLng(lat, lng);
}

function put({ lat, lng }) {
  inputs.latitude.value = lat.toFixed(DECIMALS);
  inputs.longitude.value = lng.toFixed(DECIMALS);
  mark();
}

function mark() {
  marker?.remove();
  const at = place();
  marker = at && L.marker(at, { icon: pin(), keyboard: false, interactive: false }).addTo(map);
}

const pin = () => L.divIcon({ className: "photo-marker", html: element("span", {}, icon("photo")), iconSize: [0, 0] });

function complain(text) {
  byId("taken-error").textContent = text;
  show(byId("taken-error"), Boolean(text));
}

/** What was given, or why it is not enough. */
function use() {
  if (!inputs.time.value || !place()) return complain(gettext("Both are needed: the time, and the place on the map."));
  if (inputs.time.value > inputs.time.max) return complain(gettext("The photo's time lies in the future."));
  return dialog.close("use");
}

function closed() {
  const at = place();
  const answers = { use: () => ({ longitude: at.lng, latitude: at.lat, time: inputs.time.value }), none: () => null };
  answer?.(answers[dialog.returnValue]?.());
  answer = null;
}

/** "2026-11-25 10:15, 120.1234, 30.1234" of a photo whose place and time are known. */
export function takenText({ time, longitude, latitude }) {
  const clock = Number.isNaN(seconds(time)) || time.length === 16 ? time : cityTime(new Date(time));
  return `${clock.replace("T", " ")}, ${latitude.toFixed(4)}, ${longitude.toFixed(4)}`;
}

/** Until there is a path, whose stops they are, the photos stand on the map of the page. */
function drawMarks() {
  marks.clearLayers();
  if (get("path")) return;
  get("photos").forEach((photo, index) => {
    if (!photo.taken) return;
    const title = `${interpolate(gettext("Photo %(n)s"), { n: index + 1 })}: ${takenText(photo.taken)}`;
    marks.addLayer(L.marker([photo.taken.latitude, photo.taken.longitude], { icon: pin(), title, alt: title, keyboard: false, pane: "stops" }));
  });
}

export function start() {
  marks.addTo(cityMap);
  for (const name of ["longitude", "latitude"]) inputs[name].addEventListener("input", mark);
  for (const button of dialog.querySelectorAll("[data-answer]")) button.addEventListener("click", () => (button.dataset.answer === "use" ? use() : dialog.close(button.dataset.answer)));
  dialog.addEventListener("close", closed);
  watch(["photos", "path"], drawMarks);
  drawMarks();
}
