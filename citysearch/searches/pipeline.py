"""What a worker does with a search: prepare it, match part by part, close it, score it again after verdicts.

Every step may be entered again at any moment (a worker killed with -9, a message delivered twice): a step first looks
at what is stored, and stores its own result once, in one transaction that a filtered update guards.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, cast
from uuid import UUID

import numpy as np
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Max, Q, QuerySet, Sum, UUIDField
from django.utils import timezone
from numpy.typing import NDArray

from citysearch.engine import engine_of
from citysearch.gallery.models import Crop
from citysearch.gallery.queries import GalleryRows, Wanted, crops_locked, galleries_rows, gallery_rows
from citysearch.research.models import ModelVersion
from citysearch.searches.access import searchable_cameras
from citysearch.searches.coverage import coverage_of, indexed_among, indexed_ids, part_cameras, part_units, windows_in
from citysearch.searches.models import Candidate, Search, SearchPart, Verdict
from citysearch.searches.paths import path_of, sightings_of
from citysearch.searches.photos import photos_load
from citysearch.searches.preview import Scope, crops_in
from citysearch.searches.states import CLOSED, Stage, State, search_beat, search_move, search_take
from reid_engine.absence import LOOKED_AT
from reid_engine.contracts import Hit, Place, Ranking, Sighting
from reid_engine.contracts import Verdict as Said
from reid_engine.errors import BundleMismatch, EmptyGallery, ReidError
from reid_engine.sightings import rescore
from reid_engine.stack import stacked
from units.geo import RoadGraph
from units.models import Camera, Unit
from units.queries import camera_ids, cameras_under
from units.tree import below

Features = NDArray[np.floating[Any]]

# Between two batches the worker looks whether the search is cancelled, and says that it is alive. Batches of the first
# size are scored row by row, those of a large gallery by way of the coarse stage: both take a fraction of a second once
# their rows are in memory, and the large ones a few seconds where they come from the disk.
BATCH_ROWS = 20_000
LARGE_BATCH_ROWS = 1_000_000
MOVED_AT_ONCE = 1000
PLACED = ("pk", "code", "name", "longitude", "latitude", "view_radius_m", "clock_offset_s", "clock_uncertainty_s")


class NotPermitted(ReidError):
    """The operator's right to search the unit has ended since the search was started."""

    code = "no_permission"


@dataclass(frozen=True)
class Found:
    """One candidate before it is stored: a hit, its plain cosine and the part it came from."""

    hit: Hit
    cosine: float
    part_id: int


class Row(NamedTuple):
    """One candidate as it is stored, by the columns of its table."""

    search_id: UUID
    part_id: int
    crop_id: int
    distance: float
    cosine: float
    likelihood: float
    sighting: int


# ---------------------------------------------------------------------------------------------- prepare


def search_prepare(pk: UUID) -> list[int]:
    """Check, enhance, extract; the ids of the parts still to be matched, none where it is over or cancelled."""
    if not search_take(pk):
        return []
    search = Search.objects.select_related("unit", "model_version", "user").get(pk=pk)
    with _stage(search, Stage.CHECK):
        _parts_create(search)
    if search.features is None and search_beat(pk):
        _features_extract(search)
    if not search_beat(pk, stage=Stage.MATCH):
        return []
    return list(search.parts.filter(done=False).values_list("pk", flat=True))


def _parts_create(search: Search) -> None:
    """Coverage, and one part per child of the unit that has something to search; once, whoever comes first."""
    if search.parts.exists():
        return
    inside = below([search.unit.path], "unit__path")
    permitted = camera_ids(searchable_cameras(search.user).filter(inside), search.area)
    coverage = coverage_of(search.unit, permitted, model_of(search), partial(windows_in, search), search.area)
    indexed = indexed_ids(search.unit, model_of(search)) & permitted
    _check_something_to_search(coverage, indexed)
    coverage["crops"] = crops_in(
        Scope(search.unit, None, (search.period_from, search.period_to), search.conditions), indexed
    )
    units = _part_units(search.unit, indexed)
    with transaction.atomic():
        locked = Search.objects.select_for_update().get(pk=search.pk)
        if locked.parts.exists():
            return
        SearchPart.objects.bulk_create(
            SearchPart(search=search, unit_id=unit, position=position) for position, unit in enumerate(units)
        )
        Search.objects.filter(pk=search.pk).update(coverage=coverage, counts=_counts(search.pk))


