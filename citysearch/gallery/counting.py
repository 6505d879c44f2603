"""Crops per camera, counted as they come and go: to count a gallery of millions anew takes longer than a page may.

Whoever writes crops tells it here, in the same transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from django.db import connection, transaction
from django.db.models import Count, Max

from citysearch.gallery.models import CameraCount, Crop

_TABLE = CameraCount._meta.db_table
_ADD = """
INSERT INTO {table} (camera_id, crops, last_captured) VALUES {marks}
ON CONFLICT (camera_id) DO UPDATE SET crops = {table}.crops + excluded.crops, last_captured = CASE
    WHEN {table}.last_captured > excluded.last_captured THEN {table}.last_captured ELSE excluded.last_captured END
"""


class Counted(Protocol):
    """A crop, or what becomes one."""

    @property
    def camera_id(self) -> int: ...
    @property
    def captured_at(self) -> datetime: ...


def counts_add(crops: Iterable[Counted]) -> None:
    """Count crops that were just added. One statement: a thousand crops may be of as many cameras.

    Always in the order of the cameras, so that two who add never wait for each other.
    """
    added: dict[int, list[datetime]] = defaultdict(list)
    for crop in crops:
        added[crop.camera_id].append(crop.captured_at)
    if not added:
        return
    moment_of = connection.ops.adapt_datetimefield_value
    rows = [(camera_id, len(times), moment_of(max(times))) for camera_id, times in sorted(added.items())]
    with connection.cursor() as cursor:
        marks = ", ".join(["(%s, %s, %s)"] * len(rows))
        cursor.execute(_ADD.format(table=_TABLE, marks=marks), [value for row in rows for value in row])


def counts_renew(camera_id: int) -> None:
    """Count one camera anew, after some of its crops were erased; the caller holds the lock of the camera."""
    found = Crop.objects.filter(camera_id=camera_id).aggregate(crops=Count("pk"), last_captured=Max("captured_at"))
    CameraCount.objects.filter(camera_id=camera_id).update(**found)


def counts_check() -> int:
    """Count every camera anew, one at a time, and correct those that were wrong; returns how many were."""
    counted = _counted()
    known = {row.camera_id: (row.crops, row.last_captured) for row in CameraCount.objects.all()}
    wrong = {pk for pk in counted.keys() | known.keys() if counted.get(pk, (0, None)) != known.get(pk, (0, None))}
    return sum(_corrected(camera_id) for camera_id in sorted(wrong))


def _counted() -> dict[int, tuple[int, datetime]]:
    rows = Crop.objects.order_by().values_list("camera_id").annotate(n=Count("pk"), last=Max("captured_at"))
    return {camera_id: (count, last) for camera_id, count, last in rows}


@transaction.atomic
def _corrected(camera_id: int) -> bool:
    """Count under the camera's lock: what was imported since we looked is no mistake."""
    from citysearch.gallery.indexing import camera_locked

    if not camera_locked(camera_id):
        return False
    before = CameraCount.objects.filter(camera_id=camera_id).values_list("crops", "last_captured").first()
    CameraCount.objects.bulk_create([CameraCount(camera_id=camera_id)], ignore_conflicts=True)
    counts_renew(camera_id)
    after = CameraCount.objects.filter(camera_id=camera_id).values_list("crops", "last_captured").first()
    return before != after
