// The map: choose a unit by clicking through the levels, see its cameras and how many hits each has.

import { read } from "./api.js";
import { addBasemap, colour } from "./basemap.js";
import { number, place, tone } from "./format.js";
import { gettext, interpolate, ngettext } from "./i18n.js";
import { keyOf, select } from "./hits.js";
import { app, byId, calm, element, narrow, show } from "./page.js";
import { get, watch } from "./store.js";
import { choose, given } from "./units.js";

const L = window.L;
const WORLD = [[-90, -400], [90, -400], [90, 400], [-90, 400]];
const CONE_PIXELS = 15;
const NEAR_PIXELS = 12;
const CELL_PIXELS = 64;
const CLUSTER_FROM = 6;
const BADGES_MOST = 300;
const BADGE_PIXELS = 40;
const STATUS = { online: "", offline: gettext("offline"), maintenance: gettext("in maintenance") };

// Markers stand by flat transforms: each three-dimensional one would be a layer of its own, and with hundreds of them
// every frame of the whole page, a scrolled list too, would be put together from as many.
L.Browser.ie3d = true;
export const map = L.map("map", { zoomControl: false, attributionControl: false, zoomSnap: 0.25, maxZoom: 20, minZoom: 3 });
const layers = { mask: L.layerGroup(), beside: L.layerGroup(), inside: L.layerGroup(), labels: L.layerGroup(), cameras: L.layerGroup(), badges: L.layerGroup() };
const canvas = {};
// The badges on the map by what they show.
const badged = new Map();
let cameras = [];
let bounds = null;
let nearby = null;
// What the map was last fitted to; null once somebody has moved it.
let fitted = null;

function pane(name, zIndex, clicks = true) {
  const made = map.createPane(name);
  made.style.zIndex = zIndex;
  if (!clicks) made.style.pointerEvents = "none";
}

// Areas.

const collections = new Map();
const areas = (parent) => {
  const key = parent ?? "";
  if (!collections.has(key)) collections.set(key, read("units/geojson/", { parent: key }));
  return collections.get(key);
};

const area = (features, style, onAdd) => L.geoJSON(features.filter((feature) => feature.geometry), { pane: "areas", style, onEachFeature: onAdd });

function clickable(feature, layer) {
  const { id, name, cameras: count } = feature.properties;
  layer.bindTooltip(element("div", {}, element("b", { text: place(name) }), element("br"), cameraCount(count)), { sticky: true, direction: "top", offset: [0, -6], opacity: 1 });
  layer.on("click", (event) => {
    L.DomEvent.stop(event);
    if (!hitNear(event.containerPoint)) choose(id);
  });
  layer.on("mouseover", () => layer.setStyle({ fillOpacity: 0.16, weight: 2.5 }));
  layer.on("mouseout", () => layer.setStyle(layer.options.rest));
  layer.options.rest = { fillOpacity: layer.options.fillOpacity, weight: layer.options.weight };
}

const cameraCount = (count) => interpolate(ngettext("%(n)s camera", "%(n)s cameras", count), { n: number(count ?? 0) });

/** Draw a unit, what lies in it and what lies beside it; with none, the top of the tree. */
async function drawUnit(unit) {
  const above = unit?.ancestors?.at(-1)?.id ?? null;
  const roots = await areas(null);
  const root = roots.features.length === 1 ? roots.features[0] : null;
  const [inside, beside] = unit
    ? await Promise.all([areas(unit.id), areas(above)])
    : [root ? await areas(root.properties.id) : roots, { features: root ? [root] : [] }];
  if ((get("unit")?.id ?? null) !== (unit?.id ?? null)) return;
  const own = beside.features.find((feature) => feature.properties.id === unit?.id);
  paint(inside.features, beside.features.filter((feature) => feature !== own && unit), own);
  bounds = boundsOf(own ? [own] : inside.features.length ? inside.features : roots.features);
  if (bounds?.isValid() && !get("path") && !get("area")) fit(bounds);
  show(byId("map-hint"), !get("search") && inside.features.length > 0);
  crumbs(unit, root);
  byId("map").dataset.unit = unit?.id ?? "top";
}

