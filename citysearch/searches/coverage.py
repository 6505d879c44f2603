"""What a search looked at: searched and skipped cameras, and why.

{cameras, searched, skipped, crops, reasons: {reason: cameras}, marked: {mark: cameras},
 list: [{id, code, name, reason | mark}, ...]}: `list` names the cameras with a reason or a mark, at most 500 of them;
`crops` are those of the searched cameras in the searched times, counted when a search begins.
Reasons to skip a camera: no_permission, no_crops, not_indexed, other_model, no_crops_in_period.
Marks of a camera that was searched all the same: offline, maintenance, partly_indexed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from citysearch.gallery.indexing import cameras_filter, pending_counts
from citysearch.gallery.models import CameraCount, Crop, Segment
from citysearch.research.models import ModelVersion
from citysearch.searches.models import Search
from units.models import CameraStatus, Unit
from units.queries import BadCondition, camera_ids, cameras_under, windows_of
from units.tree import below

LOOKED_AT = ("pk", "code", "name", "status", "clock_offset_s", "unit__path")
Window = tuple[float, float]
LISTED = 500
CONDITIONS_AT_ONCE = 200  # SQLite refuses expressions that are nested too deeply
FAR_FUTURE = 2.5e11  # seconds; the year 9892, near the last moment a datetime can hold


class Looked(NamedTuple):
    """What coverage asks of a camera; a city has too many of them to load whole."""

    pk: int
    code: str
    name: str
    status: str
    clock_offset_s: float
    unit_path: str


def coverage_of(
    unit: Unit,
    permitted: set[int],
    version: ModelVersion,
    times: Callable[[Unit], Sequence[Window] | None],
    area: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Coverage of a search of the unit (module docstring). `times` gives the searched times of a part's unit.

    Of a drawn area only the cameras inside are spoken of.

    No statement names cameras one by one: a city has more of them than a statement may name.
    """
    cameras = [Looked(*row) for row in cameras_under(unit).values_list(*LOOKED_AT)]
    if area is not None:
        inside = camera_ids(cameras_under(unit), area)
        cameras = [camera for camera in cameras if camera.pk in inside]
    reasons = _reasons(unit, cameras, permitted, version, times)
    marks = _marks([camera for camera in cameras if camera.pk not in reasons], version)
    lines = [_line(camera, reasons, marks) for camera in cameras if camera.pk in reasons or camera.pk in marks]
    return {
        "cameras": len(cameras),
        "searched": len(cameras) - len(reasons),
        "skipped": len(reasons),
        "reasons": dict(Counter(reasons.values())),
        "marked": dict(Counter(marks.values())),
        "list": lines[:LISTED],
    }


def windows_in(search: Search, unit: Unit) -> list[Window] | None:
    """The times to search in a unit; where nobody measures a condition there, those of the whole search's unit."""
    period = (search.period_from, search.period_to)
    try:
        return windows_of(unit, search.conditions, period)
    except BadCondition:
        return windows_of(search.unit, search.conditions, period)


def indexed_ids(unit: Unit, version: ModelVersion) -> set[int]:
    """The cameras of the unit that have features of this version."""
    return indexed_among(camera_ids(cameras_under(unit)), version)


def indexed_among(cameras: Collection[int], version: ModelVersion) -> set[int]:
    """Those of the cameras that have features of this version."""
    return _segmented(cameras, model_version=version).intersection(cameras)


def _segmented(cameras: Collection[int], **filters: Any) -> set[int]:
    """The cameras of some segments: those of these cameras, and of others between them.

    By the cameras' numbers and not by way of their units, for which SQLite would visit every segment of the city.
    """
    segments = Segment.objects.filter(**cameras_filter(cameras), **filters).order_by()
    return set(segments.values_list("camera_id", flat=True).distinct())


