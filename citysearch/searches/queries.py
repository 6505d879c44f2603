"""Everything that is read of a search: its state, its hits, its path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, overload

from django.conf import settings
from django.db.models import Exists, Max, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from citysearch.gallery.models import Crop, Segment
from citysearch.gallery.queries import crop_url
from citysearch.research.models import ModelVersion
from citysearch.searches.models import Search, SearchPhoto, Verdict
from citysearch.searches.paths import EMPTY, local_time
from citysearch.searches.refusals import NO_CROPS, error_words
from citysearch.searches.states import State
from units.queries import camera_ids, cameras_under
from units.tree import paths_of, unit_paths

COLLAPSES = ("burst", "none")
SORTS = ("likelihood", "time", "camera")


class _Row(NamedTuple):
    """What grouping needs of a candidate, and its figures."""

    crop_id: int
    distance: float
    cosine: float
    likelihood: float
    sighting: int


class _Seen(NamedTuple):
    """A crop that is shown, and its camera."""

    width: int
    height: int
    captured_at: datetime
    source_name: str
    camera_id: int
    code: str
    name: str
    longitude: float
    latitude: float
    clock_offset_s: float
    unit: int
    unit_path: str
    unit_name: str


SEEN = (
    "width", "height", "captured_at", "source_name", "camera_id", "camera__code", "camera__name", "camera__longitude",
    "camera__latitude", "camera__clock_offset_s", "camera__unit", "camera__unit__path", "camera__unit__name",
)  # fmt: skip


class _Card(NamedTuple):
    """One line of the hit list: the candidate shown, its rank, and the crops of its burst, best first."""

    rank: int
    row: _Row
    burst: tuple[int, ...]


class Hits(Sequence[dict[str, Any]]):
    """The hits of a search in order, as plain dicts; only the slice that is asked for is looked up in full."""

    def __init__(self, search: Search, cards: Sequence[_Card], crops: int, sightings: int) -> None:
        self.search, self.crops, self.sightings = search, crops, sightings
        self._cards = cards

    def __len__(self) -> int:
        return len(self._cards)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return _hit_dicts(self.search, self._cards[index])
        return _hit_dicts(self.search, [self._cards[index]])[0]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self[:])


def hits(search: Search, collapse: str = "burst", sort: str = "likelihood") -> Hits:
    """The candidates of all finished parts, merged by (distance, crop id), at most SEARCH_LIMIT of them.

    `collapse`: "burst" gives one hit per sighting (its best crop; the others in `burst`), "none" every crop.
    `sort`: "likelihood", "time" or "camera"; `rank` is the place by distance whatever the order.
    """
    rows = _rows(search)
    cards = _bursts(rows) if collapse == "burst" else [_Card(n, row, (row.crop_id,)) for n, row in enumerate(rows, 1)]
    return Hits(search, _sorted(search, cards, sort), len(rows), len({row.sighting for row in rows}))


def trajectory_geojson(search: Search) -> dict[str, Any]:
    """The path as an RFC 7946 FeatureCollection with the foreign member `conflicts`; no features until it is drawn."""
    return search.trajectory or EMPTY


def search_state(search: Search) -> dict[str, Any]:
    """All that a page shows of a search beside its hits; one statement more for one that `with_state` has loaded."""
    if not hasattr(search, "newest_verdict"):
        search = with_state(Search.objects.filter(pk=search.pk)).get()
    return _state_dict(search, unit_paths([search.unit])[search.unit_id])


def search_list(searches: Sequence[Search]) -> list[dict[str, Any]]:
    """The states of many searches of `with_state`, in one statement more."""
    paths = unit_paths({search.unit_id: search.unit for search in searches}.values())
    return [_state_dict(search, paths[search.unit_id]) for search in searches]


def with_state(searches: QuerySet[Search]) -> QuerySet[Search]:
    """The searches with what `search_state` needs: unit, user, model, photos, newest verdict, whether it is stale."""
    newest = Verdict.objects.filter(search=OuterRef("pk")).order_by().values("search").annotate(n=Max("id")).values("n")
    active = ModelVersion.objects.filter(state=ModelVersion.State.ACTIVE).values("pk")[:1]
    return (
        searches.select_related("unit", "user", "model_version")
        .defer("trajectory", "features", "unit__polygon")
        .prefetch_related("photos")
        .annotate(
            newest_verdict=Coalesce(Subquery(newest), 0),
            active_model_id=Subquery(active),
            gallery_changed=Exists(_segments_since()),
        )
    )


def verdicts_latest(search: Search) -> list[dict[str, Any]]:
    """The verdict that counts for each crop, and how many were given on it."""
    given: dict[int, list[Verdict]] = defaultdict(list)
    for verdict in search.verdicts.select_related("user").order_by("id"):
        given[verdict.crop_id].append(verdict)
    return [_verdict_dict(rows[-1]) | {"given": len(rows)} for _crop, rows in sorted(given.items())]


def verdicts_standing(search: Search, crops: Collection[int]) -> list[dict[str, Any]]:
    """The verdict that counts for each of these crops, `undecided` where nobody has said anything."""
    said = dict(search.verdicts.filter(crop__in=crops).order_by("id").values_list("crop_id", "value"))
    return [{"crop": crop, "verdict": said.get(crop, Verdict.Value.UNDECIDED)} for crop in dict.fromkeys(crops)]


def photo_url(photo: SearchPhoto) -> str:
    return reverse("search-photo", args=[photo.search_id, photo.position])


def _segments_since() -> QuerySet[Segment]:
    """Features committed for the search's unit and model after it was started: it would find more today."""
    unit_path = OuterRef("unit__path")
    return Segment.objects.filter(
        model_version=OuterRef("model_version"),
        created_at__gt=Coalesce(OuterRef("started_at"), OuterRef("created_at")),
        camera__unit__path__startswith=unit_path,
    )


