// Government data and sensor readings of the chosen unit, beside the map.

import { app, byId, show } from "./page.js";
import { addCondition } from "./query.js";
import { get, watch } from "./store.js";

const [panel, button] = [byId("unit-panel"), byId("unit-toggle")];

function load() {
  const unit = get("unit");
  if (panel.hidden || !unit) return;
  window.htmx.ajax("GET", panel.dataset.url.replace("/0/", `/${unit.id}/`), { target: panel, swap: "innerHTML" });
}

function toggle() {
  show(panel, panel.hidden);
  button.setAttribute("aria-expanded", String(!panel.hidden));
  load();
}

export function start() {
  button.addEventListener("click", toggle);
  panel.addEventListener("click", (event) => {
    const asked = event.target.closest("[data-condition]");
    if (!asked) return;
    addCondition({ kind: asked.dataset.condition, op: ">", value: asked.dataset.value });
    app.dataset.view = "query";
    byId("condition-rows").lastElementChild.querySelector("[data-c=value]").focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel.hidden && panel.contains(document.activeElement)) {
      toggle();
      button.focus();
    }
  });
  watch("unit", (unit) => {
    button.disabled = !unit;
    load();
  });
}