def _reasons(
    unit: Unit,
    cameras: Sequence[Looked],
    permitted: set[int],
    version: ModelVersion,
    times: Callable[[Unit], Sequence[Window] | None],
) -> dict[int, str]:
    """{camera id: why it is skipped}; the first reason that holds, in the order of the module docstring."""
    inside = {camera.pk for camera in cameras}
    holding = _with_crops(inside)
    indexed = indexed_among(inside, version)
    elsewhere = _segmented(inside) - indexed
    in_time = _in_time(unit, cameras, holding, times)
    checks = (
        ("no_permission", lambda pk: pk not in permitted),
        ("no_crops", lambda pk: pk not in holding),
        ("other_model", lambda pk: pk in elsewhere),
        ("not_indexed", lambda pk: pk not in indexed),
        ("no_crops_in_period", lambda pk: pk not in in_time),
    )
    found = {camera.pk: next((name for name, holds in checks if holds(camera.pk)), "") for camera in cameras}
    return {pk: reason for pk, reason in found.items() if reason}


def _marks(cameras: Sequence[Looked], version: ModelVersion) -> dict[int, str]:
    partly = dict.fromkeys(pending_counts([camera.pk for camera in cameras], version), "partly_indexed")
    away = {camera.pk: camera.status for camera in cameras if camera.status != CameraStatus.ONLINE}
    return partly | away


def _line(camera: Looked, reasons: dict[int, str], marks: dict[int, str]) -> dict[str, Any]:
    why = {"reason": reasons[camera.pk]} if camera.pk in reasons else {"mark": marks[camera.pk]}
    return {"id": camera.pk, "code": camera.code, "name": camera.name, **why}


def _with_crops(cameras: Collection[int]) -> set[int]:
    counted = CameraCount.objects.filter(**cameras_filter(cameras), crops__gt=0)
    return set(counted.values_list("camera_id", flat=True))


def part_units(unit: Unit, paths: Iterable[str]) -> list[Unit]:
    """The children of the unit at or above these unit paths, in tree order; the unit itself for its very own."""
    length = len(unit.path) + Unit.steplen
    return list(Unit.objects.filter(path__in={path[:length] for path in paths}).order_by("path"))


def part_cameras(unit: Unit, part: Unit, field: str = "unit") -> Q:
    """The cameras (rows whose `field` leads to the camera's unit) of one part of a search of the unit."""
    return Q(**{field: part}) if part.pk == unit.pk else below([part.path], f"{field}__path")


def _in_time(
    unit: Unit, cameras: Sequence[Looked], holding: set[int], times: Callable[[Unit], Sequence[Window] | None]
) -> set[int]:
    """The cameras with a crop in the times that are searched in their part."""
    by_part: dict[str, set[Looked]] = defaultdict(set)
    length = len(unit.path) + Unit.steplen
    for camera in cameras:
        if camera.pk in holding:
            by_part[camera.unit_path[:length]].add(camera)
    found: set[int] = set()
    for part in part_units(unit, by_part):
        here, windows = by_part[part.path], times(part)
        rows = Crop.objects.filter(**cameras_filter({camera.pk for camera in here})).order_by()
        found |= {camera.pk for camera in here} if windows is None else _with_crops_within(rows, here, windows)
    return found


def _with_crops_within(crops: QuerySet[Crop], cameras: Collection[Looked], windows: Sequence[Window]) -> set[int]:
    """Those of the cameras with one of the crops in any of the windows, each by its own clock."""
    found: set[int] = set()
    wanted = {camera.pk for camera in cameras}
    for some in taken_within({camera.clock_offset_s for camera in cameras}, windows):
        if found == wanted:
            break
        found |= wanted.intersection(crops.filter(some).values_list("camera_id", flat=True).distinct())
    return found


def taken_within(offsets: Collection[float], windows: Sequence[Window]) -> Iterator[Q]:
    """Crops taken in any of the windows by cameras with these clock offsets; several conditions, no crop in two."""
    conditions = [
        Q(camera__clock_offset_s=offset) & _between(start + offset, end + offset)
        for offset in sorted(offsets)
        for start, end in windows
    ]
    for start in range(0, len(conditions), CONDITIONS_AT_ONCE):
        yield reduce(or_, conditions[start : start + CONDITIONS_AT_ONCE])


def _between(start: float, end: float) -> Q:
    condition = Q()
    if start > 0:
        condition &= Q(captured_at__gte=_moment(start))
    if end < FAR_FUTURE:
        condition &= Q(captured_at__lte=_moment(end))
    return condition


def _moment(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
