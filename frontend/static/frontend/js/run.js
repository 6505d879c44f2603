// The running search: htmx swaps the progress in every second; when its revision moves, hits and path are read anew.

import { read, send } from "./api.js";
import { gettext, interpolate, listed, ngettext } from "./i18n.js";
import { announce, app, byId, complain, show } from "./page.js";
import { get, set, watch } from "./store.js";

const LIVE = ["queued", "running"];
// Hits of one request, and of the first one of a finished search, for which somebody waits.
const [PAGE, FIRST] = [500, 100];
// After a start and after a verdict the next looks are taken soon, not at the next poll: so long after one another.
const HURRY_MS = [200, ...Array(16).fill(100), 200, 300, 500, 800];
// So many of them are taken whatever the page says: it may say what was so before.
const HURRY_LEAST = 4;

let revision = null;
let loading = Promise.resolve();
let hurries = 0;

export const isLive = () => LIVE.includes(get("state"));

/** Show another search on this page, without a reload. */
export function follow({ id, case: name }) {
  history.pushState({ search: id }, "", app.dataset.pageUrl + id);
  document.title = `${name} · CitySearch`;
  open(id);
  app.dataset.view = "hits";
  announce(gettext("The search has started."));
}

function open(id) {
  revision = null;
  app.dataset.search = id;
  set("selected", null);
  set("window", null);
  set("hits", []);
  set("path", null);
  set("search", id);
  setState("queued");
  window.htmx.ajax("GET", `${app.dataset.pageUrl}${id}/status`, { target: "#progress", swap: "outerHTML" });
  hurry();
}

function setState(state) {
  app.dataset.state = state;
  set("state", state);
  const live = LIVE.includes(state);
  show(byId("stop"), live);
  byId("stop").disabled = false;
  show(byId("parts-toggle"), state !== "empty");
  const welcome = byId("welcome");
  if (welcome) show(welcome, state === "empty");
}

/** Look at the piece that htmx has just swapped in. */
function onProgress() {
  const { state, revision: now, sightings, parts } = byId("progress").dataset;
  const before = get("state");
  if (state !== before) setState(state);
  if (now === revision) return;
  const work = ranked(now) === ranked(revision) ? judged : refresh;
  revision = now;
  // What comes first has its room kept; after a verdict it has it already.
  app.toggleAttribute("data-reading", Number(sightings) > 0 && !get("hits").length);
  loading = loading.then(() => work(now)).catch(failed).finally(() => app.toggleAttribute("data-reading", false));
  tell(before, state, Number(sightings), parts);
}

/** A revision without its newest verdict: as long as this is the same, ranking and path are. */
const ranked = (which) => which?.split(".").toSpliced(-2, 1).join(".");

/** Verdicts are shown before any ranking takes account of them, a colleague's too. */
async function judged() {
  const id = get("search");
  const said = new Map((await read(`searches/${id}/verdicts/`)).map((row) => [row.crop, row.verdict]));
  if (id !== get("search")) return;
  const changed = get("hits").filter((hit) => hit.verdict !== verdictOf(hit, said));
  for (const hit of changed) hit.verdict = verdictOf(hit, said);
  if (changed.length) set("hits", get("hits"));
}

/** The shown crop's own; a sighting with a confirmed crop is confirmed. */
function verdictOf(hit, said) {
  if (hit.burst.some((crop) => said.get(crop) === "confirmed")) return "confirmed";
  return said.get(hit.crop) ?? null;
}

function failed(error) {
  // The next poll tries again.
  revision = null;
  announce(error.message);
}

function tell(before, state, sightings, parts) {
  const [done, total] = parts.split("/");
  const count = interpolate(ngettext("%(n)s sighting", "%(n)s sightings", sightings), { n: sightings });
  if (state === "running" && Number(total)) announce(listed(interpolate(gettext("%(done)s of %(total)s units done"), { done, total }), count));
  if (before !== state && state === "done") announce(`${gettext("The search is finished.")} ${count}`);
}

