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

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(app.dataset.api + path, { credentials: "same-origin", ...options });
  } catch {
    throw new ApiError(0, "offline", gettext("The server cannot be reached. Check the network and try again."));
  }
  const body = response.headers.get("content-type")?.includes("json") ? await response.json() : null;
  if (response.ok) return body;
  const error = body?.error ?? {};
  throw new ApiError(response.status, error.code ?? "http", error.message ?? fallback(response.status), error.fields);
}

function fallback(status) {
  if (status === 413) return gettext("The photos are too large to send.");
  if (status === 403) return gettext("Your session has ended. Log in again in another tab, then try once more.");
  return gettext("The server could not answer. Try again; what you entered is kept.");
}

export function read(path, values = {}) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "" && value != null));
  return call(query.size ? `${path}?${query}` : path, { headers: { Accept: "application/json" } });
}

export function send(path, body) {
  const headers = { "X-CSRFToken": document.body.dataset.csrf, Accept: "application/json" };
  if (body instanceof FormData) return call(path, { method: "POST", headers, body });
  return call(path, { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) });
}