def _state_dict(search: Any, unit_path: str) -> dict[str, Any]:
    return {
        "id": str(search.pk),
        "state": search.state,
        "state_name": search.get_state_display(),
        "stage": search.stage,
        "stage_name": search.get_stage_display(),
        "cancel_requested": search.cancel_requested,
        "counts": search.counts,
        "coverage": search.coverage,
        "timings": search.timings,
        "unit": {"id": search.unit_id, "code": search.unit.code, "name": search.unit.name, "level": search.unit.level},
        "unit_path": unit_path,
        "area": search.area,
        "purpose": search.purpose,
        "case": search.case,
        "period": {"from": _iso(search.period_from), "to": _iso(search.period_to)},
        "conditions": search.conditions,
        "model": search.model_version.name if search.model_version else None,
        "user": search.user.get_username(),
        "photos": [_photo_dict(photo) for photo in search.photos.all()],
        "error": error_words(search.error),
        "notice": _notice(search),
        "rescoring": search.newest_verdict > search.scored_verdict and search.state in (State.DONE, State.CANCELLED),
        "revision": search.scored_verdict,
        "created_at": _iso(search.created_at),
        "started_at": _iso(search.started_at),
        "finished_at": _iso(search.finished_at),
        "stale": _is_stale(search),
    }


def _is_stale(search: Any) -> bool:
    """The gallery or the model has changed since: running it again may give another result."""
    if search.state in (State.QUEUED, State.RUNNING):
        return False
    if search.active_model_id not in (None, search.model_version_id):
        return True
    return search.gallery_changed and (search.area is None or _area_changed(search))


def _area_changed(search: Search) -> bool:
    """Whether any of the features that were added to the unit since belong to a camera in the drawn area."""
    since = search.started_at or search.created_at
    added = Segment.objects.filter(model_version=search.model_version_id, created_at__gt=since)
    changed = cameras_under(search.unit).filter(pk__in=added.values("camera"))
    return bool(camera_ids(changed, search.area))


def _notice(search: Search) -> dict[str, str] | None:
    """What explains an empty result; never an error."""
    if search.state == State.DONE and not search.counts.get("crops"):
        return {"code": "no_crops_in_period", "message": str(NO_CROPS)}
    return None