function paint(inside, beside, own) {
  const ink = colour("--map-unit");
  for (const name of ["mask", "beside", "inside", "labels"]) layers[name].clearLayers();
  if (own?.geometry) {
    const rings = L.geoJSON(own).getLayers().flatMap((layer) => holes(layer.getLatLngs()));
    layers.mask.addLayer(L.polygon([WORLD, ...rings], { pane: "areas", stroke: false, fillColor: colour("--map-ground"), fillOpacity: 0.55, interactive: false }));
  }
  layers.beside.addLayer(area(beside, { color: ink, weight: 1, opacity: 0.35, fillColor: ink, fillOpacity: 0.001 }, clickable));
  layers.inside.addLayer(area(inside, { color: ink, weight: 1.4, opacity: 0.55, fillColor: ink, fillOpacity: 0.025 }, clickable));
  if (own?.geometry) layers.inside.addLayer(area([own], { color: ink, weight: 2.5, opacity: 0.75, fill: inside.length === 0, fillColor: ink, fillOpacity: 0.1, interactive: false }));
  label(inside.length ? inside : own ? [own] : []);
}

/** The outer rings of a polygon or of several, flat. */
const holes = (rings) => (Array.isArray(rings[0]) ? rings.flatMap(holes) : [rings]);

function label(features) {
  for (const feature of features.filter((candidate) => candidate.geometry)) {
    const box = boundsOf([feature]);
    const html = element("span", { text: place(feature.properties.name) });
    const marker = L.marker(box.getCenter(), { icon: L.divIcon({ className: "unit-label", html, iconSize: [0, 0] }), interactive: false, keyboard: false, pane: "labels" });
    marker.box = box;
    marker.width = place(feature.properties.name).length * 7;
    layers.labels.addLayer(marker);
  }
  thinLabels();
}

/** A name is shown only where its unit is wide enough for it. */
function thinLabels() {
  layers.labels.eachLayer((marker) => {
    const width = map.latLngToContainerPoint(marker.box.getNorthEast()).x - map.latLngToContainerPoint(marker.box.getSouthWest()).x;
    marker.setOpacity(width > marker.width * 0.8 ? 1 : 0);
  });
}

const boundsOf = (features) => L.geoJSON(features.filter((feature) => feature.geometry)).getBounds();

/** Show all of it, and keep it in view when the map changes its size, until somebody moves the map. */
export function fit(target, animate = !calm.matches) {
  fitted = target;
  // A map that is not on show has no size; it is fitted when it gets one.
  if (map.getSize().x && map.getSize().y) map.fitBounds(target, { padding: [26, 26], maxZoom: 18, animate });
}

/** Take the room the map has now. It is drawn anew a moment later, if nothing else has moved it by then. */
export const resize = () => map.invalidateSize({ pan: false, debounceMoveend: true });

function resized() {
  const size = map.getSize();
  if (size.x === byId("map").clientWidth && size.y === byId("map").clientHeight) return;
  resize();
  if (fitted) fit(fitted, false);
}

function crumbs(unit, root) {
  const steps = unit ? [...unit.ancestors, unit] : root ? [root.properties] : [];
  const pieces = steps.flatMap((step, index) => {
    const last = unit && index === steps.length - 1;
    const part = last ? element("b", { text: place(step.name), title: step.name, "aria-current": "location" }) : element("button", { type: "button", text: place(step.name), title: step.name });
    if (!last) part.addEventListener("click", () => choose(step.id));
    return index ? [element("span", { text: "/", "aria-hidden": "true" }), part] : [part];
  });
  byId("breadcrumb").replaceChildren(...pieces);
}

// Cameras.

async function drawCameras(unit) {
  const collection = await read("cameras/geojson/", { unit: unit?.id });
  if ((get("unit")?.id ?? null) !== (unit?.id ?? null)) return;
  cameras = collection.features.map(({ properties, geometry }) => {
    const at = L.latLng(geometry.coordinates[1], geometry.coordinates[0]);
    return { ...properties, at, world: map.project(at, 0) };
  });
  paintCameras();
}

/** Draw what is in view: single cameras with their view cones, and a bubble with a number where many are close. */
function paintCameras() {
  layers.cameras.clearLayers();
  if (!map._loaded) return;
  const reach = metresPerPixel() * CONE_PIXELS;
  const { clusters, singles } = clustered(inView());
  for (const camera of singles) drawCamera(camera, Math.max(camera.view_radius_m, reach));
  for (const group of clusters) layers.cameras.addLayer(bubble(group));
}

function drawCamera(camera, reach) {
  const tint = colour(camera.status === "online" ? "--map-unit" : "--ink-3");
  const common = { renderer: canvas.cameras, pane: "cameras", interactive: false };
  layers.cameras.addLayer(L.polygon(cone(camera, reach), { ...common, stroke: false, fillColor: tint, fillOpacity: 0.28 }));
  layers.cameras.addLayer(L.circleMarker(camera.at, { ...common, radius: 4.5, color: tint, weight: 2, dashArray: camera.status === "online" ? null : "2 2", fillColor: colour("--surface"), fillOpacity: 1 }));
}

