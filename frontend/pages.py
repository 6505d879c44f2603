"""What each page shows, as plain values for its template. Reads only; rights come from the apps' access modules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Max, Q, QuerySet
from django.http import Http404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from citysearch.cases.approving import searches_asking
from citysearch.cases.holding import searches_on_hold
from citysearch.cases.services import evidence_print
from citysearch.cases.words import conflict_words, reason_words
from citysearch.demo.queries import sample_photos
from citysearch.gallery.models import Crop
from citysearch.gallery.originals import original_address
from citysearch.gallery.queries import crop_url, gallery_counts
from citysearch.research.queries import active_model
from citysearch.searches.access import SEARCHERS, searches_of
from citysearch.searches.models import Search
from citysearch.searches.queries import hits, photo_url, search_state, trajectory_geojson, with_state
from units.access import READERS, User, get_unit_or_404, granted_paths, roles_of, units_of
from units.models import CameraStatus, SensorKind, Unit
from units.queries import unit_context
from units.tree import ancestor_paths, ancestors, children

RECENT = 5
COMPARED = 500
FOUND_UNITS = 60
# Below this likelihood a page says "probably not in this gallery"; the slider of the page starts here.
FLOOR = 0.1
LIVE = (Search.State.QUEUED, Search.State.RUNNING)
STAGES = (Search.Stage.CHECK, Search.Stage.AUGMENT, Search.Stage.EXTRACT, Search.Stage.MATCH, Search.Stage.PATH)


def search_page(user: User, search: Search | None, unit: str = "") -> dict[str, Any]:
    """The workbench: a new search (in the unit with this id, if any), or one that exists."""
    return {
        "search": search_state(search) if search else None,
        "run": run_of(search, user) if search else {"state": "empty"},
        "unit": search.unit_id if search else unit,
        "may_search": bool(roles_of(user) & set(SEARCHERS)),
        "tree": tree_nodes(user),
        "recent": searches_by(user)[:RECENT],
        "samples": sample_photos(),
        "kinds": SensorKind.choices,
        "conditions": search.conditions if search else [],
        "area": search.area if search else None,
        "photos": _photos(search) if search else [],
        "period_from": _input_time(search.period_from if search else None),
        "period_to": _input_time(search.period_to if search else None),
        **_addresses(),
    }


def _photos(search: Search) -> list[dict[str, Any]]:
    """The photos of a search as the page keeps them: name, address, quality, box, place and time."""
    return [
        {"name": f"photo-{photo.position + 1}", "url": photo_url(photo)}
        | {name: getattr(photo, name) for name in ("quality", "box", "taken")}
        for photo in search.photos.all()
    ]


def _addresses() -> dict[str, Any]:
    """What the scripts need to know of the server."""
    nobody = str(UUID(int=0))
    return {
        "api": "/api/v1/",
        "page_url": reverse("search", args=[nobody]).removesuffix(nobody),
        "crop_url": crop_url(0),
        "time_zone": settings.TIME_ZONE,
        "photos_max": settings.PHOTOS_MAX,
        "tiles_url": reverse("basemap-tiles") if settings.PMTILES else "",
    }


def _input_time(moment: datetime | None) -> str:
    """A moment as a datetime-local input wants it."""
    return timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M") if moment else ""


# A search as it runs.


def search_or_404(user: User, pk: UUID) -> Search:
    """A search the user may see, with all that `run_of` and `search_state` need."""
    found = with_state(searches_of(user)).filter(pk=pk).first()
    if found is None:
        raise Http404(_("There is no such search."))
    return found


def run_of(search: Search, user: User) -> dict[str, Any]:
    """Stages, counts, coverage, parts and what to say when there is nothing to show."""
    state = search_state(search)
    counts = state["counts"]
    parts = _parts(search)
    run = {
        "id": search.pk,
        "state": state["state"],
        "live": state["state"] in LIVE,
        "revision": _revision(search, state),
        "stages": _stages(state, counts),
        "elapsed": _elapsed(search),
        "parts": parts,
        "parts_total": counts.get("parts", 0),
        "crops": counts.get("crops", 0),
        "error": state["error"] and state["error"] | {"stage": _stage_name(state["error"].get("stage"))},
        "message": state["notice"] and state["notice"]["message"],
        "stale": state["stale"],
        "rescoring": state["rescoring"],
        "exact": counts.get("exact", True),
        **{name: counts.get(name, 0) for name in ("parts_done", "cameras", "crops", "candidates")},
        **_alike(search),
    }
    return run | _skipped(state["coverage"]) | _nothing(search, run, user)


def _alike(search: Search) -> dict[str, int]:
    """Sightings and crops that are likely enough to be shown at first."""
    found = search.candidates.filter(likelihood__gte=FLOOR)
    return found.aggregate(sightings=Count("sighting", distinct=True), alike=Count("pk"))


def revision_of(search: Search) -> str:
    """The revision of `run_of`, which a page asks for far more often than it has changed."""
    return _revision(search, search_state(search))


def _revision(search: Any, state: dict[str, Any]) -> str:
    """Changes whenever hits, verdicts, path or state have changed, or the gallery has since."""
    counts = state["counts"]
    moved = (search.state, search.stage, counts.get("parts_done", 0), counts.get("candidates", 0), int(state["stale"]))
    return ".".join(map(str, (*moved, search.newest_verdict, search.scored_verdict)))


def _stages(state: dict[str, Any], counts: dict[str, Any]) -> list[dict[str, Any]]:
    """The five steps of a search in short words: over, in hand or to come; units counted while they are compared."""
    words = (_("check"), _("enhance"), _("features"), _("compare"), pgettext("of a person", "path"))
    now = STAGES.index(state["stage"]) if state["stage"] in STAGES else len(STAGES)
    if state["state"] == Search.State.QUEUED:
        now = -1
    steps = [
        {"label": words[place], "status": _place(place, now), "seconds": state["timings"].get(stage), "note": ""}
        for place, stage in enumerate(STAGES)
    ]
    if counts.get("parts"):
        steps[STAGES.index(Search.Stage.MATCH)]["note"] = f"{counts['parts_done']}/{counts['parts']}"
    return steps


def _place(place: int, now: int) -> str:
    if place == now:
        return "now"
    return "done" if place < now else "todo"


def _stage_name(stage: str | None) -> str:
    return str(Search.Stage(stage).label) if stage in Search.Stage.values else ""


def _elapsed(search: Search) -> float:
    end = search.finished_at or timezone.now()
    return max(0.0, (end - search.created_at).total_seconds())


def _parts(search: Search) -> list[dict[str, Any]]:
    rows = search.parts.select_related("unit").order_by("position").defer("unit__polygon")
    return [
        {
            "name": part.unit.name,
            "done": part.done,
            "cameras": part.cameras if part.done else "",
            "crops": part.crops if part.done else "",
            "seconds": part.seconds,
            "exact": part.exact,
            "status": "done" if part.done else ("todo" if search.state in LIVE else "skipped"),
        }
        for part in rows
    ]


def _skipped(coverage: dict[str, Any]) -> dict[str, Any]:
    """Why cameras were left out, counted and by name; and those that were searched with a mark."""
    reasons = coverage.get("reasons", {})
    lines = coverage.get("list", [])
    return {
        "skipped_total": coverage.get("skipped", 0),
        "skipped": [{"label": reason_words(reason), "count": count} for reason, count in sorted(reasons.items())],
        "skipped_cameras": [line | {"label": reason_words(line["reason"])} for line in lines if "reason" in line],
        "marked_cameras": [line | {"label": reason_words(line["mark"])} for line in lines if "mark" in line],
    }


def _nothing(search: Search, run: dict[str, Any], user: User) -> dict[str, Any]:
    """Whether a finished search found nobody, the best it saw, and where to look further."""
    if search.state != Search.State.DONE:
        return {"nothing": False}
    best = search.candidates.aggregate(best=Max("likelihood"))["best"]
    if best is not None and best >= FLOOR:
        return {"nothing": False, "best": best, **_doubts(search)}
    return {
        "nothing": True,
        "best": best,
        "wider": search.unit
        if search.area
        else ancestors(search.unit).filter(pk__in=units_of(user, *SEARCHERS)).last(),
        "has_period": bool(search.period_from or search.period_to or search.conditions),
    }


def _doubts(search: Search) -> dict[str, Any]:
    """Whether the person looks more absent than nearly all people who are there, and how telling that is."""
    figures = search.model_version.metrics if search.model_version else {}
    above, found = figures.get("absent_above"), figures.get("absent_found")
    if above is None or found is None or search.absence is None or search.absence <= above:
        return {"doubtful": False}
    return {"doubtful": True, "absent_found": round(100 * found)}


def evidence_page(user: User, search: Search) -> dict[str, Any]:
    """The evidence as the export's report shows it, with originals by signed addresses. Raises Conflict without any."""
    pieces, entry = evidence_print(search, user)
    crops = {crop.pk: crop for crop in Crop.objects.filter(pk__in=[piece["crop"] for piece in pieces])}
    return {
        "search": search_state(search),
        "entry": entry,
        "photos": [photo_url(photo) for photo in search.photos.all()],
        "pieces": [piece | {"source": original_address(crops[piece["crop"]], user)[0]} for piece in pieces],
        "conflicts": conflict_words(trajectory_geojson(search)),
    }


