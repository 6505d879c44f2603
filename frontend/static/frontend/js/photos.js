// Photos of the person: dropped, pasted, chosen, or taken from the samples.

import { picture } from "./api.js";
import { gettext, interpolate } from "./i18n.js";
import { app, byId, cropUrl, element, icon, show } from "./page.js";
import { get, set, watch } from "./store.js";

const WARNINGS = {
  small: gettext("small"),
  blurred: gettext("blurred"),
  dark: gettext("dark"),
  whole_scene: gettext("whole scene?"),
};
const WARNING_HELP = {
  small: gettext("Fewer than 64x128 pixels: details of the clothing are missing."),
  blurred: gettext("The photo is blurred; a sharper one finds more."),
  dark: gettext("The photo is dark; it is brightened before it is compared."),
  whole_scene: gettext("Wider than high: cut out the person, or everybody in it is compared."),
};
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
  const blob = await picture(cropUrl(crop));
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
      const blob = photo.blob ?? (await picture(photo.url));
      return new File([blob], photo.name || `photo-${index}`, { type: blob.type });
    }),
  );
}

/** What can be told of a photo before it is sent: its size and shape. */
async function inspect(photo) {
  if (photo.quality || !photo.blob) return;
  const bitmap = await createImageBitmap(photo.blob).catch(() => null);
  if (!bitmap) return;
  const { width, height } = bitmap;
  const warnings = [];
  if (width < 64 || height < 128) warnings.push("small");
  if (width > height) warnings.push("whole_scene");
  photo.quality = { width, height, warnings };
  bitmap.close();
  render();
}

function render() {
  const list = byId("photos");
  list.replaceChildren(...get("photos").map(preview));
  for (const button of document.querySelectorAll(".sample")) {
    const taken = get("photos").some((photo) => photo.url === button.dataset.url);
    button.setAttribute("aria-pressed", String(taken));
  }
}

function preview(photo, index) {
  const text = interpolate(gettext("Photo %(n)s"), { n: index + 1 });
  const button = element("button", { type: "button", title: gettext("Remove"), "aria-label": `${gettext("Remove")}: ${text}` }, icon("cross"));
  button.addEventListener("click", () => remove(photo.url));
  const item = element("li", { class: "photo" }, element("img", { src: photo.url, alt: text }), button);
  const warnings = photo.quality?.warnings ?? [];
  if (warnings.length) {
    const words = warnings.map((key) => WARNINGS[key] ?? key).join(", ");
    item.append(element("span", { class: "quality", title: warnings.map((key) => WARNING_HELP[key] ?? key).join(" "), text: words }));
  }
  return item;
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