def _check_something_to_search(coverage: Mapping[str, Any], indexed: set[int]) -> None:
    if indexed:
        return
    reasons = coverage["reasons"]
    if "other_model" in reasons:
        raise BundleMismatch("No camera of the unit is indexed by this model version.", reasons=reasons)
    if set(reasons) == {"no_permission"}:
        raise NotPermitted("The operator may no longer search the unit.", reasons=reasons)
    raise EmptyGallery("No camera of the unit has an indexed crop.", reasons=reasons)


def _part_units(unit: Unit, cameras: Collection[int]) -> list[int]:
    """The parts that hold these cameras, in tree order."""
    places = cameras_under(unit).order_by().values_list("pk", "unit__path")
    return [part.pk for part in part_units(unit, {path for pk, path in places if pk in cameras})]


def _features_extract(search: Search) -> None:
    with _stage(search, Stage.AUGMENT):
        photos = photos_load(search)
    with _stage(search, Stage.EXTRACT):
        features = engine_of(model_of(search)).query_features(photos)
    search.features = np.asarray(features, dtype=np.float32).tobytes()
    Search.objects.filter(pk=search.pk).update(features=search.features)


# ---------------------------------------------------------------------------------------------- match


def part_match(part_id: int) -> tuple[UUID, bool] | None:
    """Rank one part and store its candidates, once. (search id, whether this was the last one), None if it is gone."""
    part = SearchPart.objects.select_related("search__unit", "search__model_version", "search__user", "unit")
    found = part.filter(pk=part_id).first()
    if found is None:
        return None
    search = found.search
    if not found.done and search_beat(search.pk):
        _part_match(search, found)
    going = search_beat(search.pk)
    return search.pk, not going or not search.parts.filter(done=False).exists()


def _part_match(search: Search, part: SearchPart) -> None:
    started = time.perf_counter()
    clocks = _part_clocks(search, part)
    rows = gallery_rows(clocks, model_of(search), windows_in(search, part.unit))
    ranking = _ranked(search, rows, query_of(search))
    if ranking is None:
        return
    ranking = _still_wanted(search, ranking)
    found = _found(ranking, clocks, dict.fromkeys(clocks, part.pk))
    sightings = sightings_of([row.hit for row in found], _cameras_of(found), latest_verdicts(search))
    part.seconds = time.perf_counter() - started
    _part_store(part, len(clocks), ranking, _rows(search.pk, found, sightings))


def _still_wanted(search: Search, ranking: Ranking) -> Ranking:
    """The ranking without those that SEARCH_LIMIT candidates of other parts are nearer than."""
    last = settings.SEARCH_LIMIT - 1
    stored = search.candidates.order_by("distance").values_list("distance", flat=True)[last : last + 1]
    if not (farthest := list(stored)):
        return ranking
    count = int(np.searchsorted(ranking.distances, farthest[0], "right"))
    columns = {name: getattr(ranking, name)[:count] for name in ("ids", "distances", "cosine", "likelihoods")}
    return replace(ranking, **columns)


def _part_store(part: SearchPart, cameras: int, ranking: Ranking, rows: Sequence[Row]) -> None:
    """The candidates and the part's `done` in one transaction; the locked search keeps counts of two workers right.

    Crops that were erased since they were ranked are left out.
    """
    with transaction.atomic():
        alive = crops_locked(row.crop_id for row in rows)
        search = Search.objects.select_for_update().get(pk=part.search_id)
        undone = SearchPart.objects.filter(pk=part.pk, done=False)
        if search.state != State.RUNNING or not undone.update(
            done=True, cameras=cameras, crops=ranking.scanned, exact=ranking.exact, seconds=part.seconds
        ):
            return
        _candidates_add([row for row in rows if row.crop_id in alive])
        Search.objects.filter(pk=search.pk).update(counts=_counts(search.pk), attempts=0)


