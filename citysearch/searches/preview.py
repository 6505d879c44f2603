"""What a search would look at, before it is started: cameras, crops, and the times in which its conditions hold."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from django.db.models import Count

from citysearch.gallery.indexing import cameras_filter
from citysearch.gallery.models import CameraCount, Crop
from citysearch.searches.areas import Area
from citysearch.searches.coverage import Window, part_units, taken_within, windows_in
from citysearch.searches.models import Search
from citysearch.searches.paths import local_time
from units.models import Unit
from units.queries import camera_ids, cameras_under, windows_of
from units.tree import unit_path

WINDOWS_SHOWN = 200


class Scope(NamedTuple):
    """Where and when a search looks."""

    unit: Unit
    area: Area | None = None
    period: tuple[datetime | None, datetime | None] = (None, None)
    conditions: Sequence[Mapping[str, Any]] = ()


def search_preview(scope: Scope) -> dict[str, Any]:
    """unit, unit_path, cameras, crops in them, crops_left in the times, and the first windows; see the serializer.

    Raises BadCondition where nobody measures what a condition asks for.
    """
    unit = scope.unit
    cameras = camera_ids(cameras_under(unit), scope.area)
    windows = windows_of(unit, scope.conditions, scope.period)
    everything = crops_in(scope._replace(period=(None, None), conditions=()), cameras)
    return {
        "unit": {"id": unit.pk, "code": unit.code, "name": unit.name, "level": unit.level},
        "unit_path": unit_path(unit),
        "cameras": len(cameras),
        "crops": everything,
        "crops_left": everything if windows is None else crops_in(scope, cameras),
        "windows_total": 0 if windows is None else len(windows),
        "windows": None if windows is None else [_dated(window) for window in windows[:WINDOWS_SHOWN]],
    }


def crops_in(scope: Scope, cameras: set[int]) -> int:
    """Crops of the cameras in the searched times of their part, each by its camera's own clock."""
    fields = {"period_from": scope.period[0], "period_to": scope.period[1], "conditions": list(scope.conditions)}
    times = partial(windows_in, Search(unit=scope.unit, **fields))
    parts: dict[str, dict[int, float]] = defaultdict(dict)
    rows = cameras_under(scope.unit).order_by().values_list("pk", "unit__path", "clock_offset_s")
    for pk, path, offset in rows:
        if pk in cameras:
            parts[path[: len(scope.unit.path) + Unit.steplen]][pk] = offset
    return sum(_crops_of_part(parts[part.path], times(part)) for part in part_units(scope.unit, parts))


def _crops_of_part(offsets: Mapping[int, float], windows: Sequence[Window] | None) -> int:
    """Crops of the cameras, given with their clock offsets; without windows they are counted already."""
    near = cameras_filter(offsets)
    if windows is None:
        counted = CameraCount.objects.filter(**near).values_list("camera_id", "crops")
        return sum(n for camera, n in counted if camera in offsets)
    crops = Crop.objects.filter(**near).order_by()
    some = (crops.filter(part) for part in taken_within(set(offsets.values()), windows))
    found = chain.from_iterable(rows.values_list("camera_id").annotate(n=Count("pk")) for rows in some)
    return sum(n for camera, n in found if camera in offsets)


def _dated(window: Window) -> dict[str, str | None]:
    """The window as two local times; an open end is None."""
    start, end = (local_time(moment) if math.isfinite(moment) else None for moment in window)
    return {"from": start, "to": end}
