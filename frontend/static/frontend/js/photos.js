// Photos of the person: dropped, pasted, chosen, or taken from the samples.

import { original, picture, send } from "./api.js";
import { askBox } from "./boxes.js";
import { gettext, interpolate, listed } from "./i18n.js";
import { announce, app, byId, element, icon, show } from "./page.js";
import { get, set, watch } from "./store.js";
import { askTaken, takenText } from "./taken.js";

const WARNINGS = {
  small: gettext("small"),
  blurred: gettext("blurred"),
  dark: gettext("dark"),
  cut_off: gettext("cut off"),
  whole_scene: gettext("whole scene?"),
};
const WARNING_HELP = {
  small: gettext("Fewer than 64x128 pixels: details of the clothing are missing."),
  blurred: gettext("The photo is blurred; a sharper one finds more."),
  dark: gettext("The photo is dark; it is brightened before it is compared."),
  cut_off: gettext("Hardly higher than wide: a person from head to foot finds more."),
  whole_scene: gettext("Wider than high: cut out the person, or everybody in it is compared."),
};
// A person who fills more of a photo than this needs no box.
const FILLS = 0.5;
const most = Number(app.dataset.photosMax);

export function complain(text) {
  byId("photos-error").textContent = text;
  show(byId("photos-error"), Boolean(text));
  byId("photo-input").toggleAttribute("aria-invalid", Boolean(text));
}

export function add(files) {
  const pictures = [...files].filter((file) => file.type.startsWith("image/"));
  const added = pictures.map((file) => ({ name: file.name, url: URL.createObjectURL(file), blob: file }));
  if (!pictures.length) return complain(gettext("This is not a picture. Drop a JPEG, PNG or WEBP file."));
  return take(added);
}

function take(added) {
  const photos = [...get("photos"), ...added];
  complain(photos.length > most ? interpolate(gettext("At most %(n)s photos; the first ones were kept."), { n: most }) : "");
  set("photos", photos.slice(0, most));
}

export function takeSample(button) {
  const known = get("photos").some((photo) => photo.url === button.dataset.url);
  if (known) return remove(button.dataset.url);
  // A sample replaces another sample: two of them would be two people.
  set("photos", get("photos").filter((photo) => !photo.sample));
  return take([{ name: button.dataset.name, url: button.dataset.url, sample: true }]);
}

/** A crop that was found, as one more photo of the person; says whether it is one now. */
export async function takeCrop(crop) {
  const blob = await picture(await original(crop));
  const photos = get("photos");
  if (photos.some((photo) => photo.crop === crop)) return refuse(gettext("This crop is one of the photos already."));
  if (photos.length >= most) return refuse(interpolate(gettext("There are %(n)s photos already. Remove one, then add the crop."), { n: most }));
  take([{ name: `crop-${crop}`, url: URL.createObjectURL(blob), blob, crop }]);
  return true;
}

function refuse(text) {
  complain(text);
  return false;
}

function remove(url) {
  complain("");
  set("photos", get("photos").filter((photo) => photo.url !== url));
}

/** The photos as files, ready to be sent; those the server already holds are fetched from it. */
export function files() {
  return Promise.all(
    get("photos").map(async (photo, index) => {
      const blob = await blobOf(photo);
      return new File([blob], photo.name || `photo-${index}`, { type: blob.type });
    }),
  );
}

/** What is compared of a photo, as a picture. */
export const viewOf = (photo) => photo?.view ?? photo?.url ?? "";

/** Ask the server about a new photo: why it may be poor, and who is on it. */
function inspect(photo) {
  if (photo.box && !photo.view) cut(photo);
  if (photo.quality || photo.sample || photo.asked) return;
  photo.asked = look(photo).then(() => propose(photo), () => {});
}

async function look(photo) {
  const body = new FormData();
  body.append("photo", await blobOf(photo), photo.name);
  if (photo.box) body.append("box", JSON.stringify(photo.box));
  Object.assign(photo, await send("photos/look/", body));
  render();
}

/** One person in a larger scene is boxed at once; among several the operator chooses. */
function propose(photo) {
  const [person, ...others] = photo.people;
  if (!person || photo.box || !get("photos").includes(photo)) return;
  const share = ((person[2] - person[0]) * (person[3] - person[1])) / (photo.width * photo.height);
  if (share > FILLS) return;
  if (others.length) announce(gettext("Several people are on the photo. Choose one: open the photo."));
  else setBox(photo, person).then(() => announce(gettext("One person was found on the photo and boxed. Open the photo to change the box.")));
}

async function setBox(photo, box) {
  Object.assign(photo, { box, view: undefined });
  if (box) await cut(photo);
  await look(photo).catch((error) => complain(error.message));
  set("photos", get("photos"));
}