def _part_clocks(search: Search, part: SearchPart) -> dict[int, float]:
    """The clock offsets of the cameras of a part that may be searched and are indexed, by id."""
    clocks = _clocks(searchable_cameras(search.user).filter(part_cameras(search.unit, part.unit)))
    indexed = indexed_among(clocks, model_of(search))
    if search.area is not None:
        indexed &= camera_ids(cameras_under(part.unit), search.area)
    return {pk: offset for pk, offset in clocks.items() if pk in indexed}


def _clocks(cameras: QuerySet[Camera]) -> dict[int, float]:
    """By how many seconds each camera's clock is off; a unit has thousands of them, too many to load whole."""
    return dict(cameras.order_by().values_list("pk", "clock_offset_s"))


def _ranked(
    search: Search, rows: GalleryRows, query: NDArray[np.float32], batch_rows: int | None = None
) -> Ranking | None:
    """A part's rows in order of distance, by batches of BATCH_ROWS or as said; None when the search was cancelled."""
    from reid_engine.ranking import EXHAUSTIVE_ROWS, merge

    engine = engine_of(model_of(search))
    among = search.coverage.get("crops")
    size = (batch_rows or BATCH_ROWS) if len(rows.ids) <= EXHAUSTIVE_ROWS else LARGE_BATCH_ROWS
    done: list[Ranking] = []
    for start in range(0, len(rows.ids), size):
        batch = slice(start, start + size)
        done.append(engine.rank(query, rows.features[batch], rows.ids[batch], settings.SEARCH_LIMIT, among))
        if not _goes_on(search):
            return None
    return merge(done, settings.SEARCH_LIMIT)


def _goes_on(search: Search) -> bool:
    """Say that a worker is at it; False when a running search was cancelled. Scoring again cannot be cancelled."""
    if search.state not in CLOSED:
        return search_beat(search.pk)
    if search_move(search.pk, CLOSED, heartbeat_at=timezone.now()):
        return True
    raise Search.DoesNotExist


def model_of(search: Search) -> ModelVersion:
    """The model version that was active when the search was started; it stays that one to its end."""
    if search.model_version is None:
        raise BundleMismatch("The search names no model version; start it again.", search=str(search.pk))
    return search.model_version


def query_of(search: Search) -> NDArray[np.float32]:
    """The query features (D,) as they were extracted, before any verdict."""
    return np.frombuffer(bytes(search.features or b""), dtype=np.float32)


def _found(ranking: Ranking, clocks: Mapping[int, float], parts: Mapping[int, int]) -> list[Found]:
    """Ranked rows with camera, true time (`clocks` by camera) and the part they are of (`parts` by camera).

    A crop that was erased meanwhile, or moved away, is left out.
    """
    crops = {
        pk: (camera, captured.timestamp() - clocks[camera])
        for pk, camera, captured in Crop.objects.filter(pk__in=ranking.ids.tolist())
        .order_by()
        .values_list("pk", "camera_id", "captured_at")
        if camera in clocks
    }
    figures = (ranking.distances.tolist(), ranking.likelihoods.tolist(), ranking.cosine.tolist())
    return [
        Found(Hit(pk, *crops[pk], distance, likelihood), cosine, parts[crops[pk][0]])
        for pk, distance, likelihood, cosine in zip(ranking.ids.tolist(), *figures, strict=True)
        if pk in crops
    ]


def _rows(pk: UUID, found: Iterable[Found], sightings: Iterable[Sighting]) -> list[Row]:
    sighting_of = {crop: sighting.id for sighting in sightings for crop in sighting.crop_ids}
    return [
        Row(pk, of.part_id, of.hit.crop_id, of.hit.distance, of.cosine, of.hit.likelihood, sighting_of[of.hit.crop_id])
        for of in found
    ]


