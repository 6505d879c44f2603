// The point editor of a camera: its place by click or drag, its heading and range by the dot at the end of the cone,
// its opening by the dots at the cone's corners. The numbers below say the same, and move what is drawn.
import { toWgs84 } from "./coordinates.js";
import { boxInSight, createMap, escaped, features, fitFirst, unitLayer } from "./map.js";

const EARTH_RADIUS_M = 6371008.8;
const CLOSE_ZOOM = 18;
const GRIDS_FROM_ZOOM = 14;
const RANGE_M = [1, 2000];
const HANDLE_PIXELS = 32;
const OPENING = [1, 360];

const settings = JSON.parse(document.getElementById("place-editor").textContent);
const fields = Object.fromEntries(
  ["longitude", "latitude", "heading", "field_of_view", "view_radius_m", "coordinate_system", "code"].map((name) => [
    name, document.getElementById(`id_${name}`),
  ]),
);

const map = createMap(document.querySelector(".place-map"), settings);
const around = L.layerGroup().addTo(map);
const cone = L.polygon([], { className: "map-cone", interactive: false });
const camera = L.marker([0, 0], { draggable: true, icon: dot("map-camera"), title: settings.words.camera, zIndexOffset: 1000 });
const handle = L.marker([0, 0], { draggable: true, icon: dot("map-handle"), title: settings.words.turn, zIndexOffset: 900 });
const corners = [-1, 1].map((side) => {
  const corner = L.marker([0, 0], { draggable: true, icon: dot("map-corner", 14), title: settings.words.widen, zIndexOffset: 800 });
  return corner.on("drag", ({ latlng }) => widened(latlng, side)).on("dragend", draw);
});
let held = null; // a marker stays under the mouse that drags it, or letting go would be a click on the map
const note = document.querySelector(".place-note");

map.on("click", ({ latlng }) => {
  placed(latlng);
  if (map.getZoom() < CLOSE_ZOOM) map.setView(latlng, CLOSE_ZOOM, { animate: false });
});
camera.on("drag", ({ latlng }) => placed(latlng));
handle.on("drag", ({ latlng }) => turned(latlng));
handle.on("dragend", draw);
map.on("moveend", drawAround);
map.on("zoomend", draw);
for (const name of ["longitude", "latitude", "heading", "field_of_view", "view_radius_m", "coordinate_system"]) {
  fields[name].addEventListener("input", draw);
}

await start();
draw();
await drawAround();
map.getContainer().removeAttribute("aria-busy");

async function start() {
  if (place()) {
    map.setView(place(), CLOSE_ZOOM, { animate: false });
  } else {
    await fitFirst(map, [unitLayer(await features(settings.units), "", { labels: false })]);
  }
}

function number(name) {
  const value = parseFloat(fields[name].value);
  return Number.isFinite(value) ? value : null;
}

/** Where the numbers lie in WGS-84, as the server will read them: a place that stays as it was is never converted. */
function place() {
  const [lng, lat] = [number("longitude"), number("latitude")];
  if (lng === null || lat === null || Math.abs(lat) > 90 || Math.abs(lng) > 180) return null;
  const point = isConverted() ? toWgs84([lng, lat], fields.coordinate_system.value) : [lng, lat];
  return L.latLng(point[1], point[0]);
}

function isConverted() {
  const { longitude, latitude, coordinate_system: system } = fields;
  const kept = ({ value, defaultValue }) => defaultValue !== "" && parseFloat(value) === parseFloat(defaultValue);
  const stays = kept(longitude) && kept(latitude) && system.selectedOptions[0].defaultSelected;
  return system.value !== "wgs84" && !stays;
}

/** The map is in WGS-84, so a place taken from it is, whatever was typed before. */
function placed({ lat, lng }) {
  fields.longitude.value = L.Util.wrapNum(lng, [-180, 180], true).toFixed(7);
  fields.latitude.value = lat.toFixed(7);
  fields.coordinate_system.value = "wgs84";
  draw();
}

function turned(tip) {
  const here = place();
  const [east, north] = offset(here, tip);
  const metres = Math.min(RANGE_M[1], Math.max(RANGE_M[0], Math.hypot(east, north)));
  fields.heading.value = Math.round(((Math.atan2(east, north) * 180) / Math.PI + 360) % 360);
  if (!heldOff(here)) fields.view_radius_m.value = Math.round(metres);
  drawCone(here);
}

