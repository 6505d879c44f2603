// Figures, times and likelihoods in the words of the reader's language.

import { gettext, interpolate, language } from "./i18n.js";

const whole = new Intl.NumberFormat(language);
const oneDigit = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });

export const number = (value) => whole.format(value);
export const decimal = (value) => oneDigit.format(value);
export const percent = (share) => `${Math.round(share * 100)}%`;

/** A likelihood is never 0% or 100%: a likeness is no proof. */
export const outOf100 = (likelihood) => Math.min(99, Math.max(1, Math.round(likelihood * 100)));
export const odds = (likelihood) => (likelihood < 0.01 ? gettext("under 1%") : `${outOf100(likelihood)}%`);

// A name in two languages, Chinese first: "湖滨区 Lakeside". Each reader sees the own one; the whole is in the title.
const TWO_NAMES = /^([\u3400-\u9fff][^A-Za-z]*?)\s+([A-Za-z].*)$/;
const CHINESE = language.startsWith("zh");

/** The same rule as the filter `place` in templatetags/frontend.py. */
export function place(name) {
  const names = TWO_NAMES.exec(name);
  if (!names) return name;
  return CHINESE ? names[1] : names[2];
}

/** "District / Street / ..." of a whole path, without the city that every hit shares. */
export function shortPath(path) {
  const names = path.split(" / ").map(place);
  return (names.length > 2 ? names.slice(1) : names).join(" / ");
}

/** The same five words and thresholds as likelihood_words in templatetags/frontend.py. */
export function likelihoodWords(likelihood) {
  if (likelihood >= 0.9) return gettext("very likely");
  if (likelihood >= 0.7) return gettext("likely");
  if (likelihood >= 0.3) return gettext("possible");
  if (likelihood >= 0.1) return gettext("unlikely");
  return gettext("very unlikely");
}

/** Who saw the person at a stop: a camera, or the operator's photo. */
export const seenBy = (stop) => (stop.camera ? place(stop.camera.name) : interpolate(gettext("Photo %(n)s"), { n: stop.photo + 1 }));

/** How sure a stop or leg is, in words and number; a photo's place and time are taken as they were given. */
export function sureness({ camera, confidence }) {
  if (camera === null) return gettext("place and time as given");
  return `${likelihoodWords(confidence)} (${odds(confidence)})`;
}

/** 0 (very unlikely) to 4 (very likely): the class tone-N colours by it. */
export const tone = (likelihood) => [0.1, 0.3, 0.7, 0.9].filter((least) => likelihood >= least).length;

// The server writes local times with their offset ("2026-03-01T10:15:00+08:00"). They are shown as written, in the
// city's zone, whatever the zone of this computer is.
const ISO = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d))?[\d.]*(Z|[+-]\d\d:?\d\d)?$/;

export const seconds = (iso) => Date.parse(iso) / 1000;

export function offsetOf(iso) {
  const match = ISO.exec(iso);
  if (!match || !match[7] || match[7] === "Z") return 0;
  const [hours, minutes] = [Number(match[7].slice(1, 3)), Number(match[7].slice(-2))];
  return (match[7][0] === "-" ? -1 : 1) * (hours * 3600 + minutes * 60);
}

const two = (value) => String(value).padStart(2, "0");

/** Seconds since 1970 as the clock on the wall of a place `offset` seconds ahead of UTC. */
function wall(time, offset) {
  const date = new Date((time + offset) * 1000);
  return {
    day: `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`,
    clock: `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`,
  };
}

export function offsetText(offset) {
  const minutes = Math.round(Math.abs(offset) / 60);
  return `UTC${offset < 0 ? "−" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

export const day = (time, offset) => wall(time, offset).day;
export const clock = (time, offset) => wall(time, offset).clock;
export const shortClock = (time, offset) => wall(time, offset).clock.slice(0, 5);

/** "2026-03-01 10:15:00 UTC+08:00" of an ISO text. */
export function fullTime(iso) {
  const parts = wall(seconds(iso), offsetOf(iso));
  return `${parts.day} ${parts.clock} ${offsetText(offsetOf(iso))}`;
}

/** 45 s, 12 min, 3 h 05 min. */
export function span(value) {
  const total = Math.abs(value);
  if (total < 90) return interpolate(gettext("%(n)s s"), { n: Math.round(total) });
  if (total < 5400) return interpolate(gettext("%(n)s min"), { n: Math.round(total / 60) });
  const minutes = Math.round(total / 60);
  return interpolate(gettext("%(h)s h %(m)s min"), { h: Math.floor(minutes / 60), m: two(minutes % 60) });
}

/** 420 m, 2.3 km. */
export function distance(metres) {
  if (metres < 1000) return interpolate(gettext("%(n)s m"), { n: number(Math.round(metres)) });
  return interpolate(gettext("%(n)s km"), { n: decimal(metres / 1000) });
}

export const speed = (kmh) => interpolate(gettext("%(n)s km/h"), { n: decimal(kmh) });
