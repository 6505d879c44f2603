"""What a search would look at, before it is started: cameras, crops, and the times in which its conditions hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from django.db.models import Count, Q

from citysearch.gallery.models import Crop
from citysearch.searches.areas import Area
from citysearch.searches.coverage import Window, part_cameras, part_units, taken_within, windows_in
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
    offsets: dict[str, set[float]] = {}
    rows = cameras_under(scope.unit).order_by().values_list("pk", "unit__path", "clock_offset_s")
    for pk, path, offset in rows:
        if pk in cameras:
            offsets.setdefault(path[: len(scope.unit.path) + Unit.steplen], set()).add(offset)
    return sum(
        _crops_of_part(scope.unit, part, cameras, offsets[part.path], times(part))
        for part in part_units(scope.unit, offsets)
    )


def _crops_of_part(
    unit: Unit, part: Unit, cameras: set[int], offsets: set[float], windows: Sequence[Window] | None
) -> int:
    crops = Crop.objects.filter(part_cameras(unit, part, "camera__unit")).order_by()
    conditions = [Q()] if windows is None else taken_within(offsets, windows)
    counted = (crops.filter(some).values_list("camera_id").annotate(n=Count("pk")) for some in conditions)
    return sum(n for rows in counted for camera, n in rows if camera in cameras)


def _dated(window: Window) -> dict[str, str | None]:
    """The window as two local times; an open end is None."""
    start, end = (local_time(moment) if math.isfinite(moment) else None for moment in window)
    return {"from": start, "to": end}
