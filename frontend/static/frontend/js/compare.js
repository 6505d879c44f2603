// The enlarged hit: query and crop side by side, every crop of the sighting, the facts.

import { original, picture } from "./api.js";
import { cropOf, pictureOf, turnTo } from "./crops.js";
import { isKept, toggleKept } from "./evidence.js";
import { fullTime, likelihoodWords, odds, outOf100, place } from "./format.js";
import { gettext, interpolate } from "./i18n.js";
import { announce, app, byId, complain, cropUrl, element, show } from "./page.js";
import { move, press, selected } from "./hits.js";
import { viewOf } from "./photos.js";
import { get, watch } from "./store.js";
import { judge } from "./verdicts.js";

const dialog = byId("compare");
let photo = 0;

export const isOpen = () => dialog.open;

export function toggle() {
  if (dialog.open) dialog.close();
  else if (selected()) {
    photo = 0;
    byId("compare-crop").dataset.crop = "";
    dialog.showModal();
    render();
  }
}

function render() {
  const hit = selected();
  if (!hit) return;
  const photos = get("photos");
  byId("compare-title").textContent = `${likelihoodWords(hit.likelihood)} · ${odds(hit.likelihood)}`;
  byId("compare-query").src = viewOf(photos[photo % photos.length]);
  facts(hit);
  burst(hit);
  showCrop(hit);
  for (const button of dialog.querySelectorAll("button[data-verdict]")) press(button, hit.verdict);
  byId("compare-keep").setAttribute("aria-pressed", String(isKept(hit)));
}

function showCrop(hit) {
  const id = cropOf(hit);
  openOriginal(hit, id);
  showWhy(hit, id);
  byId("compare-crop").alt = interpolate(gettext("Crop of %(camera)s"), { camera: place(hit.camera.name) });
  byId("compare-caption").textContent = interpolate(gettext("Crop %(id)s"), { id });
  for (const button of byId("compare-burst").children) button.setAttribute("aria-pressed", String(Number(button.dataset.crop) === id));
}

/** The small picture at once, the original as soon as its address is there. */
async function openOriginal(hit, id) {
  const shown = byId("compare-crop");
  if (shown.dataset.crop === String(id)) return;
  shown.dataset.crop = id;
  shown.src = pictureOf(hit);
  const address = await original(id).catch((error) => complain(error.message));
  if (address && shown.dataset.crop === String(id)) shown.src = address;
}

/** Which regions of both pictures carried the distance, instead of the pictures alone. */
export function toggleWhy() {
  if (!selected()) return announce(gettext("Choose a hit first: J takes the next one."));
  if (!dialog.open) toggle();
  const pressed = byId("compare-why").getAttribute("aria-pressed") !== "true";
  byId("compare-why").setAttribute("aria-pressed", String(pressed));
  return showWhy(selected(), cropOf(selected()));
}

async function showWhy(hit, id) {
  const wanted = byId("compare-why").getAttribute("aria-pressed") === "true";
  show(byId("compare-why-box"), wanted);
  show(byId("compare-body"), !wanted);
  if (!wanted) return;
  const [sheet, words] = [byId("compare-sheet"), byId("compare-why-words")];
  const about = `searches/${get("search")}/hits/${id}/explanation/?photo=${photo % get("photos").length}`;
  if (sheet.dataset.about === about) return;
  Object.assign(sheet.dataset, { about });
  show(sheet, false);
  words.textContent = gettext("A worker draws it …");
  try {
    const address = URL.createObjectURL(await picture(app.dataset.api + about));
    if (sheet.dataset.about !== about) return;
    sheet.src = address;
    show(sheet, true);
    words.textContent = gettext("Photo, its map, the hit's map, the hit. Red parts drove the two apart, blue ones held them together.");
  } catch {
    sheet.dataset.about = "";
    words.textContent = gettext("The explanation could not be drawn yet. Press X twice to try again.");
  }
}

const threeDigits = new Intl.NumberFormat(document.documentElement.lang, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
const figure = (value) => threeDigits.format(value);

function facts(hit) {
  const rows = [
    [gettext("Camera"), place(hit.camera.name), "lead"],
    [gettext("Code"), hit.camera.code],
    [gettext("Unit"), hit.unit_path.split(" / ").map(place).join(" / ")],
    [gettext("Time"), fullTime(hit.time)],
    hit.camera_time && hit.camera_time !== hit.time ? [gettext("The camera's own clock"), fullTime(hit.camera_time)] : null,
    [gettext("Likelihood"), interpolate(gettext("Of 100 pairs as alike as this one, %(n)s show the same person."), { n: outOf100(hit.likelihood) })],
    [gettext("Distance"), interpolate(gettext("%(d)s (smaller is closer)"), { d: figure(hit.distance) })],
    hit.cosine != null ? [gettext("Plain cosine"), figure(hit.cosine)] : null,
  ];
  const cells = rows.filter(Boolean).flatMap(([name, text, style]) => [element("dt", { text: name }), element("dd", { text, class: style })]);
  byId("compare-facts").replaceChildren(...cells);
}

function burst(hit) {
  const ids = hit.burst?.length > 1 ? hit.burst : [];
  byId("compare-burst").replaceChildren(
    ...ids.map((id, index) => {
      const label = interpolate(gettext("Crop %(n)s of %(total)s"), { n: index + 1, total: ids.length });
      const picture = element("img", { src: cropUrl(id), alt: label, loading: "lazy", width: 36, height: 72 });
      const button = element("button", { type: "button", "data-crop": id, "aria-pressed": String(id === cropOf(hit)) }, picture);
      button.addEventListener("click", () => turnTo(hit, id));
      return button;
    }),
  );
}

export function start() {
  app.addEventListener("enlarge", toggle);
  byId("compare-query").addEventListener("click", () => {
    photo += 1;
    render();
  });
  for (const button of dialog.querySelectorAll("[data-move]")) button.addEventListener("click", () => move(Number(button.dataset.move)));
  for (const button of dialog.querySelectorAll("button[data-verdict]")) button.addEventListener("click", () => judge(button.dataset.verdict, selected()));
  byId("compare-why").addEventListener("click", toggleWhy);
  byId("compare-keep").addEventListener("click", () => toggleKept(selected()));
  byId("compare-use").addEventListener("click", () => app.dispatchEvent(new CustomEvent("query-by", { detail: selected() })));
  for (const box of document.querySelectorAll("dialog")) {
    box.addEventListener("click", (event) => {
      if (event.target === box || event.target.closest("[data-close]")) box.close();
    });
  }
  watch(["selected", "hits", "evidence"], () => dialog.open && render());
  watch("turned", (hit) => dialog.open && showCrop(hit));
}
