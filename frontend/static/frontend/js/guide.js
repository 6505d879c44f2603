// The first five minutes, step by step, on the page itself: each step points at the part it speaks of.

import { gettext, interpolate } from "./i18n.js";
import { app, byId, calm, show } from "./page.js";

const guide = byId("guide");
const steps = [...byId("guide-steps").children];
let at = 0;
let opener = null;

function mark(step) {
  for (const target of document.querySelectorAll(".guided")) target.classList.remove("guided");
  if (!step) return;
  const target = byId(step.dataset.target);
  app.dataset.view = step.dataset.part;
  target.classList.add("guided");
  target.scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
}

function go(index) {
  at = index;
  steps.forEach((step, number) => show(step, number === at));
  byId("guide-title").textContent = steps[at].dataset.title;
  byId("guide-count").textContent = interpolate(gettext("%(n)s of %(total)s"), { n: at + 1, total: steps.length });
  byId("guide-back").disabled = at === 0;
  byId("guide-next").firstChild.textContent = at + 1 < steps.length ? gettext("Next step") : gettext("Done");
  mark(steps[at]);
  byId("guide-title").focus({ preventScroll: true });
}

/** Open it at the first step; the focus returns to where it came from. */
export function open() {
  opener = document.activeElement;
  byId("help").close();
  show(guide, true);
  go(0);
}

function close() {
  show(guide, false);
  mark(null);
  if (opener?.isConnected && opener.checkVisibility()) opener.focus();
}

export function start() {
  for (const button of document.querySelectorAll("[data-guide]")) button.addEventListener("click", open);
  byId("guide-close").addEventListener("click", close);
  byId("guide-back").addEventListener("click", () => go(at - 1));
  byId("guide-next").addEventListener("click", () => (at + 1 < steps.length ? go(at + 1) : close()));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !guide.hidden && !document.querySelector("dialog[open]")) close();
  });
}
