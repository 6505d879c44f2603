"""What the log, likelihoods, verdicts and coverage say, in the reader's words."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from citysearch.cases.models import LogEntry
from citysearch.searches.models import Verdict
from reid_engine.trajectory import ON_FOOT

# A few wrong verdicts can exclude many others each; what is said of so many pairs is enough to find them.
CONFLICTS_SAID = 50
DIGEST = re.compile("[0-9a-f]{64}")
# What the services say was done (citysearch.changes).
DONE = {
    "add": _("added"), "add many": _("added"), "change": _("changed"), "move": _("moved"), "delete": _("deleted"),
    "import": _("imported"), "lay a grid": _("grid laid"), "give": _("given"), "take back": _("taken back"),
    "register": _("registered"), "index": _("indexing started"), "stop indexing": _("indexing stopped"),
    "activate": _("activated"), "upload": _("uploaded"), "run again": _("run again"), "stop": _("stopped"),
    "begin": _("about to erase"), "end": _("erased"),
}  # fmt: skip


def told(entry: LogEntry) -> str:
    """What was done, to what, and what it changed from what to what, in one line."""
    facts = dict(entry.details)
    done, changes = DONE.get(facts.pop("did", ""), ""), facts.pop("changes", {})
    said = [f"{name} {_brief(value)}" for name, value in facts.items() if value not in (None, False)]
    said += [f"{name}: {_brief(before)} → {_brief(after)}" for name, (before, after) in changes.items()]
    return " · ".join([str(done)] * bool(done) + said)


def likelihood_words(likelihood: float | None) -> str:
    """The five words in which every likelihood is said; the same thresholds as static/frontend/js/format.js."""
    if likelihood is None:
        return ""
    words = [(0.9, gettext("very likely")), (0.7, gettext("likely")), (0.3, gettext("possible"))]
    words.append((0.1, gettext("unlikely")))
    return next((word for least, word in words if likelihood >= least), gettext("very unlikely"))


def likelihood_number(likelihood: float) -> str:
    """Three decimals, never 0 and never 1: a likeness is no proof."""
    return f"{min(0.999, max(0.001, likelihood)):.3f}"


def verdict_words(verdict: str | None) -> str:
    """What a person said of a crop; nothing yet is undecided."""
    return str(Verdict.Value(verdict or Verdict.Value.UNDECIDED).label)


def reason_words(reason: str) -> str:
    """Why a camera was skipped, or what to know of one that was not, in the reader's language."""
    words = {
        "no_permission": gettext("without your rights"),
        "no_crops": gettext("without crops"),
        "not_indexed": gettext("not indexed yet"),
        "other_model": gettext("indexed by another model version"),
        "no_crops_in_period": gettext("without crops in the chosen time"),
        "partly_indexed": gettext("searched, but not all of its crops are indexed yet"),
        "offline": gettext("searched, though offline now: its newest crops may be missing"),
        "maintenance": gettext("searched, though in maintenance now"),
    }
    return words.get(reason, reason)


def clock(moment: datetime | str) -> str:
    """2026-03-01 10:15:00 UTC+08:00 of a moment, or of its ISO text."""
    time = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{time:%Y-%m-%d %H:%M:%S} UTC{time.isoformat()[-6:]}"


def seen_by(place: dict[str, Any]) -> str:
    """Who saw the person, of a stop or an end of a conflict: the camera's name and code, or the operator's photo."""
    camera = place["camera"]
    if camera:
        return f"{camera['name']} – {camera['code']}"
    return gettext("Query photo %(number)s") % {"number": place["photo"] + 1}


def seen_from_to(place: dict[str, Any]) -> str:
    """When: one time, or from when to when."""
    return " – ".join(dict.fromkeys(clock(place[end]) for end in ("start", "end")))


def conflict_words(path: dict[str, Any]) -> dict[str, Any]:
    """Of a path (as GeoJSON) what there is to say on confirmed sightings that exclude each other; {} without any.

    `note` says what that means, `pairs` has three lines on each: the first, the second, and why; `more` on the rest.
    """
    found = path.get("conflicts", [])
    on_path = {one["properties"].get("sighting") for one in path["features"]}
    pairs = [_pair(conflict, on_path) for conflict in found[:CONFLICTS_SAID]]
    more = gettext("Pairs not named here: %(count)s. The file trajectory.geojson names all.")
    rest = len(found) - len(pairs)
    return {"note": _exclusion(), "pairs": pairs, "more": more % {"count": rest} if rest else ""} if found else {}


def _exclusion() -> str:
    return gettext(
        "Both of each pair count as confirmed (by a person, or as place and time of a query photo were given), but one "
        "person cannot have been at both on foot: even with the views of the cameras and the uncertainty of their "
        "clocks allowed for, it would have taken more than %(speed)s km/h, the fastest that is assumed. One of the two "
        "is wrong, a clock is off by more than its uncertainty, or the person did not go on foot."
    ) % {"speed": f"{ON_FOOT * 3.6:.1f}"}


def _pair(conflict: dict[str, Any], on_path: set[Any]) -> list[str]:
    """Which two, where and when, why they exclude each other, and which of them the path keeps."""
    first, second = (
        {"place": seen_by(end), "time": seen_from_to(end)} for end in (conflict["first"], conflict["second"])
    )
    why = f"{_why(conflict['distance_m'], conflict['seconds'])} {_kept(conflict, on_path)}"
    return [gettext("First: %(place)s, %(time)s") % first, gettext("Second: %(place)s, %(time)s") % second, why]


def _kept(conflict: dict[str, Any], on_path: set[Any]) -> str:
    if conflict["first"]["sighting"] in on_path:
        return gettext("The path keeps the first, the likelier choice.")
    if conflict["second"]["sighting"] in on_path:
        return gettext("The path keeps the second, the likelier choice.")
    return gettext("The path keeps neither: other confirmed sightings are the likelier choice.")


def _why(metres: float, seconds: float) -> str:
    values = {"metres": f"{metres:,.0f}", "seconds": f"{seconds:,.0f}"}
    if seconds < 1:
        return gettext("%(metres)s m apart, with no time between them: no speed would have been enough.") % values
    values["speed"] = f"{metres / seconds * 3.6:,.0f}"
    return gettext("%(metres)s m apart, %(seconds)s s between them: %(speed)s km/h would have been needed.") % values


def _brief(value: Any) -> str:
    """A value in a few words: lists without brackets, a digest by its beginning."""
    if value in (None, "", [], {}):
        return "–"
    if isinstance(value, list):
        return _cut((" " if _is_pair(value) else ", ").join(_brief(one) for one in value))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{text[:12]}…" if DIGEST.fullmatch(text) else _cut(text)


def _is_pair(value: list[Any]) -> bool:
    """A crop and its verdict, not a list of two of a kind."""
    return len(value) == 2 and type(value[0]) is not type(value[1])


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]} …"