# My searches.


def searches_by(user: User, words: str = "", case: str = "", state: str = "", whose: str = "mine") -> QuerySet[Search]:
    """What the user (or with `whose` "all" anybody) started and he may still see, newest first.

    Narrowed by `words` in case or purpose, to one case, to one state.
    """
    found = searches_of(user).select_related("unit", "user").defer("trajectory", "features", "unit__polygon")
    if whose != "all":
        found = found.filter(user_id=user.pk or 0)
    if case:
        found = found.filter(case=case)
    if state in Search.State.values:
        found = found.filter(state=state)
    return found.filter(Q(case__icontains=words) | Q(purpose__icontains=words)) if words else found


def cases_of(user: User, whose: str, most: int = 30) -> list[dict[str, Any]]:
    """The cases of the searches of `searches_by`, the latest first, with how many searches each has."""
    cases = searches_by(user, whose=whose).order_by().select_related(None).values("case")
    return [dict(row) for row in cases.annotate(n=Count("pk"), last=Max("created_at")).order_by("-last")[:most]]


def comparison(first: Search, second: Search) -> dict[str, Any]:
    """Two searches side by side: the sightings both found, with their ranks, and those that only one of them did."""
    ones, others = _likely_hits(first), _likely_hits(second)
    holder = {crop: hit for hit in others for crop in hit["burst"]}
    pairs = [(hit, next((holder[crop] for crop in hit["burst"] if crop in holder), None)) for hit in ones]
    matched = {other["rank"] for _hit, other in pairs if other}
    return {
        "searches": search_lines([first, second]),
        "both": [_compared(hit, other) for hit, other in pairs if other],
        "only": [
            {"search": first, "hits": [hit for hit, other in pairs if other is None]},
            {"search": second, "hits": [hit for hit in others if hit["rank"] not in matched]},
        ],
    }


