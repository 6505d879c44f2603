"""The kept counts are those of the rows, whoever adds, repeats, erases or meddles."""

from __future__ import annotations

from typing import Any

import pytest

from citysearch.gallery import services
from citysearch.gallery.counting import counts_check
from citysearch.gallery.models import CameraCount, Crop
from citysearch.gallery.tests.conftest import items
from units.models import Camera

pytestmark = pytest.mark.django_db


def test_counts_follow_additions_repeats_and_erasures(cameras: list[Camera]) -> None:
    services.crops_add_bulk(cameras[0], items(6))
    services.crops_add_bulk(cameras[0], items(4))
    services.crops_add_bulk(cameras[1], [*items(2), *items(2)])
    assert dict(CameraCount.objects.values_list("camera__code", "crops")) == {"cam-1": 6, "cam-2": 2}
    assert counts_check() == 0


def test_the_newest_crop_stays_the_newest_when_older_ones_come_later(cameras: list[Camera]) -> None:
    for start in (100, 0, 200, 50):
        services.crops_add_bulk(cameras[0], items(2, start=start))
        services.crops_add_bulk(cameras[1], items(1, start=start))
        newest = {camera.pk: camera.crops.latest("captured_at").captured_at for camera in cameras[:2]}
        assert dict(CameraCount.objects.values_list("camera_id", "last_captured")) == newest
    assert counts_check() == 0


@pytest.mark.django_db(transaction=True)
def test_an_erased_newest_crop_is_no_longer_the_newest(cameras: list[Camera]) -> None:
    services.crops_add_bulk(cameras[0], items(6))
    newest = Crop.objects.order_by("captured_at").last()
    assert newest is not None
    services.crops_erase([newest])
    row = CameraCount.objects.get()
    left = Crop.objects.order_by("captured_at").last()
    assert left is not None and row.crops == 5 and row.last_captured == left.captured_at
    assert counts_check() == 0


def test_a_worker_that_starts_corrects_what_somebody_wrote_past_the_services(cameras: list[Camera]) -> None:
    services.crops_add_bulk(cameras[0], items(3))
    services.crops_add_bulk(cameras[1], items(3))
    Crop.objects.filter(camera=cameras[0]).delete()
    CameraCount.objects.filter(camera=cameras[1]).delete()
    assert counts_check() == 2
    counted: Any = dict(CameraCount.objects.values_list("camera__code", "crops"))
    assert counted == {"cam-1": 0, "cam-2": 3} and counts_check() == 0
