// What a file would change, on the map and in the table: a chip shows one kind alone, a line number shows its place.
import { createMap, escaped, features, fitFirst, unitLayer } from "./map.js";

const CLOSE_ZOOM = 17;
const section = document.querySelector(".import-preview");
const element = section?.querySelector(".preview-map");
const rows = [...(section?.querySelectorAll("tbody tr") ?? [])];
const chips = [...(section?.querySelectorAll(".fate-chips button") ?? [])];
const places = element ? await drawn(JSON.parse(document.getElementById("import-preview").textContent)) : null;

for (const chip of chips) chip.addEventListener("click", () => choose(chip));
section?.querySelector("tbody").addEventListener("click", ({ target }) => {
  const line = target.closest(".show-place")?.closest("tr").dataset.line;
  if (line) places?.show(Number(line));
});

function choose(chip) {
  for (const other of chips) other.setAttribute("aria-pressed", String(other === chip));
  for (const row of rows) row.hidden = Boolean(chip.dataset.fate) && row.dataset.fate !== chip.dataset.fate;
  places?.only(chip.dataset.fate);
}

async function drawn(settings) {
  const map = createMap(element, settings);
  unitLayer(await features(settings.units), "map-beside", { labels: false }).addTo(map);
  const renderer = L.canvas({ padding: 0.3 });
  const layers = settings.features.map((feature) => layerOf(feature, renderer));
  const all = L.featureGroup(layers).addTo(map);
  // A place that was refused may lie on the other side of the earth.
  await fitFirst(map, [L.featureGroup(layers.filter((layer) => layer.fate !== "refused")), all]);
  map.on("popupopen", ({ popup }) => mark(popup._source.line));
  element.removeAttribute("aria-busy");
  return {
    only: (fate) => layers.forEach((layer) => (!fate || layer.fate === fate ? all.addLayer(layer) : all.removeLayer(layer))),
    show: (line) => show(map, layers.find((layer) => layer.line === line)),
  };
}

function layerOf(feature, renderer) {
  const style = { ...styleOf(feature.properties.fate), renderer };
  const layer = L.geoJSON(feature, { style, pointToLayer: (_feature, place) => L.circleMarker(place, style) }).getLayers()[0];
  Object.assign(layer, { fate: feature.properties.fate, line: feature.properties.line });
  return layer.bindPopup(escaped(feature.properties.name));
}

/** A colour and a shape for each: what is new is filled, what changes is a ring, what is refused a dashed ring. */
function styleOf(fate) {
  const color = getComputedStyle(section.querySelector(`.fate-${fate} .fate-mark`)).color;
  const filled = { added: 0.9, changed: 0, refused: 0, unchanged: 0.25 }[fate];
  return { color, fillColor: color, fillOpacity: filled, weight: fate === "unchanged" ? 1 : 2.5, radius: 7, dashArray: fate === "refused" ? "3 3" : null };
}

function show(map, layer) {
  if (!layer) return;
  layer.getLatLng ? map.setView(layer.getLatLng(), CLOSE_ZOOM) : map.fitBounds(layer.getBounds());
  layer.openPopup();
  element.scrollIntoView({ block: "nearest" });
}

function mark(line) {
  for (const row of rows) row.classList.toggle("marked", Number(row.dataset.line) === line);
}