def _photo_dict(photo: SearchPhoto) -> dict[str, Any]:
    facts = {name: getattr(photo, name) for name in ("position", "sha256", "quality", "box", "taken")}
    return facts | {"url": photo_url(photo)}


def _verdict_dict(verdict: Verdict) -> dict[str, Any]:
    return {
        "crop": verdict.crop_id,
        "verdict": verdict.value,
        "user": verdict.user.get_username(),
        "time": _iso(verdict.created_at),
    }


def _rows(search: Search) -> list[_Row]:
    """The candidates in order of (distance, crop id), cut at the limit; one statement, of one table alone."""
    rows = search.candidates.order_by("distance", "crop_id").values_list(*_Row._fields)[: settings.SEARCH_LIMIT]
    return [
        _Row(crop, distance, cosine, likelihood, crop if sighting is None else sighting)
        for crop, distance, cosine, likelihood, sighting in rows
    ]


def _bursts(rows: Sequence[_Row]) -> list[_Card]:
    """One card per sighting, in the order of their best crops."""
    bursts: dict[int, list[_Row]] = defaultdict(list)
    for row in rows:
        bursts[row.sighting].append(row)
    return [_Card(n, burst[0], tuple(row.crop_id for row in burst)) for n, burst in enumerate(bursts.values(), 1)]


def _sorted(search: Search, cards: list[_Card], sort: str) -> list[_Card]:
    """The cards, given in order of rank, also by true time or by the code of the camera: in one statement more."""
    if sort not in ("time", "camera"):
        return cards
    rows = search.candidates.order_by().values_list(
        "crop_id", "crop__camera__code", "crop__captured_at", "crop__camera__clock_offset_s"
    )
    keys = {crop: code if sort == "camera" else at.timestamp() - offset for crop, code, at, offset in rows}
    return sorted((card for card in cards if card.row.crop_id in keys), key=lambda card: keys[card.row.crop_id])


def _hit_dicts(search: Search, cards: Sequence[_Card]) -> list[dict[str, Any]]:
    """In two statements and one for the unit paths; through objects of the models they take three times as long."""
    shown = [card.row.crop_id for card in cards]
    rows = Crop.objects.filter(pk__in=shown).order_by().values_list("pk", *SEEN)
    crops = {pk: _Seen(*columns) for pk, *columns in rows}
    units = {crop.unit: (crop.unit_path, crop.unit_name) for crop in crops.values()}
    paths = paths_of((pk, *named) for pk, named in units.items())
    verdicts = dict(search.verdicts.order_by("id").values_list("crop_id", "value"))
    return [
        _hit_dict(card, crop, paths[crop.unit], verdicts)
        for card in cards
        if (crop := crops.get(card.row.crop_id)) is not None
    ]


def _hit_dict(card: _Card, crop: _Seen, unit_path: str, verdicts: Mapping[int, str]) -> dict[str, Any]:
    row = card.row
    return {
        "rank": card.rank,
        "crop": row.crop_id,
        "image": crop_url(row.crop_id),
        "width": crop.width,
        "height": crop.height,
        "camera": {
            "id": crop.camera_id,
            "code": crop.code,
            "name": crop.name,
            "longitude": crop.longitude,
            "latitude": crop.latitude,
        },
        "unit_path": unit_path,
        "time": local_time(crop.captured_at.timestamp() - crop.clock_offset_s),
        "camera_time": _iso(crop.captured_at),
        "distance": row.distance,
        "cosine": row.cosine,
        "likelihood": row.likelihood,
        "sighting": row.sighting,
        "burst": list(card.burst),
        "burst_count": len(card.burst),
        "verdict": _verdict_of(card, verdicts),
        "source_name": crop.source_name,
    }


def _verdict_of(card: _Card, verdicts: Mapping[int, str]) -> str | None:
    """The shown crop's own verdict; a burst with a confirmed crop is confirmed."""
    given = [verdicts[crop] for crop in card.burst if crop in verdicts]
    if Verdict.Value.CONFIRMED in given:
        return str(Verdict.Value.CONFIRMED)
    return verdicts.get(card.row.crop_id)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else timezone.localtime(moment, timezone.get_default_timezone()).isoformat()
