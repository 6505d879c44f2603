// Which crop of a sighting is looked at: the best one, until the operator turns to another.

import { gettext, interpolate } from "./i18n.js";
import { announce, cropUrl } from "./page.js";
import { set } from "./store.js";

const turned = new Map();

export function cropOf(hit) {
  const crop = turned.get(hit.sighting);
  return hit.burst.includes(crop) ? crop : hit.crop;
}

export const pictureOf = (hit) => (cropOf(hit) === hit.crop ? hit.image : cropUrl(cropOf(hit)));

/** "2 of 3" of the crop that is looked at, among those of its sighting. */
export const placeOf = (hit) => ({ n: hit.burst.indexOf(cropOf(hit)) + 1, total: hit.burst.length });

export function turnTo(hit, crop) {
  turned.set(hit.sighting, crop);
  set("turned", hit);
  announce(interpolate(gettext("Crop %(n)s of %(total)s"), placeOf(hit)));
}

/** The next crop of the sighting; after the last one the first. */
export function turnOn(hit) {
  if (!hit) return announce(gettext("Choose a hit first: J takes the next one."));
  if (hit.burst.length < 2) return announce(gettext("This sighting has one crop only."));
  return turnTo(hit, hit.burst[placeOf(hit).n % hit.burst.length]);
}
