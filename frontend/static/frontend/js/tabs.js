// A narrow screen shows one part of the page at a time.

import { app } from "./page.js";

function mark() {
  for (const button of document.querySelectorAll("[data-tab]")) button.setAttribute("aria-pressed", String(button.dataset.tab === app.dataset.view));
  // Leaflet and the timeline measure their boxes anew.
  window.dispatchEvent(new Event("resize"));
}

export function start() {
  for (const button of document.querySelectorAll("[data-tab]")) {
    button.addEventListener("click", () => {
      app.dataset.view = button.dataset.tab;
    });
  }
  new MutationObserver(mark).observe(app, { attributes: true, attributeFilter: ["data-view"] });
  mark();
}
