"""Reads of the gallery: the rows a search looks at, and what there is to look at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypedDict

import numpy as np
from django.db.models import Count, ExpressionWrapper, F, FloatField, Func, Max, Min, QuerySet, Sum
from django.db.models.functions import Substr
from django.urls import get_script_prefix, reverse
from numpy.typing import NDArray

from citysearch.gallery.indexing import cameras_filter, segment_store
from citysearch.gallery.models import Crop, Segment
from citysearch.research.models import ModelVersion
from reid_engine.errors import BundleMismatch, StoreCorrupt
from reid_engine.stack import Stack, stacked
from reid_engine.store import Window, gather
from units.models import Camera, Unit
from units.tree import around

# How often a reader looks again when a segment vanished under it (compacted or rewritten meanwhile).
READ_ATTEMPTS = 5
# SQLite counts days as a double: about 40 microseconds.
TIME_ERROR_S = 0.0005


@dataclass(frozen=True)
class GalleryRows:
    """What a search ranks: crop ids (N,), true times (N,) in seconds since 1970, features (N, D) float16."""

    ids: NDArray[np.int64]
    seen_at: NDArray[np.float64]
    features: Stack

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Wanted:
    """Cameras by id with the seconds their clocks are off, and the times of theirs that are looked at."""

    offsets: Mapping[int, float]
    windows: Sequence[Window] | None = None


class UnitCounts(TypedDict):
    """What the subtree of a unit holds; last_captured is true time, last_indexed when features were added last."""

    cameras: int
    crops: int
    indexed: int
    last_captured: datetime | None
    last_indexed: datetime | None


def gallery_of(
    cameras: Iterable[Camera], version: ModelVersion, windows: Sequence[Window] | None = None
) -> GalleryRows:
    """`gallery_rows` of these cameras."""
    return gallery_rows({camera.pk: camera.clock_offset_s for camera in cameras}, version, windows)


def gallery_rows(
    offsets: Mapping[int, float], version: ModelVersion, windows: Sequence[Window] | None = None
) -> GalleryRows:
    """The committed features of some cameras' crops, within any of the windows (true time, both ends included).

    `offsets` says by camera how many seconds its clock is off: its windows are shifted by them, its times shifted back.
    `windows` None takes every row. Raises StoreCorrupt for a damaged segment, BundleMismatch for one of another size.
    """
    return galleries_rows([Wanted(offsets, windows)], version)[0]


def galleries_rows(wanted: Sequence[Wanted], version: ModelVersion) -> list[GalleryRows]:
    """`gallery_rows` of each, in one statement; no camera in two of them."""
    for attempt in range(READ_ATTEMPTS):
        paths = _paths(wanted, version)
        try:
            return [_rows_of(some, one.windows, version.dim) for some, one in zip(paths, wanted, strict=True)]
        except StoreCorrupt:
            if attempt + 1 == READ_ATTEMPTS or paths == _paths(wanted, version):
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def gallery_counts(units: Iterable[Unit], version: ModelVersion | None) -> dict[int, UnitCounts]:
    """Unit id -> counts over its subtree; two statements for each level that the units lie on.

    Without a version nothing counts as indexed, and nobody is asked.
    """
    units = list(units)
    counts: dict[int, UnitCounts] = {unit.pk: _no_counts() for unit in units}
    for length in {len(unit.path) for unit in units}:
        _count_level({unit.path: counts[unit.pk] for unit in units if len(unit.path) == length}, version)
    return counts


def index_progress(version: ModelVersion) -> dict[str, int]:
    """How far a model version is: crops in the gallery, and how many of them have its features."""
    indexed = Segment.objects.filter(model_version=version).aggregate(n=Sum("rows"))["n"] or 0
    return {"crops": Crop.objects.count(), "indexed": indexed}


def crops_locked(ids: Iterable[int]) -> set[int]:
    """Those of the crops that are still there; none of them is erased before the caller's transaction ends.

    Whoever locks a search too locks the crops first, as erasing does.
    """
    rows = Crop.objects.filter(pk__in=sorted(ids)).order_by("pk").select_for_update(no_key=True)
    return set(rows.values_list("pk", flat=True))


def crop_url(crop: Crop | int) -> str:
    """The address of a crop's small picture; who may see it is checked there."""
    before, after = _beside_number(get_script_prefix())
    return f"{before}{crop if isinstance(crop, int) else crop.pk}{after}"


@cache
def _beside_number(_prefix: str) -> tuple[str, str]:
    """The address before and after the number, below a prefix: looked up once, where a page shows 500 pictures."""
    before, after = reverse("crop-thumbnail", args=[0]).rsplit("/0/", 1)
    return f"{before}/", f"/{after}"


def true_time(crop: Crop) -> datetime:
    """When it happened: the camera's clock less its offset. The crop's camera should be loaded."""
    return crop.captured_at - timedelta(seconds=crop.camera.clock_offset_s)