/** Cameras in the window and a margin around it; twenty thousand are looked through in a millisecond or two. */
function inView() {
  const box = map.getBounds().pad(0.2);
  const [west, south, east, north] = [box.getWest(), box.getSouth(), box.getEast(), box.getNorth()];
  return cameras.filter(({ at }) => at.lng >= west && at.lng <= east && at.lat >= south && at.lat <= north);
}

/** Cells of a fixed grid over the world's pixels: a cell with many cameras is one bubble, whatever the window shows. */
function clustered(shown) {
  const scale = 2 ** map.getZoom();
  const cells = new Map();
  for (const camera of shown) {
    const key = `${Math.floor((camera.world.x * scale) / CELL_PIXELS)}:${Math.floor((camera.world.y * scale) / CELL_PIXELS)}`;
    if (cells.has(key)) cells.get(key).push(camera);
    else cells.set(key, [camera]);
  }
  const groups = [...cells.values()];
  return { clusters: groups.filter((group) => group.length >= CLUSTER_FROM), singles: groups.filter((group) => group.length < CLUSTER_FROM).flat() };
}

function bubble(group) {
  const bounds = L.latLngBounds(group.map((camera) => camera.at));
  const size = group.length < 50 ? "" : group.length < 500 ? " many" : " most";
  const icon = L.divIcon({ className: `camera-cluster${size}`, html: element("span", { text: number(group.length) }), iconSize: [0, 0] });
  const title = cameraCount(group.length);
  const marker = L.marker(bounds.getCenter(), { icon, title, alt: title, pane: "cameras", keyboard: false });
  return marker.on("click", () => map.fitBounds(bounds, { padding: [40, 40], maxZoom: Math.max(map.getZoom() + 2, 17), animate: !calm.matches }));
}

const metresPerPixel = () => (40075016.7 * Math.cos((map.getCenter().lat * Math.PI) / 180)) / 256 / 2 ** map.getZoom();

/** The view cone as a polygon: heading in degrees clockwise from north, radius in metres. */
function cone(camera, radius) {
  const half = Math.min(360, camera.field_of_view) / 2;
  const steps = Math.max(4, Math.ceil(half / 8));
  const points = half < 180 ? [camera.at] : [];
  for (let step = -steps; step <= steps; step += 1) {
    const angle = ((camera.heading + (half * step) / steps) * Math.PI) / 180;
    points.push(offset(camera.at, radius * Math.sin(angle), radius * Math.cos(angle)));
  }
  return points;
}

const offset = (place, east, north) => L.latLng(place.lat + north / 111320, place.lng + east / (111320 * Math.cos((place.lat * Math.PI) / 180)));

/** Hits that are shown, counted by place: a number on the map, darker where one is likelier. What stays is left alone. */
function badges() {
  const wanted = new Map(likeliest(get("shown")).map((hits) => [signOf(hits), hits]));
  for (const [sign, marker] of badged) if (!wanted.has(sign)) unbadge(sign, marker);
  for (const [sign, hits] of wanted) if (!badged.has(sign)) badged.set(sign, badge(hits).addTo(layers.badges));
}

/** All that a badge shows and leads to. */
const signOf = (hits) => [keyOf(bestOf(hits)), tone(bestOf(hits).likelihood), hits.length, camerasOf(hits), inHand(hits)].join(" ");
const bestOf = (hits) => hits.reduce((one, other) => (other.likelihood > one.likelihood ? other : one));
const camerasOf = (hits) => new Set(hits.map((hit) => hit.camera.id)).size;
const inHand = (hits) => hits.some((hit) => keyOf(hit) === get("selected"));

function unbadge(sign, marker) {
  layers.badges.removeLayer(marker);
  badged.delete(sign);
}

/** The hits of each place, of the places with the likeliest ones; the list has them all. */
function likeliest(shown) {
  const groups = new Map();
  const mine = shown.find((hit) => keyOf(hit) === get("selected"))?.camera.id;
  for (const hit of shown) {
    const place = hit.camera.id === mine ? mine : cellOf(hit.camera);
    if (groups.has(place)) groups.get(place).push(hit);
    else groups.set(place, [hit]);
  }
  return [...groups.values()].sort((one, other) => bestOf(other).likelihood - bestOf(one).likelihood).slice(0, BADGES_MOST);
}

