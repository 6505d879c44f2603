// The polygon editor of a unit: Leaflet.draw over the base map, the unit above, the units beside it and below it.
import { createMap, features, fitFirst, unitLayer } from "./map.js";

const SNAP_PIXELS = 10;
const DECIMALS = 7;

const settings = JSON.parse(document.getElementById("area-editor").textContent);
const words = settings.words;
const element = document.querySelector(".area-map");
const text = document.getElementById(element.dataset.field);
const problem = document.querySelector(".area-editor .map-problem");
const parent = document.getElementById("id_parent");
const own = text.dataset.unit;
const undoButton = document.querySelector(".area-undo");
const before = [];
let written = text.value;

L.Polyline._flat = L.LineUtil.isFlat; // the drawing tools ask by its old name
translateTools();
const map = createMap(element, settings);
const drawn = new L.FeatureGroup().addTo(map);
const around = new L.FeatureGroup().addTo(map);
const tools = new L.Control.Draw({
  draw: {
    polygon: { allowIntersection: false, showArea: false, shapeOptions: { className: "map-own" }, drawError: { message: words.crossing } },
    rectangle: { showArea: false, shapeOptions: { className: "map-own" } },
    polyline: false, circle: false, marker: false, circlemarker: false,
  },
  edit: { featureGroup: drawn },
}).addTo(map);

// Corners are buttons without a word.
new MutationObserver(() => {
  for (const corner of element.querySelectorAll(".leaflet-editing-icon:not([aria-label])")) corner.setAttribute("aria-label", words.corner);
}).observe(map.getPane("markerPane"), { childList: true });

map.on(L.Draw.Event.CREATED, ({ layer }) => {
  drawn.addLayer(L.polygon(layer.getLatLngs(), { className: "map-own" }));
  snap();
  write();
});
map.on(L.Draw.Event.EDITED, () => { snap(); write(); });
// Corners count from the moment they are dropped: who presses Save without Done loses nothing.
map.on([L.Draw.Event.EDITVERTEX, L.Draw.Event.DELETED, L.Draw.Event.EDITSTOP, L.Draw.Event.DELETESTOP].join(" "), write);
text.addEventListener("change", () => { remember(); read(); });
undoButton.addEventListener("click", undo);
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=submit]), textarea, select");
  if ((event.ctrlKey || event.metaKey) && event.key === "z" && !event.shiftKey && !typing && before.length) { event.preventDefault(); undo(); }
});
text.form.addEventListener("submit", (event) => { finish(); refuse(event); });
// The field of the unit above speaks through jQuery alone.
if (parent) django.jQuery(parent).on("change", async () => { await drawAround(); fitFirst(map, [drawn, around]); });

read();
await drawAround();
await fitFirst(map, [drawn, around]);
element.removeAttribute("aria-busy");

/** Text to map. A MultiPolygon becomes one layer per part, because Leaflet.draw edits single polygons. */
function read() {
  drawn.clearLayers();
  problem.hidden = true;
  if (!text.value.trim()) return;
  try {
    for (const rings of partsOf(JSON.parse(text.value))) {
      drawn.addLayer(L.polygon(L.GeoJSON.coordsToLatLngs(rings, 1), { className: "map-own" }));
    }
  } catch {
    problem.textContent = words.bad;
    problem.hidden = false;
  }
}

function partsOf(value) {
  const geometry = value.type === "Feature" ? value.geometry : value;
  if (geometry.type === "Polygon") return [geometry.coordinates];
  if (geometry.type === "MultiPolygon") return geometry.coordinates;
  throw new TypeError(geometry.type);
}

/** Map to text. */
function write() {
  const parts = drawn.getLayers().map((layer) => layer.toGeoJSON(DECIMALS).geometry.coordinates);
  const geometry = parts.length === 1 ? { type: "Polygon", coordinates: parts[0] } : { type: "MultiPolygon", coordinates: parts };
  text.value = parts.length ? JSON.stringify(geometry) : "";
  remember();
  tellCrossing();
}

/** Every shape that was can be brought back, also while its corners are being moved. */
function remember() {
  if (text.value === written) return;
  before.push(written);
  written = text.value;
  undoButton.disabled = false;
}

function undo() {
  const editing = tools._toolbars.edit._activeMode;
  editing?.handler.disable();
  text.value = written = before.pop();
  undoButton.disabled = !before.length;
  read();
  if (editing && text.value) editing.handler.enable();
}