def _candidates_add(rows: Sequence[Row]) -> None:
    """Store candidates as they are: through objects of the model thousands of them take ten times as long."""
    table, columns = connection.ops.quote_name(Candidate._meta.db_table), ", ".join(Row._fields)
    insert = f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(Row._fields))})"
    search = {pk: UUIDField().get_db_prep_save(pk, connection) for pk in {row.search_id for row in rows}}
    with connection.cursor() as cursor:
        cursor.executemany(insert, [(search[row.search_id], *row[1:]) for row in rows])


# ---------------------------------------------------------------------------------------------- close


def search_close(pk: UUID) -> bool:
    """Sightings, path, and done or cancelled, once; True when verdicts given meanwhile are still to be scored."""
    search = Search.objects.select_related("unit", "model_version").get(pk=pk)
    if search.state != State.RUNNING or not (search.cancel_requested or _all_parts_done(search)):
        return False
    started = time.perf_counter()
    search_beat(pk, stage=Stage.PATH)
    hits, cameras = _stored_hits(search, settings.SEARCH_LIMIT)
    sightings = sightings_of(hits, cameras, latest_verdicts(search))
    search.trajectory = path_of(sightings, cameras, search.photos.all())
    search.absence = _absence(search, query_of(search), [hit.crop_id for hit in hits])
    if not _closed(search, hits, sightings, time.perf_counter() - started):
        return search_close(pk)
    return newest_verdict(search.pk) > search.scored_verdict


def search_foresee(pk: UUID) -> None:
    """Measure the ways between the cameras of all hits, as the first verdict will need them; they are remembered.

    The path of a search that found nobody for certain looks at few of them, that after a verdict at most.
    """
    cameras = Camera.objects.filter(pk__in=Candidate.objects.filter(search=pk).order_by().values("crop__camera"))
    places = cameras.order_by().values_list("longitude", "latitude")
    RoadGraph.load().distances([Place(longitude, latitude) for longitude, latitude in places])


def latest_foresee() -> None:
    """The same for the search that ended last: whoever looks at it goes on after the worker has started again."""
    latest = Search.objects.filter(state=State.DONE).order_by("-finished_at").values_list("pk", flat=True).first()
    if latest is not None:
        search_foresee(latest)


def _stored_hits(search: Search, limit: int | None) -> tuple[list[Hit], dict[int, Camera]]:
    """The nearest `limit` candidates (None: all) of all finished parts, and their cameras."""
    columns = ("crop_id", "crop__camera_id", "crop__captured_at", "distance", "likelihood")
    rows = list(search.candidates.values_list(*columns)[:limit])
    cameras = _cameras_by_id(row[1] for row in rows)
    hits = [
        Hit(crop, camera, captured.timestamp() - cameras[camera].clock_offset_s, distance, likelihood)
        for crop, camera, captured, distance, likelihood in rows
    ]
    return hits, cameras


def _all_parts_done(search: Search) -> bool:
    parts = list(search.parts.values_list("done", flat=True))
    return bool(parts) and all(parts)


def _absence(search: Search, query: NDArray[np.float32], crops: Sequence[int]) -> float | None:
    """How much speaks for the person not being among the crops searched; `crops` are the hits, the nearest first."""
    place = {crop: at for at, crop in enumerate(crops[:LOOKED_AT])}
    ids, features, _cameras = _features_of(search, place)
    order = np.argsort(np.array([place[crop] for crop in ids.tolist()], np.int64))
    return engine_of(model_of(search)).absence(query, features[order])


