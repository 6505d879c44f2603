// The base map from our own server: water, parks and streets on a plain ground, drawn into one canvas.

import { read } from "./api.js";
import { place } from "./format.js";
import { language } from "./i18n.js";
import { app, element } from "./page.js";

const L = window.L;
// Width in pixels at zoom 15 and whether the road is a main one.
const ROADS = { motorway: [6, true], avenue: [5, true], primary: [5, true], main: [5, true], secondary: [4, true], ring: [5, true], street: [3, false], residential: [2.5, false], lane: [2.4, false], path: [1.3, false], footway: [1.2, false], alley: [1.5, false] };
const AREAS = { water: "--map-water", river: "--map-water", lake: "--map-water", park: "--map-park", wood: "--map-park", green: "--map-park", square: "--map-square", plaza: "--map-square" };
const AREA_ORDER = ["--map-building", "--map-square", "--map-park", "--map-water"];

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const isRoad = (feature) => feature.geometry.type.endsWith("LineString");
const areaColour = (feature) => AREAS[feature.properties.kind] ?? "--map-building";
const roadOf = (feature) => ROADS[feature.properties.kind] ?? ROADS.street;

/** Add the base map to `map`: the PMTiles archive of the server where it has one, else our own GeoJSON. */
export const addBasemap = (map) => (app.dataset.tilesUrl ? addTiles(map, app.dataset.tilesUrl) : addOwn(map));

const dark = window.matchMedia("(prefers-color-scheme: dark)");

// Where the header of an archive holds its deepest zoom (PMTiles 3). Below it the deepest tiles are drawn larger.
const MAX_ZOOM_AT = 101;

async function maxDataZoom(url) {
  const head = await fetch(url, { headers: { Range: `bytes=0-${MAX_ZOOM_AT}` } });
  return new Uint8Array(await head.arrayBuffer())[MAX_ZOOM_AT];
}

async function addTiles(map, address) {
  const url = new URL(address, location.href).href;
  const deepest = await maxDataZoom(url);
  map.createPane("base").style.zIndex = 200;
  L.control.attribution({ prefix: false, position: "bottomleft" }).addTo(map);
  let layer = null;
  const draw = () => {
    layer?.remove();
    layer = window.protomapsL.leafletLayer({ url, maxDataZoom: deepest, flavor: dark.matches ? "dark" : "light", lang: language.slice(0, 2), pane: "base", attribution: "© OpenStreetMap" }).addTo(map);
  };
  dark.addEventListener("change", draw);
  draw();
}

/** Add our own base map to `map`, below everything; it follows zoom and the dark theme. */
async function addOwn(map) {
  const pane = map.createPane("base");
  pane.style.zIndex = 200;
  pane.style.pointerEvents = "none";
  const renderer = L.canvas({ pane: "base", padding: 0.4 });
  const features = (await read("basemap.geojson")).features;
  const roads = features.filter(isRoad).sort((one, other) => roadOf(one)[0] - roadOf(other)[0]);
  const areas = features.filter((feature) => !isRoad(feature));
  areas.sort((one, other) => AREA_ORDER.indexOf(areaColour(one)) - AREA_ORDER.indexOf(areaColour(other)));
  const layers = [areaLayer(areas), roadLayer(roads, true), roadLayer(roads, false)].map((make) => make(renderer).addTo(map));
  const restyle = () => layers.forEach((layer) => layer.setStyle(layer.styleAt(map.getZoom())));
  map.on("zoomend", restyle);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
  restyle();
  addNames(map, areas);
}

function areaLayer(features) {
  return (renderer) => withStyle(L.geoJSON(features, { renderer, pane: "base", interactive: false }), () => {
    const colours = new Map(AREA_ORDER.map((name) => [name, colour(name)]));
    return (feature) => ({ stroke: false, fillColor: colours.get(areaColour(feature)), fillOpacity: 1 });
  });
}

/** Streets are drawn twice, a wider edge first, so that crossings join. */
function roadLayer(features, edge) {
  return (renderer) => withStyle(L.geoJSON(features, { renderer, pane: "base", interactive: false, smoothFactor: 0.6 }), (zoom) => {
    const scale = Math.min(4, Math.max(0.35, 2 ** ((zoom - 15) * 0.75)));
    const colours = { true: [colour("--map-road-main"), colour("--map-road-main-edge")], false: [colour("--map-road"), colour("--map-road-edge")] };
    return (feature) => {
      const [width, main] = roadOf(feature);
      return { color: colours[main][edge ? 1 : 0], weight: width * scale + (edge ? 1.6 : 0), opacity: 1, lineCap: "round", lineJoin: "round" };
    };
  });
}

function withStyle(layer, styleAt) {
  layer.styleAt = styleAt;
  return layer;
}

/** Names of waters and parks, where there is room for them. */
function addNames(map, areas) {
  const named = areas.filter((feature) => feature.properties.name && areaColour(feature) !== "--map-building");
  const markers = named.map((feature) => {
    const bounds = L.geoJSON(feature).getBounds();
    const html = element("span", { text: place(feature.properties.name) });
    return { bounds, marker: L.marker(bounds.getCenter(), { icon: L.divIcon({ className: "unit-label place-label", html, iconSize: [0, 0] }), interactive: false, keyboard: false, pane: "base" }) };
  });
  const update = () => {
    for (const { bounds, marker } of markers) {
      const size = map.latLngToContainerPoint(bounds.getSouthEast()).subtract(map.latLngToContainerPoint(bounds.getNorthWest()));
      if (size.x > 90 && size.y > 24) marker.addTo(map);
      else marker.remove();
    }
  };
  map.on("zoomend", update);
  update();
}