function tellCrossing() {
  const isCrossed = drawn.getLayers().some((layer) => layer.getLatLngs().some(crossed));
  problem.textContent = isCrossed ? words.crossed : "";
  problem.hidden = !isCrossed;
  return isCrossed;
}

/** Nothing is sent that the server would refuse for this: the shape and all that was typed stay as they are. */
function refuse(event) {
  if (!tellCrossing()) return;
  event.preventDefault();
  problem.scrollIntoView({ block: "center" });
}

/** Whether two sides of a ring cross that have no corner in common. */
function crossed(ring) {
  const sides = ring.map((corner, index) => [corner, ring[(index + 1) % ring.length]]);
  const apart = (i, j) => j - i > 1 && !(i === 0 && j === sides.length - 1);
  return sides.some((side, i) => sides.some((other, j) => apart(i, j) && meets(side, other)));
}

function meets([a, b], [c, d]) {
  return turn(a, b, c) * turn(a, b, d) < 0 && turn(c, d, a) * turn(c, d, b) < 0;
}

function turn(a, b, c) {
  return Math.sign((b.lng - a.lng) * (c.lat - a.lat) - (b.lat - a.lat) * (c.lng - a.lng));
}

/** Close a shape that is still being drawn when the form is sent. */
function finish() {
  const drawing = tools._toolbars.draw._activeMode?.handler;
  if (drawing?._markers?.length > 2) drawing.completeShape();
}

/** Corners close to a corner of a neighbour take its place, so that areas share their borders. */
function snap() {
  const corners = around.getLayers().flatMap((group) => group.getLayers()).flatMap((layer) => flat(layer.getLatLngs?.() ?? []));
  for (const layer of drawn.getLayers()) {
    layer.setLatLngs(layer.getLatLngs().map((ring) => ring.map((corner) => nearest(corner, corners) ?? corner)));
  }
}

function nearest(corner, corners) {
  const here = map.latLngToLayerPoint(corner);
  let best = null;
  let least = SNAP_PIXELS;
  for (const other of corners) {
    const pixels = here.distanceTo(map.latLngToLayerPoint(other));
    if (pixels < least) [best, least] = [other, pixels];
  }
  return best && L.latLng(best.lat, best.lng);
}

function flat(latLngs) {
  return latLngs.flat(Infinity);
}

async function drawAround() {
  const above = parent?.value;
  const [over, beside, below] = await Promise.all([
    above ? features(settings.units, { ids: above }) : null,
    above ? features(settings.units, { parent: above }) : features(settings.units),
    own ? features(settings.units, { parent: own }) : null,
  ]);
  around.clearLayers();
  if (over) around.addLayer(unitLayer(over, "map-above", { labels: false }));
  around.addLayer(unitLayer({ ...beside, features: beside.features.filter((unit) => String(unit.id) !== own) }, "map-beside"));
  if (below) around.addLayer(unitLayer(below, "map-below", { labels: false }));
}

function translateTools() {
  const { draw, edit } = L.drawLocal;
  draw.toolbar.buttons.polygon = words.polygon;
  draw.toolbar.buttons.rectangle = words.rectangle;
  Object.assign(draw.toolbar.actions, { title: words.cancel, text: words.cancel });
  Object.assign(draw.toolbar.finish, { title: words.finish, text: words.finish });
  Object.assign(draw.toolbar.undo, { title: words.undo, text: words.undo });
  Object.assign(draw.handlers.polygon.tooltip, { start: words.start, cont: words.next, end: words.close });
  draw.handlers.rectangle.tooltip.start = words.drag;
  draw.handlers.simpleshape.tooltip.end = words.drag;
  Object.assign(edit.toolbar.actions.save, { title: words.save, text: words.save });
  Object.assign(edit.toolbar.actions.cancel, { title: words.cancel, text: words.cancel });
  Object.assign(edit.toolbar.actions.clearAll, { title: words.clear, text: words.clear });
  Object.assign(edit.toolbar.buttons, { edit: words.edit, editDisabled: words.edit, remove: words.remove, removeDisabled: words.remove });
  Object.assign(edit.handlers.edit.tooltip, { text: words.corners, subtext: "" });
  edit.handlers.remove.tooltip.text = words.pick;
}
