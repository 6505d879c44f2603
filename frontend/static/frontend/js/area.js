// A drawn area instead of a unit: Leaflet.draw sets the corners, by mouse, finger or keyboard.

import { colour } from "./basemap.js";
import { gettext } from "./i18n.js";
import { fit, map } from "./map.js";
import { announce, app, byId, show } from "./page.js";
import { get, set, watch } from "./store.js";
import { choose } from "./units.js";

const L = window.L;
const DECIMALS = 7;
const LEAST = 3;
const PANE = "area";

const layer = L.featureGroup();
let drawing = null;
let before = null;

const style = () => ({ color: colour("--area"), weight: 2.5, dashArray: "7 4", fillColor: colour("--area"), fillOpacity: 0.08, pane: PANE });

/** Begin to draw; the corners of a drawing that is under way are thrown away. */
export function draw() {
  stop();
  before = { area: get("area"), unit: get("unit") };
  layer.clearLayers();
  app.dataset.view = "map";
  translate();
  drawing = new L.Draw.Polygon(map, { allowIntersection: false, showArea: false, shapeOptions: style(), icon: corner(), touchIcon: corner(), drawError: { message: gettext("The sides may not cross.") } });
  drawing.enable();
  byId("map-frame").classList.add("drawing");
  show(byId("area-bar"), true);
  map.getContainer().focus();
  announce(byId("area-help").textContent);
}

const corner = () => L.divIcon({ className: "area-corner", iconSize: [14, 14] });

function translate() {
  const { tooltip } = L.drawLocal.draw.handlers.polygon;
  Object.assign(tooltip, { start: gettext("Click the first corner."), cont: gettext("Click the next corner."), end: gettext("Click the first corner to close the area.") });
}

/** Put the tool away; nothing is taken over. */
function stop() {
  drawing?.disable();
  drawing = null;
  byId("map-frame").classList.remove("drawing");
  show(byId("area-bar"), false);
}

function cancel() {
  stop();
  paint();
  announce(gettext("The area was not drawn."));
}

const corners = () => drawing?._markers.length ?? 0;

/** The corner under the cross in the middle of the map. */
function dropHere() {
  drawing?.addVertex(map.getCenter());
}

function takeBack() {
  if (corners() > 1) drawing.deleteLastVertex();
  else if (corners()) draw();
}

function finish() {
  if (corners() < LEAST) return announce(gettext("An area needs three corners at least."));
  return drawing.completeShape();
}

const KEYS = { Enter: dropHere, " ": dropHere, Backspace: takeBack, Delete: takeBack, Escape: cancel, f: finish, F: finish };

/** Arrows move the map below the cross, as Leaflet has it; these are the rest. */
function onKey(event) {
  if (!drawing || !KEYS[event.key] || event.target.closest("button, input")) return;
  event.preventDefault();
  event.stopPropagation();
  KEYS[event.key]();
}

function onCreated(event) {
  stop();
  take(event.layer.toGeoJSON(DECIMALS).geometry);
}

/** Make an area the one to be searched. Its unit follows from the cameras inside, which the server knows. */
export function take(geometry) {
  set("area", geometry);
}

/** No area any more; the unit that was chosen before is chosen again. */
function clear() {
  set("area", null);
  choose(before?.unit?.id ?? null);
  byId("area-draw").focus();
}

function paint() {
  layer.clearLayers();
  const area = get("area");
  if (!area) return;
  for (const part of parts(area)) {
    const polygon = L.polygon(L.GeoJSON.coordsToLatLngs(part, 1), { ...style(), interactive: false });
    layer.addLayer(polygon);
    if (get("search")) continue;
    polygon.editing.enable();
    polygon.on("edit", onEdit);
  }
}

const parts = (area) => (area.type === "Polygon" ? [area.coordinates] : area.coordinates);

function onEdit() {
  const rings = layer.getLayers().map((polygon) => polygon.toGeoJSON(DECIMALS).geometry.coordinates);
  set("area", rings.length === 1 ? { type: "Polygon", coordinates: rings[0] } : { type: "MultiPolygon", coordinates: rings });
}

/** Leaflet.draw's corners are dragged by mouse or finger alone; to the keyboard they are no buttons: it has the cross. */
function quietCorners() {
  for (const corner of map.getPanes().markerPane.querySelectorAll(".leaflet-mouse-marker, .area-corner, .leaflet-editing-icon")) {
    corner.removeAttribute("role");
    corner.removeAttribute("tabindex");
  }
}

export function start() {
  // Leaflet.draw asks by the old name, of which Leaflet warns.
  L.Polyline._flat = L.LineUtil.isFlat;
  map.createPane(PANE).style.zIndex = 410;
  new MutationObserver(quietCorners).observe(map.getPanes().markerPane, { childList: true });
  layer.addTo(map);
  map.on(L.Draw.Event.CREATED, onCreated);
  map.getContainer().addEventListener("keydown", onKey, true);
  const buttons = { "area-draw": draw, "area-draw-form": draw, "area-here": dropHere, "area-back": takeBack, "area-finish": finish, "area-cancel": cancel };
  for (const [id, action] of Object.entries(buttons)) byId(id).addEventListener("click", action);
  byId("chosen-unit").addEventListener("click", (event) => event.target.closest("[data-area=clear]") && clear());
  watch(["area", "search"], () => paint());
  const given = JSON.parse(byId("area-given").textContent);
  if (given) {
    take(given);
    fit(layer.getBounds(), false);
  }
}
