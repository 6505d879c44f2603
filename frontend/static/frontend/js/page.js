// The elements and settings that the server put into the page.

import { set } from "./store.js";

export const byId = (id) => document.getElementById(id);
export const app = byId("main");
export const icons = document.querySelector(".icon use").getAttribute("href").split("#")[0];

/** An SVG picture from the sprite. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "use"));
  use.setAttribute("href", `${icons}#${name}`);
  return svg;
}

/** element("b", {class: "x", text: "..."}, child, ...) */
export function element(name, options = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (key === "text") made.textContent = value;
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** Tell screen readers, without moving the focus. */
export function announce(text) {
  byId("announce").textContent = text;
}

const COMPLAINT_MS = 6000;
let complaint = null;

/** What was refused is said where the eyes are: in the line above the hits, for some seconds. */
export function complain(text) {
  announce(text);
  clearTimeout(complaint);
  set("complaint", text);
  complaint = setTimeout(() => set("complaint", ""), COMPLAINT_MS);
}

export function show(target, visible) {
  target.hidden = !visible;
}

export const narrow = window.matchMedia("(max-width: 900px)");
export const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

// Swedish writes 2026-03-01 10:15, which is a datetime-local value but for the T.
const cityClock = new Intl.DateTimeFormat("sv-SE", { timeZone: app.dataset.timeZone, dateStyle: "short", timeStyle: "short" });

/** A moment on the city's clock, as a datetime-local input takes it. */
export const cityTime = (date) => cityClock.format(date).replace(" ", "T");

export const cropUrl = (id) => app.dataset.cropUrl.replace("/0/", `/${id}/`);