def crops_between(crops: QuerySet[Crop], start: datetime | None, end: datetime | None) -> QuerySet[Crop]:
    """The crops taken within [start, end] of true time; each camera's clock is corrected by its offset.

    The offsets' extremes narrow by the index first; then each row's own time is computed.
    """
    least, most = _offset_range()
    taken = EpochSeconds("captured_at") - F("camera__clock_offset_s")
    crops = crops.alias(taken=ExpressionWrapper(taken, output_field=FloatField()))
    if start is not None:
        crops = crops.filter(captured_at__gte=_shifted(start, least), taken__gte=start.timestamp() - TIME_ERROR_S)
    if end is not None:
        crops = crops.filter(captured_at__lte=_shifted(end, most), taken__lte=end.timestamp() + TIME_ERROR_S)
    return crops


class EpochSeconds(Func):
    """A time as seconds since 1970."""

    output_field = FloatField()
    template = "EXTRACT(EPOCH FROM %(expressions)s)"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, Any]:
        template = "((julianday(%(expressions)s) - 2440587.5) * 86400.0)"
        return self.as_sql(compiler, connection, template=template, **context)


def _offset_range() -> tuple[timedelta, timedelta]:
    """The smallest and the largest clock offset of any camera, a second more on either side."""
    found = Camera.objects.aggregate(least=Min("clock_offset_s"), most=Max("clock_offset_s"))
    return timedelta(seconds=(found["least"] or 0) - 1), timedelta(seconds=(found["most"] or 0) + 1)


def _shifted(moment: datetime, delta: timedelta) -> datetime:
    """The time moved by delta, or left alone at the ends of what a datetime can hold."""
    try:
        return moment + delta
    except OverflowError:
        return moment


def _rows_of(paths: Mapping[float, Sequence[str]], windows: Sequence[Window] | None, dim: int) -> GalleryRows:
    """Rows of segments by the clock offset of their cameras."""
    found = [(gather(segment_store(), paths[offset], _shifted_by(offset, windows)), offset) for offset in sorted(paths)]
    found = [(part, offset) for part, offset in found if len(part[0])]
    ids = np.concatenate([np.empty(0, np.int64), *(part[0] for part, _offset in found)])
    seen_at = np.concatenate([np.empty(0, np.float64), *(part[1] - offset for part, offset in found)])
    sizes = {part[2].shape[1] for part, _offset in found} or {dim}
    if len(sizes) > 1:
        raise BundleMismatch(f"The segments hold features of sizes {sorted(sizes)}; index the gallery again.")
    return GalleryRows(ids, seen_at, stacked((part[2] for part, _offset in found), sizes.pop()))


def _paths(wanted: Sequence[Wanted], version: ModelVersion) -> list[dict[float, list[str]]]:
    """For each: clock offset -> committed segments of such cameras that may hold rows of the windows."""
    holder = {camera: number for number, one in enumerate(wanted) for camera in one.offsets}
    paths: list[dict[float, list[str]]] = [defaultdict(list) for _one in wanted]
    rows = Segment.objects.filter(model_version=version, **cameras_filter(holder))
    found = rows.order_by("camera_id", "start", "id").values_list("camera_id", "path", "start", "end")
    for camera, path, start, end in found:
        if (number := holder.get(camera)) is None:
            continue
        offset = wanted[number].offsets[camera]
        if _overlaps(start, end, _shifted_by(offset, wanted[number].windows)):
            paths[number][offset].append(path)
    return [dict(some) for some in paths]


def _shifted_by(offset: float, windows: Sequence[Window] | None) -> Sequence[Window] | None:
    """True times as a camera's own clock has them."""
    return None if windows is None else [(start + offset, end + offset) for start, end in windows]


def _overlaps(start: float, end: float, windows: Sequence[Window] | None) -> bool:
    return windows is None or any(first <= end and last >= start for first, last in windows)


def _count_level(counts: Mapping[str, UnitCounts], version: ModelVersion | None) -> None:
    """Fill in the counts of units of one level, by path. Cameras are summed up by the database, clock by clock."""
    length = len(next(iter(counts)))
    unit = Substr("unit__path", 1, length)
    cameras = Camera.objects.filter(around(counts, "unit__path")).order_by().values_list(unit, "clock_offset_s")
    figures = cameras.annotate(n=Count("pk"), held=Sum("crop_count__crops"), last=Max("crop_count__last_captured"))
    for path, offset, number, crops, last in figures:
        if path in counts:
            _add(counts[path], number, crops or 0, last and last - timedelta(seconds=offset))
    if version is None:
        return
    segments = Segment.objects.filter(around(counts, "camera__unit__path"), model_version=version).order_by()
    by_unit = segments.values_list(Substr("camera__unit__path", 1, length))
    for path, rows, last in by_unit.annotate(n=Sum("rows"), last=Max("created_at")):
        if path in counts:
            counts[path]["indexed"], counts[path]["last_indexed"] = rows, last


def _no_counts() -> UnitCounts:
    return {"cameras": 0, "crops": 0, "indexed": 0, "last_captured": None, "last_indexed": None}


def _add(counts: UnitCounts, cameras: int, crops: int, last: datetime | None) -> None:
    counts["cameras"] += cameras
    counts["crops"] += crops
    if last and (counts["last_captured"] is None or last > counts["last_captured"]):
        counts["last_captured"] = last
