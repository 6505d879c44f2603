"""What a search looks at: windows of true time, counts over subtrees."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from citysearch.gallery import queries, services
from citysearch.gallery.models import Crop, Segment
from citysearch.gallery.tests.conftest import NOON, TinyExtractor, items
from units.models import Camera, Unit

START = NOON.timestamp()


@pytest.fixture
def clocks(cameras: list[Camera], version: Any, extractor: TinyExtractor) -> list[Camera]:
    """Ten crops a camera, one a second by its own clock; cam-1 is right, cam-2 is 100 s ahead, cam-3 50 s behind."""
    for number, offset in enumerate((0.0, 100.0, -50.0)):
        cameras[number].clock_offset_s = offset
        cameras[number].save()
        services.crops_add_bulk(cameras[number], items(10))
    services.index_cameras([camera.pk for camera in cameras], version, extractor=extractor)
    return cameras


def test_times_come_back_true(clocks: list[Camera], version: Any) -> None:
    rows = queries.gallery_of(clocks, version)
    crops = Crop.objects.select_related("camera").in_bulk(rows.ids.tolist())
    assert len(rows) == 30
    for crop_id, seen_at in zip(rows.ids, rows.seen_at, strict=True):
        assert seen_at == queries.true_time(crops[int(crop_id)]).timestamp()


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([(2, 4)], {"cam-1": [2, 3, 4]}),
        ([(-98, -96)], {"cam-2": [2, 3, 4]}),
        ([(52, 54)], {"cam-3": [2, 3, 4]}),
        ([(-100, 0)], {"cam-1": [0], "cam-2": list(range(10))}),
        ([(1, 2), (2, 3), (57, 1000)], {"cam-1": [1, 2, 3], "cam-3": [7, 8, 9]}),
        ([(20, 30)], {}),
        ([], {}),
    ],
)
def test_windows_are_true_time_whatever_the_camera_says(
    clocks: list[Camera], version: Any, windows: list[tuple[int, int]], expected: dict[str, list[int]]
) -> None:
    rows = queries.gallery_of(clocks, version, [(START + start, START + end) for start, end in windows])
    found: dict[str, list[int]] = {}
    for crop in Crop.objects.filter(pk__in=rows.ids.tolist()).select_related("camera").order_by("captured_at"):
        found.setdefault(crop.camera.code, []).append(int(crop.captured_at.timestamp() - START))
    assert found == expected


def test_windows_equal_a_filter_over_every_row(clocks: list[Camera], version: Any) -> None:
    every = queries.gallery_of(clocks, version)
    windows = [(START - 97.5, START - 95), (START + 3, START + 53)]
    inside = [any(start <= moment <= end for start, end in windows) for moment in every.seen_at]
    assert set(queries.gallery_of(clocks, version, windows).ids) == set(every.ids[inside])


def test_a_gallery_of_some_cameras_holds_no_other_camera(clocks: list[Camera], version: Any) -> None:
    rows = queries.gallery_of([clocks[0], clocks[2]], version)
    cameras = set(Crop.objects.filter(pk__in=rows.ids.tolist()).values_list("camera__code", flat=True))
    assert cameras == {"cam-1", "cam-3"} and len(rows) == 20
    assert len(queries.gallery_of([clocks[3]], version)) == 0
    assert queries.gallery_of([], version).features.shape == (0, 24)


def test_counts_add_up_along_the_tree(clocks: list[Camera], version: Any) -> None:
    services.crops_add_bulk(clocks[3], items(2, start=50))
    counts = queries.gallery_counts(Unit.objects.all(), version)
    by_code = {unit.code: dict(counts[unit.pk]) for unit in Unit.objects.all()}
    newest = Segment.objects.latest("created_at").created_at
    assert by_code["330100"].pop("last_indexed") == newest
    assert by_code["33010200100102"].pop("last_indexed") is None, "its crops are not indexed yet"
    assert by_code["330100"] == {
        "cameras": 4,
        "crops": 32,
        "indexed": 30,
        "last_captured": NOON + timedelta(seconds=59),
    }
    assert by_code["330101"]["crops"] == 20 and by_code["330102"]["indexed"] == 10
    assert by_code["33010200100102"] == {
        "cameras": 1,
        "crops": 2,
        "indexed": 0,
        "last_captured": NOON + timedelta(seconds=51),
    }


def test_counts_of_an_empty_tree_are_zero(city: Unit) -> None:
    assert queries.gallery_counts([city], None) == {
        city.pk: {"cameras": 0, "crops": 0, "indexed": 0, "last_captured": None, "last_indexed": None}
    }


def test_counts_cost_the_same_however_many_units_a_level_has(clocks: list[Camera], version: Any) -> None:
    one, every = list(Unit.objects.filter(code="330101")), list(Unit.objects.all())
    costs = []
    for units in (one, every):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            queries.gallery_counts(units, version)
        costs.append(len(asked))
    assert costs == [2, 2 * 5], "two for each level"


def test_the_period_of_a_list_is_true_time(clocks: list[Camera]) -> None:
    def taken(start: float | None, end: float | None) -> list[tuple[str, int]]:
        bounds = [None if second is None else NOON + timedelta(seconds=second) for second in (start, end)]
        found = queries.crops_between(Crop.objects.all(), *bounds).select_related("camera")
        return sorted((crop.camera.code, int(crop.captured_at.timestamp() - START)) for crop in found)

    assert taken(8, 51) == [("cam-1", 8), ("cam-1", 9), ("cam-3", 0), ("cam-3", 1)]
    assert taken(None, -99) == [("cam-2", 0), ("cam-2", 1)]
    assert taken(59, None) == [("cam-3", 9)]
    assert len(taken(None, None)) == 30
