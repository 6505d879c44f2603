// Verdicts of this operator on this page: given one after the other, taken back in the reverse order.

import { read, send } from "./api.js";
import { cropOf } from "./crops.js";
import { gettext } from "./i18n.js";
import { announce, app, byId, complain } from "./page.js";
import { hurry } from "./run.js";
import { get, set, watch } from "./store.js";

const VERDICTS_AT_ONCE = 100;
// Verdicts that were given here and that the server has not stored yet, by crop.
const pending = new Map();
// What can be taken back: [[{crop, verdict, before}, ...], ...], the last verdict last.
const steps = [];
let turn = Promise.resolve();

export const pendingOf = (hit) => pending.get(hit.crop);

/** What was confirmed is the crop that was looked at; what is somebody else is so in every crop of the sighting. */
function verdictsFor(hit, value) {
  const crops = value === "confirmed" ? [cropOf(hit)] : hit.burst.slice(0, VERDICTS_AT_ONCE);
  return crops.map((crop) => ({ crop, verdict: value }));
}

/** One at a time: what the next one takes back is what this one has said. */
function inTurn(work) {
  turn = turn.then(work).catch((error) => complain(error.message));
  return turn;
}

/** Say of a hit whether it is the same person. */
export function judge(value, hit) {
  if (!hit) return announce(gettext("Choose a hit first: J takes the next one."));
  const [search, before] = [get("search"), hit.verdict];
  pending.set(hit.crop, value);
  set("hits", get("hits"));
  return inTurn(async () => {
    try {
      await give(search, verdictsFor(hit, value));
      announce({ confirmed: gettext("Confirmed."), rejected: gettext("Rejected."), undecided: gettext("Undecided.") }[value]);
    } catch (error) {
      settle(hit, value);
      hit.verdict = before;
      set("hits", get("hits"));
      throw error;
    }
    settle(hit, value);
  });
}

/** The server has it, or has refused it. */
function settle(hit, value) {
  if (pending.get(hit.crop) === value) pending.delete(hit.crop);
}

async function give(search, verdicts) {
  const { replaced } = await send(`searches/${search}/verdicts/`, verdicts);
  const before = new Map(replaced.map((row) => [row.crop, row.verdict]));
  if (search === get("search")) steps.push(verdicts.map((row) => ({ ...row, before: before.get(row.crop) })));
  mark();
  hurry();
}

/** The verdicts that count now, of everybody, by crop. */
async function standing(search) {
  return new Map((await read(`searches/${search}/verdicts/`)).map((row) => [row.crop, row]));
}

/** Take the last verdict back: each of its crops gets the one it had before. */
export function undo() {
  return inTurn(async () => {
    const step = steps.pop();
    if (!step) return announce(gettext("There is no verdict of yours to undo here."));
    try {
      await takeBack(get("search"), step);
    } catch (error) {
      steps.push(step);
      throw error;
    } finally {
      mark();
    }
    return undefined;
  });
}

/** What a colleague has said of a crop since then stays. */
async function takeBack(search, step) {
  const known = await standing(search);
  const mine = step.filter(({ crop, verdict }) => known.get(crop)?.verdict === verdict && known.get(crop).user === app.dataset.user);
  if (!mine.length) throw new Error(gettext("A colleague has judged this hit since then; nothing was undone."));
  await send(`searches/${search}/verdicts/`, mine.map(({ crop, before }) => ({ crop, verdict: before })));
  const hit = get("hits").find(({ burst }) => burst.includes(step[0].crop));
  if (hit) hit.verdict = (mine.find(({ before }) => before === "confirmed") ?? mine[0]).before;
  if (hit) set("selected", String(hit.crop));
  set("hits", get("hits"));
  announce(gettext("The last verdict was undone."));
  hurry();
}

function mark() {
  byId("undo").disabled = !steps.length;
}

export function start() {
  byId("undo").addEventListener("click", undo);
  watch("search", () => {
    steps.length = 0;
    mark();
  });
}
