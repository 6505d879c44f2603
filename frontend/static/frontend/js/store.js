// What the parts of the page share. A part watches the keys it shows; nobody else's elements are touched.

const values = {
  search: null, // id of the search on the page
  state: "empty", // its state, as the server says it
  photos: [], // [{name, url, blob?, quality?}]
  unit: null, // {id, name, ...}: where to search; with an area, the smallest unit that holds its cameras
  area: null, // GeoJSON of a drawn area, searched instead of a unit
  scope: null, // what a search of the form would look at: {cameras, crops, crops_left, windows ...}
  hits: [], // hits of the search, best first
  shown: [], // those that pass the slider and the time window, in the chosen order
  path: null, // {stops, legs, conflicts}
  selected: null, // key of the hit in hand
  floor: 0.1, // hits below this likelihood are hidden
  sort: "likelihood",
  window: null, // [from, to] in epoch seconds, brushed on the timeline
  gaps: [], // per leg of the path: the cameras that were searched without a hit
  gap: null, // index of the leg whose gap is looked at
  here: null, // index of the stop that is being played
  turned: null, // the hit of which another crop was just asked for
  evidence: [], // [{crop, user, time}]: hits kept for the case
  approval: null, // {state, time, user, reason, requests}: whether the evidence may be exported
  complaint: "", // why what was just asked for was refused
};
const watchers = new Map();

export const get = (key) => values[key];

export function set(key, value) {
  values[key] = value;
  for (const watcher of watchers.get(key) ?? []) watcher(value);
}

/** Call `watcher` now and whenever one of the keys is set. */
export function watch(keys, watcher) {
  for (const key of [keys].flat()) watchers.set(key, [...(watchers.get(key) ?? []), watcher]);
}