/** The path and the first hits, which are few and soon there; then all of them, unless there is a newer revision by then. */
async function refresh(mine) {
  const id = get("search");
  if (!id) return;
  const size = isLive() ? PAGE : FIRST;
  const [first] = await Promise.all([read(`searches/${id}/hits/`, { page_size: size }), readPath(id)]);
  if (id !== get("search")) return;
  // What was read before of the pages that follow stays for so long: whoever is far down the list stays there.
  set("hits", joined(first.results, get("hits").slice(size)));
  app.dataset.shown = mine;
  if (isLive() || !first.next) return;
  const current = () => id === get("search") && ranked(mine) === ranked(revision);
  const all = await readAll(id, current);
  if (current()) set("hits", all);
}

/** The path is drawn as soon as it is there: it is small, and the hits take longer. */
async function readPath(id) {
  const path = await read(`searches/${id}/trajectory.geojson`).catch(() => null);
  if (id === get("search")) set("path", path?.features?.length ? pathOf(path) : null);
}

/** All pages. A new scoring on the way may leave fewer of them; the next poll reads all anew then. */
async function readAll(id, current) {
  let [all, more] = [[], { next: true }];
  for (let page = 1; more.next && current(); page += 1) {
    more = await read(`searches/${id}/hits/`, { page_size: PAGE, page }).catch(pastTheEnd);
    all = joined(all, more.results);
  }
  return all;
}

function pastTheEnd(error) {
  if (error.status !== 404) throw error;
  return { results: [], next: null };
}

/** Two lists of hits, none twice. */
function joined(hits, more) {
  const known = new Set(hits.map((hit) => hit.crop));
  return [...hits, ...more.filter((hit) => !known.has(hit.crop))];
}

/** Stops and legs of a trajectory's features, in the order of the path. */
function pathOf(collection) {
  const features = collection.features ?? [];
  const stops = features.filter((feature) => feature.geometry?.type === "Point");
  const legs = features.filter((feature) => feature.geometry?.type === "LineString");
  const flat = (feature) => ({ ...feature.properties, coordinates: feature.geometry.coordinates });
  return {
    stops: stops.map(flat).sort((one, other) => one.number - other.number),
    legs: legs.map(flat),
    conflicts: collection.conflicts ?? [],
  };
}

/** Ask the server a few times soon, until all is done. */
export async function hurry() {
  const mine = (hurries += 1);
  for (const [look, pause] of HURRY_MS.entries()) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (mine !== hurries || (look >= HURRY_LEAST && !busy())) return;
    window.htmx.trigger("#progress", "poll");
  }
}

const busy = () => isLive() || "rescoring" in byId("progress").dataset;

async function stop() {
  byId("stop").disabled = true;
  try {
    await send(`searches/${get("search")}/cancel/`, {});
  } catch (error) {
    announce(error.message);
  }
  hurry();
}

let rerunning = false;

/** The same search once more, over today's gallery and model; the one on the page stays as it was. */
export async function rerun() {
  if (get("state") === "empty" || isLive() || rerunning) return complain(gettext("There is no finished search to run again."));
  rerunning = true;
  try {
    follow(await send(`searches/${get("search")}/rerun/`, {}));
  } catch (error) {
    complain(error.message);
  } finally {
    rerunning = false;
  }
  return undefined;
}

function toggleParts() {
  const opened = byId("parts-box").hidden;
  show(byId("parts-box"), opened);
  byId("parts-toggle").setAttribute("aria-expanded", String(opened));
}

export function start() {
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target?.id === "progress" || event.target?.id === "progress") onProgress();
  });
  for (const name of ["htmx:sendError", "htmx:responseError"]) document.body.addEventListener(name, () => show(byId("offline"), true));
  document.body.addEventListener("htmx:afterRequest", (event) => event.detail.successful && show(byId("offline"), false));
  byId("stop").addEventListener("click", stop);
  byId("parts-toggle").addEventListener("click", toggleParts);
  window.addEventListener("popstate", () => location.reload());
  const id = app.dataset.search;
  if (id) {
    set("search", id);
    setState(app.dataset.state);
    onProgress();
  }
  watch("path", (path) => app.toggleAttribute("data-path", Boolean(path?.stops.length)));
}
