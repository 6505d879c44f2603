// The form: checked here, judged by the server, sent without leaving the page.

import { ApiError, send } from "./api.js";
import { cropOf } from "./crops.js";
import { gettext, interpolate } from "./i18n.js";
import { announce, app, byId, cityTime, complain as complainOfHit, show } from "./page.js";
import * as photos from "./photos.js";
import { follow, rerun } from "./run.js";
import { get } from "./store.js";
import { choose } from "./units.js";

const form = byId("query");
const PLACES = { area: "unit", from: "from", to: "from", period: "from", period_from: "from", period_to: "from", conditions: "conditions", photos: "photos", boxes: "photos", taken: "photos", unit: "unit", purpose: "purpose", case: "case" };

function complain(name, text) {
  const place = byId(`${PLACES[name] ?? "form"}-error`);
  place.textContent = Array.isArray(text) ? text.join(" ") : text;
  show(place, Boolean(text));
  const input = form.elements[name];
  if (input instanceof HTMLElement) input.setAttribute("aria-invalid", String(Boolean(text)));
}

function clear() {
  for (const name of ["photos", "unit", "from", "to", "conditions", "purpose", "case", "form"]) complain(name, "");
}

/** What is missing, by field; the server checks all of it again. */
function missing() {
  const wrong = {};
  if (!get("photos").length) wrong.photos = gettext("Add at least one photo of the person.");
  if (!get("unit") && !get("area")) wrong.unit = gettext("Choose the unit to search in, or draw an area.");
  const [from, to] = [form.elements.from.value, form.elements.to.value];
  if (from && to && from >= to) wrong.from = gettext("The period ends before it starts.");
  if (!form.elements.case.value.trim()) wrong.case = gettext("Give the case this search belongs to.");
  if (!form.elements.purpose.value.trim()) wrong.purpose = gettext("Say what the search is for. It is recorded.");
  if (conditions().some((row) => row.value === "")) wrong.conditions = gettext("Every condition needs a value.");
  return wrong;
}

const conditions = () =>
  [...byId("condition-rows").children].map((row) => ({
    kind: row.querySelector("[data-c=kind]").value,
    op: row.querySelector("[data-c=op]").value,
    value: row.querySelector("[data-c=value]").value.trim(),
  }));

export function addCondition(given = {}) {
  const row = byId("condition-row").content.firstElementChild.cloneNode(true);
  for (const name of ["kind", "op", "value"]) if (given[name] !== undefined) row.querySelector(`[data-c=${name}]`).value = given[name];
  row.querySelector("[data-c=remove]").addEventListener("click", () => {
    row.remove();
    form.dispatchEvent(new Event("scope"));
  });
  byId("condition-rows").append(row);
  byId("conditions").open = true;
  if (given.value === undefined) byId("condition-rows").lastElementChild.querySelector("[data-c=value]").focus();
  form.dispatchEvent(new Event("scope"));
}

/** Where and when the form asks to search, as the API takes it; null while it says no place or is half filled in. */
export function asked() {
  const [from, to] = ["from", "to"].map((name) => form.elements[name].value || null);
  if ((from && to && from >= to) || !(get("area") || get("unit"))) return null;
  const rows = conditions().filter((row) => row.value !== "").map((row) => ({ ...row, value: Number(row.value) }));
  const where = get("area") ? { area: get("area") } : { unit: String(get("unit").code) };
  return { ...where, from, to, conditions: rows };
}

async function body() {
  const data = new FormData();
  for (const file of await photos.files()) data.append("photos", file);
  const boxes = get("photos").map((photo) => photo.box ?? null);
  if (boxes.some(Boolean)) data.append("boxes", JSON.stringify(boxes));
  const taken = get("photos").map((photo) => photo.taken ?? null);
  if (taken.some(Boolean)) data.append("taken", JSON.stringify(taken));
  if (get("area")) data.append("area", JSON.stringify(get("area")));
  else data.append("unit", get("unit").id);
  for (const name of ["from", "to", "purpose", "case"]) {
    const value = form.elements[name].value.trim();
    if (value) data.append(name, value);
  }
  const rows = conditions().map((row) => ({ ...row, value: Number(row.value) }));
  if (rows.length) data.append("conditions", JSON.stringify(rows));
  return data;
}

