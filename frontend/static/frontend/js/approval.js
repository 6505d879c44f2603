// Exports in the evidence dialog: an operator reads what a supervisor has yet to approve, a supervisor decides.

import { read, send } from "./api.js";
import { fullTime } from "./format.js";
import { gettext, interpolate, ngettext } from "./i18n.js";
import { announce, byId, element, show } from "./page.js";
import { get, set, watch } from "./store.js";

const WORDS = {
  needed: gettext("The export needs a supervisor’s approval of exactly this evidence."),
  asked: gettext("Asked for on %(time)s. A supervisor of the unit has to approve it."),
  approved: gettext("Approved by %(user)s on %(time)s: exactly this evidence can be exported."),
  refused: gettext("Refused by %(user)s on %(time)s: %(reason)s"),
};

/** Whether the next export gives the package. */
export const isFree = () => ["free", "approved"].includes(get("approval")?.state ?? "free");

let turn = 0;

/** Another piece of evidence, another approval: read again whenever the list is. */
export async function load() {
  const mine = ++turn;
  const found = await read(`searches/${get("search")}/export/`).catch(() => null);
  if (mine === turn) set("approval", found);
}

function render() {
  const now = get("approval");
  const said = WORDS[now?.state];
  show(byId("approval"), Boolean(now && (said || now.requests.length)));
  if (!now) return;
  show(byId("approval-words"), Boolean(said));
  byId("approval-words").textContent = said ? interpolate(said, { ...now, time: now.time && fullTime(now.time) }) : "";
  byId("approval-list").replaceChildren(...now.requests.map(line));
}

function line({ id, user, time, crops, changed }) {
  const words = interpolate(ngettext("%(user)s asks for an export of %(n)s piece, %(time)s.", "%(user)s asks for an export of %(n)s pieces, %(time)s.", crops.length), { user, n: crops.length, time: fullTime(time) });
  const reason = element("input", { type: "text", maxlength: 300, autocomplete: "off" });
  const approve = element("button", { type: "button", class: "primary", text: gettext("Approve") });
  const refuse = element("button", { type: "submit", class: "secondary", text: gettext("Refuse") });
  const form = element("form", {}, element("p", { text: words }), element("label", { text: gettext("Reason for refusing") }, reason), approve, refuse);
  if (changed) form.append(element("p", { class: "note", text: gettext("The evidence has changed since: it has to be asked for anew.") }));
  approve.disabled = changed;
  approve.addEventListener("click", () => decide({ request: id, approved: true }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    decide({ request: id, approved: false, reason: reason.value });
  });
  return element("li", {}, form);
}

async function decide(said) {
  fault("");
  try {
    set("approval", await send(`searches/${get("search")}/export/decision/`, said));
    announce(said.approved ? gettext("The export is approved.") : gettext("The export is refused."));
  } catch (error) {
    fault(error.fields?.reason?.[0] ?? error.message);
  }
}

function fault(text) {
  byId("approval-error").textContent = text;
  show(byId("approval-error"), Boolean(text));
}

export function start() {
  byId("evidence-open").addEventListener("click", () => fault(""));
  watch("evidence", () => byId("evidence").open && load());
  watch("approval", render);
}