/** The opening is symmetrical: either corner moves both, as far as it is turned from the middle. */
function widened(tip, side) {
  const here = place();
  const [east, north] = offset(here, tip);
  const turn = (Math.atan2(east, north) * 180) / Math.PI - (number("heading") ?? 0);
  const half = (((turn * side) % 360) + 360) % 360;
  fields.field_of_view.value = Math.round(Math.min(OPENING[1], Math.max(OPENING[0], 2 * (half > 270 ? 0 : half))));
  held = side;
  drawCone(here);
  held = null;
}

function draw() {
  const here = place();
  for (const layer of [cone, camera, handle]) here ? layer.addTo(map) : layer.remove();
  for (const corner of corners) here && !heldOff(here) ? corner.addTo(map) : corner.remove();
  tellConversion(here);
  if (!here) return;
  camera.setLatLng(here);
  drawCone(here);
  handle.setLatLng(along(here, number("heading") ?? 0, heldOff(here) ? HANDLE_PIXELS / pixelsPerMetre(here) : range()));
}

/** Far out, the end of the cone lies under the camera: the handle keeps off and then only turns. */
function heldOff(here) {
  return range() * pixelsPerMetre(here) < HANDLE_PIXELS;
}

function pixelsPerMetre(here) {
  return map.latLngToLayerPoint(along(here, 0, 1000)).distanceTo(map.latLngToLayerPoint(here)) / 1000;
}

/** Numbers in another system are drawn where they are stored. */
function tellConversion(here) {
  note.hidden = !here || !isConverted();
  if (note.hidden) return;
  const values = { system: fields.coordinate_system.selectedOptions[0].text, longitude: here.lng.toFixed(6), latitude: here.lat.toFixed(6) };
  note.textContent = settings.words.converted.replace(/%\((\w+)\)s/g, (_all, name) => values[name]);
}

function drawCone(here) {
  for (const [index, side] of [-1, 1].entries()) {
    const heading = (number("heading") ?? 0) + (side * (number("field_of_view") ?? 90)) / 2;
    if (side !== held) corners[index].setLatLng(along(here, heading, range()));
  }
  cone.setLatLngs(sector(here, number("heading") ?? 0, number("field_of_view") ?? 90, range()));
}

function range() {
  return Math.min(RANGE_M[1], Math.max(RANGE_M[0], number("view_radius_m") ?? 30));
}

function sector(here, heading, opening, metres) {
  const steps = 24;
  const turns = Array.from({ length: steps + 1 }, (_, step) => heading - opening / 2 + (opening * step) / steps);
  return [...(opening < 360 ? [here] : []), ...turns.map((turn) => along(here, turn, metres))];
}

function along(here, heading, metres) {
  const turn = (heading * Math.PI) / 180;
  const degrees = (180 / Math.PI) * (metres / EARTH_RADIUS_M);
  const shrink = Math.cos((here.lat * Math.PI) / 180);
  return L.latLng(here.lat + degrees * Math.cos(turn), here.lng + (degrees * Math.sin(turn)) / shrink);
}

function offset(here, there) {
  const metres = (Math.PI / 180) * EARTH_RADIUS_M;
  const shrink = Math.cos((here.lat * Math.PI) / 180);
  return [(there.lng - here.lng) * metres * shrink, (there.lat - here.lat) * metres];
}

function dot(className, pixels = 18) {
  return L.divIcon({ className: `map-dot ${className}`, iconSize: [pixels, pixels] });
}

/** The grids, because one of them will hold the camera, and the other cameras; only what is in sight. */
async function drawAround() {
  if (map.getZoom() < GRIDS_FROM_ZOOM) {
    around.clearLayers();
    return;
  }
  const bbox = boxInSight(map);
  const [grids, others] = await Promise.all([
    features(settings.units, { level: 5, bbox }),
    features(settings.cameras, { bbox }),
  ]);
  around.clearLayers();
  around.addLayer(unitLayer(grids, "map-beside"));
  for (const other of others.features) {
    if (other.properties.code !== fields.code.defaultValue) drawOther(other);
  }
}

function drawOther({ geometry, properties }) {
  const here = L.GeoJSON.coordsToLatLng(geometry.coordinates);
  const view = sector(here, properties.heading, properties.field_of_view, properties.view_radius_m);
  around.addLayer(L.polygon(view, { className: "map-cone-other", interactive: false }));
  around.addLayer(L.circleMarker(here, { radius: 4, className: "map-camera-other" }).bindTooltip(escaped(properties.name)));
}
