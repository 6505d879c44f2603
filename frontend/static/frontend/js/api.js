// The REST API: one error class, one place that knows about CSRF.

import { gettext } from "./i18n.js";
import { app } from "./page.js";

export class ApiError extends Error {
  /** `fields` maps the names of inputs to what is wrong with them. */
  constructor(status, code, message, fields = {}) {
    super(message);
    Object.assign(this, { status, code, fields });
  }
}

async function answer(url, options = {}) {
  try {
    return await fetch(url, { credentials: "same-origin", ...options });
  } catch {
    throw new ApiError(0, "offline", gettext("The server cannot be reached. Check the network and try again."));
  }
}

/** A picture as the server holds it. */
export async function picture(url) {
  const response = await answer(url);
  if (!response.ok) throw new ApiError(response.status, "http", gettext("A picture could not be fetched. Reload the page and try again."));
  return response.blob();
}

async function call(path, options) {
  const response = await answer(app.dataset.api + path, options);
  const body = response.headers.get("content-type")?.includes("json") ? await response.json() : null;
  if (response.ok) return body;
  const error = body?.error ?? {};
  const ended = ENDED.includes(response.status) && error.code !== "supervisors_only";
  const words = ended ? fallback(response.status) : (error.message ?? fallback(response.status));
  throw new ApiError(response.status, error.code ?? "http", words, error.fields);
}

// The API answers 404 to what is none of the user's business: these two are a session that has ended, or a new one,
// but for what only a supervisor may do.
const ENDED = [401, 403];

function fallback(status) {
  if (status === 413) return gettext("The photos are too large to send.");
  if (ENDED.includes(status)) return gettext("Your session has ended. Log in again in another tab, then try once more.");
  return gettext("The server could not answer. Try again; what you entered is kept.");
}

export function read(path, values = {}) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "" && value != null));
  return call(query.size ? `${path}?${query}` : path, { headers: { Accept: "application/json" } });
}

/** The token of the cookie: a login in another tab has made a new one since this page was written. */
const csrf = () => /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? document.body.dataset.csrf;

/** The original of a hit, by an address of its own that soon expires; the server logs the viewing. */
export async function original(crop) {
  return (await send(`searches/${app.dataset.search}/hits/${crop}/original/`, {})).url;
}

export function remove(path, body) {
  const headers = { "X-CSRFToken": csrf(), Accept: "application/json" };
  if (body) return call(path, { method: "DELETE", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return call(path, { method: "DELETE", headers });
}

/** What a POST answers, as a file; null where it was accepted only, and the file is for later. */
export async function file(path) {
  const response = await answer(app.dataset.api + path, { method: "POST", headers: { "X-CSRFToken": csrf() } });
  if (response.status === 202) return null;
  if (response.ok) return response.blob();
  const error = (await response.json().catch(() => null))?.error;
  throw new ApiError(response.status, error?.code ?? "http", error?.message ?? fallback(response.status));
}

export function send(path, body) {
  const headers = { "X-CSRFToken": csrf(), Accept: "application/json" };
  if (body instanceof FormData) return call(path, { method: "POST", headers, body });
  return call(path, { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) });
}
