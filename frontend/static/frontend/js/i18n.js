// The catalogue that Django serves as strings.js; it must be loaded before any module.

export const gettext = (text) => window.gettext(text);
export const ngettext = (one, many, count) => window.ngettext(one, many, count);

/** "%(name)s" filled from `values`, as Django's own interpolate does. */
export const interpolate = (text, values) => window.interpolate(text, values, true);

/** What belongs together, with the comma of the language. */
export const listed = (...parts) => parts.filter(Boolean).join(window.gettext(", "));

export const language = document.documentElement.lang || "en";
