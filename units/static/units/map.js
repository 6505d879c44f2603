// The ground every editor draws on: no tiles, our own GeoJSON. Leaflet is a plain script and stands in the global L.

const FALLBACK = { center: [34.5, 108.9], zoom: 4 };
const LETTER_PIXELS = 7;

/** A map in `element`: the base map (areas, then roads), above it a pane for units. */
export function createMap(element, addresses) {
  const map = L.map(element, { attributionControl: false, zoomSnap: 0.5, maxZoom: 21, ...FALLBACK });
  map.createPane("base").style.zIndex = 250;
  map.createPane("unit").style.zIndex = 300;
  L.control.scale({ imperial: false }).addTo(map);
  map.whenBaseKnown = drawBase(map, addresses.basemap);
  return map;
}

/** The features at an address; an empty collection where there is nothing to see. */
export async function features(address, query = {}) {
  const wanted = new URLSearchParams(query).toString();
  const answer = await fetch(wanted ? `${address}?${wanted}` : address, { credentials: "same-origin" });
  return answer.ok ? answer.json() : { type: "FeatureCollection", features: [] };
}

/** Areas of units, drawn by CSS class, with their names as labels where there is room. */
export function unitLayer(collection, className, { labels = true } = {}) {
  const layer = L.geoJSON(collection, {
    pane: "unit",
    interactive: false,
    style: () => ({ className: `map-unit ${className}`, weight: 1.5 }),
  });
  if (labels) layer.on("add", ({ target }) => labelled(target));
  return layer;
}

/** Names appear and go with the zoom: one that is wider than its area would lie on its neighbours'. */
function labelled(group) {
  const map = group._map;
  const renew = () => group.eachLayer((layer) => label(map, layer));
  renew();
  map.on("zoomend", renew);
  group.once("remove", () => map.off("zoomend", renew));
}

function label(map, layer) {
  const { name } = layer.feature.properties;
  const bounds = layer.getBounds();
  const pixels = map.latLngToLayerPoint(bounds.getNorthEast()).x - map.latLngToLayerPoint(bounds.getSouthWest()).x;
  layer.unbindTooltip();
  if (pixels > name.length * LETTER_PIXELS) {
    layer.bindTooltip(escaped(name), { permanent: true, direction: "center", className: "map-label" });
  }
}

/** west,south,east,north of what is in sight. */
export function boxInSight(map) {
  return map.getBounds().pad(0.2).toBBoxString();
}

/** Fit to the first of the layers that has an extent; else the base map, else leave the view. */
export async function fitFirst(map, layers) {
  const base = await map.whenBaseKnown;
  const bounds = [...layers, base].map((layer) => layer?.getBounds?.()).find((found) => found?.isValid());
  if (bounds) map.fitBounds(bounds.pad(0.15), { animate: false });
}

export function escaped(text) {
  const holder = document.createElement("span");
  holder.textContent = text;
  return holder.innerHTML;
}

async function drawBase(map, address) {
  const base = await features(address);
  return L.geoJSON(base, {
    interactive: false,
    pane: "base",
    filter: (feature) => Boolean(feature.geometry),
    style: (feature) => {
      const { layer, kind } = feature.properties;
      return { className: `map-${layer} map-${layer}-${kind}`, weight: layer === "road" ? 3 : 0 };
    },
  }).addTo(map);
}