export async function submit(event) {
  event?.preventDefault();
  clear();
  const wrong = missing();
  if (Object.keys(wrong).length) return refuse(wrong);
  const button = byId("search-button");
  button.disabled = true;
  // The page makes room at the press, not when the server has answered.
  app.toggleAttribute("data-reading", true);
  try {
    follow(await send("searches/", await body()));
  } catch (error) {
    app.toggleAttribute("data-reading", false);
    if (!(error instanceof ApiError)) throw error;
    const fields = Object.keys(error.fields ?? {}).length ? error.fields : { form: error.message };
    refuse(fields);
  } finally {
    button.disabled = false;
  }
  return undefined;
}

/** Every fault beside its field; the focus goes to the first. */
function refuse(wrong) {
  app.dataset.view = "query";
  for (const [name, text] of Object.entries(wrong)) complain(name, text);
  const first = ["photos", "unit", "from", "to", "conditions", "case", "purpose"].find((name) => wrong[name]);
  const targets = { photos: byId("photo-input"), unit: byId("unit-find") };
  (targets[first] ?? form.elements[first])?.focus?.();
}

/** The last `hours` before now, on the city's clock; empty means everything. */
function setPeriod(hours) {
  const from = new Date(Date.now() - hours * 3600000);
  form.elements.from.value = hours ? cityTime(from) : "";
  form.elements.to.value = "";
  markPeriod(hours);
  form.dispatchEvent(new Event("scope"));
}

/** Search from this moment on, whatever the form said before. */
export function setFrom(iso) {
  form.elements.from.value = cityTime(new Date(iso));
  form.elements.to.value = "";
  markPeriod("none");
  form.dispatchEvent(new Event("scope"));
}

function markPeriod(hours) {
  for (const chip of form.querySelectorAll("[data-hours]")) chip.setAttribute("aria-pressed", String(chip.dataset.hours === String(hours)));
}

/** A sample, the whole city and a purpose that says what it is: one click from a first result. */
function trySample() {
  const sample = document.querySelector(".sample");
  if (!get("photos").length) photos.takeSample(sample);
  if (!get("unit")) choose(document.querySelector("#tree .node:not(.closed)")?.dataset.unit);
  form.elements.case.value ||= gettext("Training");
  form.elements.purpose.value ||= gettext("Learning to use the search with a sample photo");
  app.dataset.view = "query";
  byId("search-button").focus();
}

/** The crop that is looked at joins the query photos; all else in the form stays, and Search starts a new search. */
export async function queryBy(hit) {
  if (!hit) return announce(gettext("Choose a hit first: J takes the next one."));
  const crop = cropOf(hit);
  let taken = false;
  try {
    taken = await photos.takeCrop(crop);
  } catch (error) {
    return complainOfHit(error.message);
  }
  byId("compare").close();
  app.dataset.view = "query";
  byId("block-photos").scrollIntoView({ block: "nearest" });
  (taken ? byId("search-button") : byId("photo-input")).focus();
  if (taken) announce(interpolate(gettext("Crop %(id)s is photo %(n)s now. Search starts a new search."), { id: crop, n: get("photos").length }));
  return undefined;
}

function onNotice(event) {
  const button = event.target.closest("[data-act]");
  if (button?.dataset.act === "again") submit();
  if (button?.dataset.act === "rerun") rerun();
  if (button?.dataset.act === "widen") choose(button.dataset.unit).then(() => submit());
  if (button?.dataset.act === "any-time") {
    setPeriod("");
    submit();
  }
}

export function start() {
  form.addEventListener("submit", submit);
  for (const chip of form.querySelectorAll("[data-hours]")) chip.addEventListener("click", () => setPeriod(chip.dataset.hours));
  for (const name of ["from", "to"]) form.elements[name].addEventListener("input", () => markPeriod("none"));
  // What was missing is no longer said once it is being given.
  form.addEventListener("input", (event) => form.elements[event.target.name] && complain(event.target.name, ""));
  if (!form.elements.from.value && !form.elements.to.value) markPeriod("");
  byId("condition-add").addEventListener("click", () => addCondition());
  for (const chip of form.querySelectorAll("[data-preset]")) chip.addEventListener("click", () => addCondition(JSON.parse(chip.dataset.preset)));
  for (const given of JSON.parse(byId("conditions-given").textContent)) addCondition(given);
  app.addEventListener("query-by", (event) => queryBy(event.detail));
  byId("try-sample")?.addEventListener("click", trySample);
  byId("results-scroll").addEventListener("click", onNotice);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
  });
}