def _compared(hit: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """One sighting in two searches, and by how many places the second one ranks it higher (above 0) or lower."""
    moved = hit["rank"] - other["rank"]
    return {"hit": hit, "other": other, "moved": moved, "steps": abs(moved)}


def _likely_hits(search: Search) -> list[dict[str, Any]]:
    """The hits that are shown at first, at most COMPARED of them."""
    return [hit for hit in hits(search)[:COMPARED] if hit["likelihood"] >= FLOOR]


def search_lines(searches: Iterable[Search]) -> list[dict[str, Any]]:
    """Each search with its first photo's address, the number of its likely sightings, what is said of it."""
    searches = list(searches)
    alike = Q(candidates__likelihood__gte=FLOOR)
    counted = Search.objects.filter(pk__in=[search.pk for search in searches]).order_by()
    counted = counted.annotate(found=Count("candidates__sighting", filter=alike, distinct=True))
    found = dict(counted.values_list("pk", "found"))
    held, asked = searches_on_hold(), searches_asking()
    return [
        {
            "search": one,
            "thumb": _thumb(one),
            "sightings": found[one.pk],
            "held": one.pk in held,
            "asked": one.pk in asked,
        }
        for one in searches
    ]


def _thumb(search: Search) -> str:
    photos = list(search.photos.all())
    return f"{photo_url(photos[0])}?boxed=true" if photos else ""


# Units.


def tree_nodes(user: User, parent: str = "", words: str = "") -> list[dict[str, Any]]:
    """Branches of the unit tree: those below `parent`, those called like `words`, or the top.

    Who has rights in a part of the city sees the way to it, greyed and without counts.
    """
    if words:
        return _nodes(user, _readable(user).filter(Q(name__icontains=words) | Q(code__startswith=words))[:FOUND_UNITS])
    if parent:
        return _nodes(user, children(get_unit_or_404(user, parent, *READERS)).defer("polygon"))
    return _top(user)


def _readable(user: User) -> QuerySet[Unit]:
    return units_of(user, *READERS).defer("polygon")


def _top(user: User) -> list[dict[str, Any]]:
    """The topmost units of the user, each below the units that lead to it; one single root is shown opened."""
    paths = granted_paths(user, *READERS)
    if paths is None:
        paths = list(Unit.objects.filter(depth=1).values_list("path", flat=True))
    wanted = {above for path in paths for above in [*ancestor_paths(path), path]}
    units = list(Unit.objects.filter(path__in=wanted).order_by("path").defer("polygon"))
    nodes = _nested(_nodes(user, units))
    if len(units) == 1 and nodes[0]["allowed"]:
        nodes[0]["children"] = _nodes(user, children(units[0]).defer("polygon"))
    return nodes


def _nested(nodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    by_path = {node["path"]: node for node in nodes}
    roots: list[dict[str, Any]] = []
    for node in nodes:
        above = by_path.get(node["path"][: -Unit.steplen])
        (above["children"] if above else roots).append(node)
    return roots


def _nodes(user: User, units: Iterable[Unit]) -> list[dict[str, Any]]:
    units = list(units)
    allowed = set(_readable(user).filter(pk__in=[unit.pk for unit in units]).values_list("pk", flat=True))
    counts = gallery_counts(units, active_model())
    return [_node(unit, unit.pk in allowed, counts[unit.pk]) for unit in units]


def _node(unit: Unit, allowed: bool, counts: Any) -> dict[str, Any]:
    node = {"id": unit.pk, "name": unit.name, "code": unit.code, "level": unit.level, "path": unit.path}
    node |= {"leaf": unit.is_leaf(), "allowed": allowed, "children": []}
    if allowed:
        node |= {
            "cameras": counts["cameras"],
            "crops": counts["crops"],
            "last": counts["last_captured"],
            "indexed": counts["last_indexed"],
        }
    return node


def unit_page(user: User, unit: Unit) -> dict[str, Any]:
    """A unit's own page: its data, what lies below it, and the way up as far as the user may see."""
    return unit_data(unit) | {
        "ancestors": ancestors(unit).filter(pk__in=units_of(user, *READERS)),
        "children": _nodes(user, children(unit).defer("polygon")),
        "may_search": bool(roles_of(user) & set(SEARCHERS)),
    }


def unit_data(unit: Unit) -> dict[str, Any]:
    """Government data and sensor readings of a unit, with the figures each plot is read by."""
    context = unit_context(unit)
    series = [_series(row) for row in context["series"]]
    times = [time for row in series for time, _value in row["points"]]
    return {
        "unit": unit,
        "counts": gallery_counts([unit], active_model())[unit.pk],
        "offline": sum(n for status, n in context["cameras"].items() if status in CameraStatus.values[1:]),
        "indicators": _latest(context["indicators"]),
        "series": series,
        "series_from": min(times, default=None),
        "series_to": max(times, default=None),
    }


def _latest(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each indicator's newest value; `change` is the share by which it differs from the one before."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(row["indicator"], []).append(row)
    return [newest | {"change": _change(newest, *earlier)} for newest, *earlier in by_name.values()]


def _change(newest: dict[str, Any], *earlier: dict[str, Any]) -> float | None:
    if not earlier or not earlier[0]["value"]:
        return None
    return float(newest["value"] / earlier[0]["value"] - 1)


def _series(row: dict[str, Any]) -> dict[str, Any]:
    values = [value for _time, value in row["points"]]
    figures = {"last": values[-1], "low": min(values), "high": max(values), "median": round(median(values), 1)}
    return row | figures | {"source": _("mean of the units below") if row["mean"] else row["unit_name"]}