/** Cameras whose badges would lie over one another share one; that of the hit in hand has its own. */
function cellOf({ latitude, longitude }) {
  const { x, y } = map.project([latitude, longitude]);
  return `${Math.floor(x / BADGE_PIXELS)}:${Math.floor(y / BADGE_PIXELS)}`;
}

/** At the camera of the likeliest of these hits. */
function badge(hits) {
  const best = bestOf(hits);
  const { camera } = best;
  const where = camerasOf(hits) > 1 ? cameraCount(camerasOf(hits)) : place(camera.name);
  const title = `${where}: ${interpolate(ngettext("%(n)s sighting", "%(n)s sightings", hits.length), { n: hits.length })}`;
  const icon = L.divIcon({ className: `camera-badge tone-${tone(best.likelihood)}${inHand(hits) ? " current" : ""}`, html: element("span", { text: String(hits.length) }), iconSize: [0, 0], iconAnchor: [-15, 15] });
  const marker = L.marker([camera.latitude, camera.longitude], { icon, title, alt: title, pane: "badges", riseOnHover: true });
  return marker.on("click", () => take(best));
}

function take(hit) {
  select(keyOf(hit));
  if (narrow.matches) app.dataset.view = "hits";
}

function hitNear(point) {
  const camera = cameraNear(point);
  const hit = camera && get("shown").find((candidate) => candidate.camera.id === camera.id);
  if (hit) take(hit);
  return Boolean(hit);
}

function cameraNear(point) {
  let [found, least] = [null, NEAR_PIXELS];
  for (const camera of around(map.containerPointToLatLng(point))) {
    const far = map.latLngToContainerPoint(camera.at).distanceTo(point);
    if (far < least) [found, least] = [camera, far];
  }
  return found;
}

/** Cameras within a few pixels, give or take. */
function around(place) {
  const margin = (NEAR_PIXELS * 360) / 256 / 2 ** map.getZoom();
  return cameras.filter(({ at }) => Math.abs(at.lng - place.lng) < margin && Math.abs(at.lat - place.lat) < margin);
}

/** The canvas takes no clicks, so the tooltip of a camera is found by distance. */
function hover(event) {
  const camera = cameraNear(event.containerPoint);
  if (camera === nearby?.camera) return;
  nearby?.tip.remove();
  nearby = null;
  if (!camera) return;
  const content = element("div", {}, element("b", { text: place(camera.name) }), element("br"), [camera.code, STATUS[camera.status]].filter(Boolean).join(" · "));
  nearby = { camera, tip: L.tooltip({ direction: "top", offset: [0, -8], opacity: 1 }).setLatLng(camera.at).setContent(content).addTo(map) };
}

/** Bring a hit's camera into the middle. */
export function showHit(hit) {
  if (!hit) return;
  fitted = null;
  map.setView([hit.camera.latitude, hit.camera.longitude], Math.max(map.getZoom(), 16), { animate: !calm.matches });
}

export function start() {
  pane("areas", 350);
  pane("cameras", 380, false);
  pane("labels", 390, false);
  pane("path", 420);
  pane("badges", 620);
  pane("stops", 640);
  canvas.cameras = L.canvas({ pane: "cameras", padding: 0.3 });
  L.control.zoom({ position: "topleft", zoomInTitle: gettext("Zoom in"), zoomOutTitle: gettext("Zoom out") }).addTo(map);
  L.control.scale({ imperial: false, position: "bottomright" }).addTo(map);
  for (const layer of Object.values(layers)) layer.addTo(map);
  map.setView([0, 0], 3);
  addBasemap(map).catch(() => null);
  map.on("zoomend", thinLabels);
  map.on("zoomend", badges);
  map.on("moveend", paintCameras);
  map.on("mousemove", hover);
  new ResizeObserver(resized).observe(byId("map"));
  for (const name of ["pointerdown", "wheel", "keydown"]) {
    byId("map").addEventListener(name, () => {
      fitted = null;
    });
  }
  byId("fit-unit").addEventListener("click", () => bounds && fit(bounds));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(get("unit")));
  watch(["shown", "selected"], badges);
  watch("unit", draw);
  watch("search", () => show(byId("map-hint"), false));
  // A whole city's cameras are not read for a page that is about to show a part of it.
  if (!given()) draw(null);
}

function draw(unit) {
  drawUnit(unit).catch(fail);
  drawCameras(unit).catch(fail);
}

function fail(error) {
  collections.clear();
  byId("map-hint").textContent = error.message;
  show(byId("map-hint"), true);
}