def _closed(search: Search, kept: Sequence[Hit], sightings: Sequence[Sighting], seconds: float) -> bool:
    """Store the end of the search with its path, once.

    False when a crop was erased meanwhile, which the path must not name.
    """
    state = State.CANCELLED if search.cancel_requested else State.DONE
    stage = search.stage if search.cancel_requested else Stage.DONE
    with transaction.atomic():
        if not _all_there(hit.crop_id for hit in kept):
            return False
        found = {"trajectory": search.trajectory, "absence": search.absence}
        if not search_move(search.pk, (State.RUNNING,), state=state, stage=stage, error=None, **found):
            return True
        _sightings_store(search, kept, sightings)
        now = timezone.now()
        timings = _timings(search, now) | {"path": round(seconds, 3)}
        Search.objects.filter(pk=search.pk).update(counts=_counts(search.pk), timings=timings, finished_at=now)
    return True


def _all_there(crops: Iterable[int]) -> bool:
    """Whether none of the crops was erased; none will be before the transaction ends."""
    wanted = set(crops)
    return crops_locked(wanted) == wanted


def _sightings_store(search: Search, kept: Sequence[Hit], sightings: Sequence[Sighting]) -> None:
    """Drop what lies beyond the limit, and number those anew whose burst has changed with that."""
    stored = {crop: (pk, sighting) for pk, crop, sighting in search.candidates.values_list("pk", "crop_id", "sighting")}
    beyond = stored.keys() - {hit.crop_id for hit in kept}
    if beyond:
        search.candidates.filter(pk__in=[stored[crop][0] for crop in beyond]).delete()
    moved = [
        Candidate(pk=stored[crop][0], sighting=sighting.id)
        for sighting in sightings
        for crop in sighting.crop_ids
        if crop in stored and stored[crop][1] != sighting.id
    ]
    Candidate.objects.bulk_update(moved, ["sighting"], batch_size=MOVED_AT_ONCE)


def _timings(search: Search, now: Any) -> dict[str, float]:
    row = Search.objects.values("timings", "created_at", "started_at").get(pk=search.pk)
    match = search.parts.aggregate(seconds=Sum("seconds"))["seconds"] or 0.0
    waited = (row["started_at"] - row["created_at"]).total_seconds() if row["started_at"] else 0.0
    total = (now - row["created_at"]).total_seconds()
    return row["timings"] | {"queued": round(waited, 3), "match": round(match, 3), "total": round(total, 3)}


# ---------------------------------------------------------------------------------------------- verdicts


def search_rescore(pk: UUID) -> bool:
    """Rank everything again with the query moved by the verdicts, and draw the path anew.

    True when more verdicts came in meanwhile, or a crop was erased: then it is to be done again. The finished parts
    are ranked, so a cancelled search stays as partial as it is; crops with a verdict stay among the candidates
    wherever they rank. Where the query features are gone with their retention, only the path is drawn anew.
    """
    search = Search.objects.select_related("unit", "model_version", "user").get(pk=pk)
    newest = newest_verdict(search.pk)
    if search.state not in (State.DONE, State.CANCELLED) or newest <= search.scored_verdict:
        return False
    if search.features is None:
        return not _redraw(search, newest) or newest_verdict(search.pk) > newest
    verdicts = latest_verdicts(search)
    query = _moved_query(search, verdicts)
    found = _rescored(search, verdicts, query)
    cameras = _cameras_of(found)
    sightings = sightings_of([row.hit for row in found], cameras, verdicts)
    search.trajectory = path_of(sightings, cameras, search.photos.all())
    search.absence = _absence(search, query, [row.hit.crop_id for row in found])
    stored = _rescored_store(search, newest, _rows(pk, found, sightings))
    return not stored or newest_verdict(search.pk) > newest


