// Every key is also a button, in the help or beside what it moves.

import * as compare from "./compare.js";
import { turnOn } from "./crops.js";
import { toggleKept } from "./evidence.js";
import { move, selected } from "./hits.js";
import { showHit } from "./map.js";
import { app, byId } from "./page.js";
import { togglePlay } from "./path.js";
import { queryBy } from "./query.js";
import { rerun } from "./run.js";
import { judge, undo } from "./verdicts.js";

const ACTIONS = {
  j: () => move(1),
  k: () => move(-1),
  y: () => judge("confirmed", selected()),
  n: () => judge("rejected", selected()),
  u: () => judge("undecided", selected()),
  z: () => undo(),
  " ": () => compare.toggle(),
  q: () => queryBy(selected()),
  e: () => toggleKept(selected()),
  x: () => compare.toggleWhy(),
  c: () => turnOn(selected()),
  r: () => rerun(),
  m: () => {
    app.dataset.view = "map";
    showHit(selected());
  },
  t: () => {
    app.dataset.view = "timeline";
    byId("timeline").focus();
  },
  p: () => togglePlay(),
  "?": () => help(),
};
const WRITING = "input:not([type=range], [type=radio], [type=checkbox]), textarea, select, [contenteditable]";

function help() {
  if (byId("help").open) byId("help").close();
  else byId("help").showModal();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(WRITING)) return;
  // Space and Enter belong to the button that has the focus.
  if (event.key === " " && event.target.closest("button, summary, a, input, .tree")) return;
  const action = ACTIONS[event.key.toLowerCase()];
  // Behind any other dialog the hits are out of sight.
  if (document.querySelector("dialog[open]:not(#compare, #help)")) return;
  // A key held down walks through the hits; it neither judges nor undoes again and again.
  if (!action || (event.repeat && !"jk".includes(event.key.toLowerCase())) || (byId("help").open && event.key !== "?")) return;
  event.preventDefault();
  action();
}

export function start() {
  document.addEventListener("keydown", onKey);
  byId("help-button").addEventListener("click", help);
  for (const button of byId("help").querySelectorAll("[data-key]")) {
    button.addEventListener("click", () => {
      byId("help").close();
      if (button.dataset.key !== "?") ACTIONS[button.dataset.key]();
    });
  }
}
