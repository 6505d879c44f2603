// Where the last sighting may lead: the part of the city that can be reached from it, and the cameras there.

import { read } from "./api.js";
import { take } from "./area.js";
import { colour } from "./basemap.js";
import { distance, fullTime, place, span } from "./format.js";
import { gettext, interpolate, ngettext } from "./i18n.js";
import { fit, map } from "./map.js";
import { app, byId, complain, element, show } from "./page.js";
import { setFrom } from "./query.js";
import { get, watch } from "./store.js";

const L = window.L;
const LISTED = 8;
const layer = L.layerGroup();
const form = byId("reach");
let found = null;
let asked = 0;

const minutes = () => Number(byId("reach-minutes").value);

async function load() {
  byId("reach-minutes-value").textContent = interpolate(gettext("%(n)s min"), { n: minutes() });
  if (!byId("reach-show").checked || !get("path")) return clear();
  const own = (asked += 1);
  const answer = await read(`searches/${get("search")}/reach.geojson`, { minutes: minutes(), speed: byId("reach-speed").value });
  if (own !== asked) return undefined;
  found = answer;
  return draw();
}

function clear() {
  asked += 1;
  found = null;
  layer.clearLayers();
  byId("reach-result").replaceChildren();
  show(byId("reach-search"), false);
}

function draw() {
  layer.clearLayers();
  const ink = colour("--path");
  const area = L.geoJSON(found, { pane: "areas", interactive: false, style: { color: ink, weight: 1.5, dashArray: "2 5", fillColor: ink, fillOpacity: 0.1 } });
  layer.addLayer(area);
  fit(area.getBounds().pad(0.05));
  tell(found.properties);
  show(byId("reach-search"), found.properties.cameras.length > 0);
}

function tell({ since, until, metres, on_streets: onStreets, cameras }) {
  const values = { until: fullTime(until).slice(11, 16), since: fullTime(since).slice(11, 16), distance: distance(metres) };
  const head = interpolate(onStreets ? gettext("From %(since)s to %(until)s: up to %(distance)s along the streets.") : gettext("From %(since)s to %(until)s: up to %(distance)s as the crow flies; there is no street near."), values);
  const count = interpolate(ngettext("%(n)s searched camera lies within it:", "%(n)s searched cameras lie within it:", cameras.length), { n: cameras.length });
  const rows = cameras.slice(0, LISTED).map((camera) => element("li", { title: camera.name }, element("span", { text: place(camera.name) }), element("small", { class: "note", text: interpolate(gettext("after %(time)s"), { time: span(camera.seconds) }) })));
  if (cameras.length > LISTED) rows.push(element("li", { class: "note", text: interpolate(gettext("and %(n)s more"), { n: cameras.length - LISTED }) }));
  byId("reach-result").replaceChildren(element("p", { text: head }), element("p", { text: cameras.length ? count : gettext("No searched camera lies within it.") }), element("ul", { class: "gap-cameras" }, ...rows));
}

/** The area and the time after the last sighting become those of the form: one press on Search looks there. */
function searchThere() {
  take(found.geometry);
  setFrom(found.properties.since);
  app.dataset.view = "query";
  byId("search-button").focus();
}

export function start() {
  layer.addTo(map);
  const ask = () => load().catch((error) => complain(error.message));
  form.addEventListener("change", ask);
  byId("reach-minutes").addEventListener("input", () => {
    byId("reach-minutes-value").textContent = interpolate(gettext("%(n)s min"), { n: minutes() });
  });
  byId("reach-search").addEventListener("click", searchThere);
  watch("path", ask);
}