/** The boxed part of a photo as a picture of its own. */
async function cut(photo) {
  const [left, top, right, bottom] = photo.box;
  const bitmap = await createImageBitmap(await blobOf(photo), left, top, right - left, bottom - top);
  const canvas = element("canvas", { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  photo.view = URL.createObjectURL(await new Promise((done) => canvas.toBlob(done)));
  set("photos", get("photos"));
}

async function blobOf(photo) {
  photo.blob ??= await picture(photo.url);
  return photo.blob;
}

/** Show a photo in full, to draw, move or drop its box. */
async function openBox(photo) {
  complain("");
  try {
    if (!photo.people) await look(photo);
  } catch (error) {
    return complain(error.message);
  }
  const box = await askBox(photo);
  if (box !== undefined) await setBox(photo, box);
  return undefined;
}

/** Ask where and when a photo was taken; what its file says is proposed. */
async function openTaken(photo) {
  await photo.asked;
  const taken = await askTaken({ ...photo, view: viewOf(photo) });
  if (taken === undefined) return;
  photo.taken = taken;
  set("photos", get("photos"));
}

function render() {
  const list = byId("photos");
  const focus = [...list.children].indexOf(document.activeElement.closest(".photo"));
  list.replaceChildren(...get("photos").map(preview));
  list.children[focus]?.querySelector("button").focus();
  byId("photo-notes").replaceChildren(...get("photos").flatMap(notes));
  if (byId("samples")) show(byId("samples"), get("photos").every((photo) => photo.sample));
  show(byId("taken-ask"), get("photos").length > 0 && !get("photos").some((photo) => photo.taken));
  for (const button of document.querySelectorAll(".sample")) {
    const taken = get("photos").some((photo) => photo.url === button.dataset.url);
    button.setAttribute("aria-pressed", String(taken));
  }
}

const named = (index) => interpolate(gettext("Photo %(n)s"), { n: index + 1 });

function preview(photo, index) {
  const text = named(index);
  const open = element("button", { type: "button", class: "photo-open", title: gettext("Box and quality") }, element("img", { src: viewOf(photo), alt: text }));
  open.addEventListener("click", () => openBox(photo));
  const button = element("button", { type: "button", class: "photo-remove", title: gettext("Remove"), "aria-label": `${gettext("Remove")}: ${text}` }, icon("cross"));
  button.addEventListener("click", () => remove(photo.url));
  const item = element("li", { class: "photo" }, open, button, placeButton(photo, text));
  const warnings = photo.quality?.warnings ?? [];
  if (warnings.length) item.append(element("span", { class: "quality", text: listed(...warnings.map((key) => WARNINGS[key] ?? key)) }));
  return item;
}

function placeButton(photo, text) {
  const title = gettext("Where and when it was taken");
  const button = element("button", { type: "button", class: "photo-place", title, "aria-label": `${title}: ${text}`, "aria-pressed": String(Boolean(photo.taken)) }, icon("place"));
  button.addEventListener("click", () => openTaken(photo));
  return button;
}

/** Why a photo is poor, in a sentence each, and the way to the box where that helps; where and when it was taken. */
function notes(photo, index) {
  const warnings = photo.quality?.warnings ?? [];
  const lines = warnings.map((key) => WARNING_HELP[key] ?? key);
  if (!photo.box && photo.people?.length > 1) lines.unshift(interpolate(gettext("%(n)s people are on it: choose one."), { n: photo.people.length }));
  const rows = lines.map((line) => element("li", {}, icon("warn"), element("b", { text: named(index) }), ` ${line}`));
  if (photo.taken) rows.push(element("li", { class: "known" }, icon("place"), element("b", { text: named(index) }), ` ${takenText(photo.taken)}`));
  return rows;
}

export function start() {
  const drop = byId("drop");
  byId("photo-input").addEventListener("change", (event) => {
    add(event.target.files);
    event.target.value = "";
  });
  for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, (event) => dragging(event, true));
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, (event) => dragging(event, false));
  drop.addEventListener("drop", (event) => add(event.dataTransfer.files));
  // A file dropped beside the box must not replace the page.
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) add(event.clipboardData.files);
  });
  byId("taken-ask").addEventListener("click", () => openTaken(get("photos")[0]));
  for (const button of document.querySelectorAll(".sample")) button.addEventListener("click", () => takeSample(button));
  watch("photos", (photos) => {
    render();
    photos.forEach(inspect);
  });
  set("photos", JSON.parse(byId("photos-given").textContent));
}

function dragging(event, over) {
  event.preventDefault();
  byId("drop").classList.toggle("over", over);
}
