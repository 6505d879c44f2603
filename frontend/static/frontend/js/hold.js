// The legal hold of a search, in the evidence dialog: said to everybody, placed and lifted by supervisors.

import { read, remove, send } from "./api.js";
import { fullTime } from "./format.js";
import { gettext, interpolate } from "./i18n.js";
import { announce, byId, show } from "./page.js";
import { get } from "./store.js";

const address = () => `searches/${get("search")}/hold/`;
let now = null;

/** What the dialog says is read whenever it is opened: somebody else may have changed it. */
async function load() {
  show(byId("hold"), false);
  fault("");
  byId("hold-reason").value = "";
  now = await read(address()).catch(() => null);
  render();
}

function render() {
  show(byId("hold"), Boolean(now && (now.held || now.may_change)));
  if (!now) return;
  byId("hold-words").textContent = now.held
    ? interpolate(gettext("On hold since %(time)s by %(user)s: %(reason)s"), { time: fullTime(now.since), user: now.user, reason: now.reason })
    : gettext("This search is not on hold.");
  show(byId("hold-form"), now.may_change);
  show(byId("hold-set"), !now.held);
  show(byId("hold-lift"), now.held);
}

async function change(event) {
  event.preventDefault();
  fault("");
  const reason = byId("hold-reason").value;
  try {
    now = now.held ? await remove(address(), { reason }) : await send(address(), { reason });
    byId("hold-reason").value = "";
    render();
    announce(now.held ? gettext("Put on hold.") : gettext("The hold is lifted."));
  } catch (error) {
    fault(error.fields?.reason?.[0] ?? error.message);
  }
}

function fault(text) {
  byId("hold-error").textContent = text;
  show(byId("hold-error"), Boolean(text));
}

export function start() {
  byId("evidence-open").addEventListener("click", load);
  byId("hold-form").addEventListener("submit", change);
}
