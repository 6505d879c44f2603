// The search page: starts its parts. Each part owns its elements and watches the store for what it shows.

import * as approval from "./approval.js";
import * as area from "./area.js";
import * as boxes from "./boxes.js";
import * as compare from "./compare.js";
import * as evidence from "./evidence.js";
import * as guide from "./guide.js";
import * as hits from "./hits.js";
import * as hold from "./hold.js";
import * as itinerary from "./itinerary.js";
import * as keys from "./keys.js";
import * as map from "./map.js";
import * as path from "./path.js";
import * as photos from "./photos.js";
import * as query from "./query.js";
import * as reach from "./reach.js";
import * as run from "./run.js";
import * as scope from "./scope.js";
import * as tabs from "./tabs.js";
import * as taken from "./taken.js";
import * as timeline from "./timeline.js";
import * as unitPanel from "./unit_panel.js";
import * as units from "./units.js";
import * as verdicts from "./verdicts.js";

for (const part of [boxes, photos, hits, verdicts, evidence, approval, hold, compare, map, taken, path, itinerary, reach, timeline, unitPanel, tabs, keys, guide, query, units, area, scope, run]) part.start();
document.documentElement.dataset.ready = "true";