def _rescored(search: Search, verdicts: Mapping[int, Said], query: NDArray[np.float32]) -> list[Found]:
    """Every row of the finished parts ranked again, and whatever has a verdict.

    A closed search is scored for whoever judges it now: his rights hold in all of its unit, while those of who
    started it may have ended, which must not take the hits from his colleagues.
    """
    from reid_engine.ranking import merge

    found = _closed_clocks(search)
    parts = search.parts.filter(done=True).select_related("unit").defer("unit__polygon")
    by_part = {part: clocks for part in parts if (clocks := found.get(part.unit.path))}
    wanted = [Wanted(clocks, windows_in(search, part.unit)) for part, clocks in by_part.items()]
    galleries = _put_together(search, galleries_rows(wanted, model_of(search)))
    rankings = [_ranked(search, rows, query, LARGE_BATCH_ROWS) for rows in galleries]
    clocks = {camera: offset for some in by_part.values() for camera, offset in some.items()}
    part_of = {camera: part.pk for part, some in by_part.items() for camera in some}
    kept = _found(merge([ranking for ranking in rankings if ranking], settings.SEARCH_LIMIT), clocks, part_of)
    return kept + _judged_beyond(search, kept, verdicts, query)


def _put_together(search: Search, galleries: list[GalleryRows]) -> list[GalleryRows]:
    """Parts of which every row is scored anyway as one: ranked one by one, their threads wait for each other each time.

    Only where likelihoods are said to be among the crops of the whole search, and not among those of each part.
    """
    few = sum(map(len, galleries)) <= engine_of(model_of(search)).exhaustive_rows
    if len(galleries) < 2 or not few or not search.coverage.get("crops"):
        return galleries
    ids, seen_at = (np.concatenate([getattr(rows, name) for rows in galleries]) for name in ("ids", "seen_at"))
    return [GalleryRows(ids, seen_at, stacked((rows.features for rows in galleries), model_of(search).dim))]


def _closed_clocks(search: Search) -> dict[str, dict[int, float]]:
    """By the path of a part's unit: its cameras with the seconds their clocks are off; in one statement."""
    cameras = cameras_under(search.unit).order_by()
    inside = None if search.area is None else camera_ids(cameras, search.area)
    length = len(search.unit.path) + Unit.steplen
    clocks: dict[str, dict[int, float]] = defaultdict(dict)
    for pk, offset, path in cameras.values_list("pk", "clock_offset_s", "unit__path"):
        if inside is None or pk in inside:
            clocks[path[:length]][pk] = offset
    return clocks


def _judged_beyond(
    search: Search, kept: Sequence[Found], verdicts: Mapping[int, Said], query: NDArray[np.float32]
) -> list[Found]:
    """Crops with a verdict that the new ranking would drop at the limit: they stay, scored like all others."""
    rows = search.candidates.filter(crop__in=verdicts).values_list("crop_id", "crop__camera_id", "part_id")
    there = {row.hit.crop_id for row in kept}
    lost = {crop: (camera, part) for crop, camera, part in rows if crop not in there}
    ids, features, clocks = _features_of(search, lost)
    if not len(ids):
        return []
    ranking = engine_of(model_of(search)).rank(query, features, ids, len(ids), search.coverage.get("crops"))
    return _found(ranking, clocks, dict(lost.values()))


def _moved_query(search: Search, verdicts: Mapping[int, Said]) -> NDArray[np.float32]:
    """query' of product.md. The photo is a confirmed picture of the person too, as soon as there is another one."""
    query = query_of(search)
    judged = {crop: said for crop, said in verdicts.items() if said != "undecided"}
    ids, features, _clocks_of = _features_of(search, judged)
    confirmed, rejected = (
        features[[judged[crop] == said for crop in ids.tolist()]] for said in ("confirmed", "rejected")
    )
    if len(confirmed):
        confirmed = np.vstack([query[None, :], confirmed])
    return rescore(query, confirmed, rejected)


def _features_of(search: Search, crops: Iterable[int]) -> tuple[NDArray[np.int64], Features, dict[int, float]]:
    """Ids (n,), features (n, D) and cameras' clocks of those crops that the search's model version has indexed."""
    wanted = list(crops)
    clocks = _clocks(Camera.objects.filter(crops__in=wanted))
    if not clocks:
        return np.empty(0, np.int64), np.empty((0, model_of(search).dim), np.float16), {}
    rows = gallery_rows(clocks, model_of(search), None)
    chosen = np.flatnonzero(np.isin(rows.ids, np.array(wanted, dtype=np.int64)))
    return rows.ids[chosen], rows.features[chosen], clocks


def _rescored_store(search: Search, newest: int, rows: Sequence[Row]) -> bool:
    """The new ranking and the search's new path instead of the old ones, unless a later verdict's are stored already.

    False when a crop of theirs was erased meanwhile: nothing is stored.
    """
    with transaction.atomic():
        if not _all_there(row.crop_id for row in rows):
            return False
        behind = Search.objects.filter(pk=search.pk, scored_verdict__lt=newest)
        new = {"trajectory": search.trajectory, "absence": search.absence}
        if not behind.update(scored_verdict=newest, attempts=0, error=None, **new):
            return True
        search.candidates.all().delete()
        _candidates_add(rows)
        Search.objects.filter(pk=search.pk).update(counts=_counts(search.pk))
    return True


# ---------------------------------------------------------------------------------------------- erased crops


def search_redraw(pk: UUID) -> None:
    """Sightings and path of a closed search again, from the candidates that are left after some were erased."""
    search = Search.objects.get(pk=pk)
    if search.state in (State.DONE, State.CANCELLED):
        _redraw(search, search.scored_verdict)


def _redraw(search: Search, newest: int) -> bool:
    """Draw from the candidates as they are ranked; `newest` is the last verdict that the path takes account of.

    False when a crop was erased meanwhile: nothing is stored, and whoever erased it has the search drawn again.
    """
    hits, cameras = _stored_hits(search, None)
    sightings = sightings_of(hits, cameras, latest_verdicts(search))
    path = path_of(sightings, cameras, search.photos.all())
    with transaction.atomic():
        if not _all_there(hit.crop_id for hit in hits):
            return False
        as_read = Search.objects.filter(pk=search.pk, scored_verdict=search.scored_verdict)
        if as_read.update(trajectory=path, scored_verdict=newest):
            _sightings_store(search, hits, sightings)
            Search.objects.filter(pk=search.pk).update(counts=_counts(search.pk))
    return True


def latest_verdicts(search: Search) -> dict[int, Said]:
    """{crop id: the latest verdict given on it, whoever gave it}."""
    rows = search.verdicts.order_by("id").values_list("crop_id", "value")
    return cast(dict[int, Said], dict(rows))


def newest_verdict(pk: UUID) -> int:
    """The id of the latest verdict, 0 without any."""
    return Verdict.objects.filter(search=pk).aggregate(newest=Max("id"))["newest"] or 0


# ---------------------------------------------------------------------------------------------- shared


def _counts(pk: UUID) -> dict[str, Any]:
    done = Q(done=True)
    parts = SearchPart.objects.filter(search=pk).aggregate(
        parts=Count("pk"),
        parts_done=Count("pk", filter=done),
        inexact=Count("pk", filter=Q(exact=False)),
        cameras=Sum("cameras", filter=done, default=0),
        crops=Sum("crops", filter=done, default=0),
    )
    exact = not parts.pop("inexact")
    found = Candidate.objects.filter(search=pk).aggregate(
        candidates=Count("pk"), sightings=Count("sighting", distinct=True)
    )
    return parts | found | {"exact": exact}


def _cameras_of(found: Iterable[Found]) -> dict[int, Camera]:
    return _cameras_by_id(row.hit.camera_id for row in found)


def _cameras_by_id(ids: Iterable[int]) -> dict[int, Camera]:
    """Of thousands of cameras no more is read than sightings and path need."""
    return Camera.objects.only(*PLACED).in_bulk(set(ids))


@contextmanager
def _stage(search: Search, stage: Search.Stage) -> Iterator[None]:
    """Show the stage while it runs, and keep the seconds it took."""
    search_beat(search.pk, stage=stage)
    started = time.perf_counter()
    yield
    search.timings[stage.value] = round(time.perf_counter() - started, 3)
    Search.objects.filter(pk=search.pk).update(timings=search.timings)
