"""result(unit) is the union of its children's results, and equals an exhaustive scan of the unit's gallery."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from citysearch.gallery.models import Crop, Segment
from citysearch.searches import pipeline, tasks
from citysearch.searches.models import Search, SearchPart
from citysearch.searches.tests import cast
from units.models import Unit

pytestmark = pytest.mark.django_db

# The city, a district, a street, a region, a grid.
CHOSEN = ("330100", "330101", "330101001", "330102001001", "33010200100102")


def searched(unit: Unit, version: Any, user: Any, query: np.ndarray) -> Search:
    """A finished search whose query features are given instead of a photo."""
    search = Search.objects.create(
        unit=unit, user=user, purpose="p", case="c", model_version=version, features=query.astype(np.float32).tobytes()
    )
    tasks.search_run.run(str(search.pk))
    search.refresh_from_db()
    return search


def result(search: Search) -> list[tuple[int, float]]:
    return list(search.candidates.order_by("distance", "crop_id").values_list("crop_id", "distance"))


def scan(query: np.ndarray, features: np.ndarray, ids: np.ndarray) -> list[tuple[int, float]]:
    """Every row in float64: the reference."""
    unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)  # noqa: E731
    distances = np.linalg.norm(unit(features.astype(np.float64)) - unit(query.astype(np.float64)), axis=1)
    return [(int(ids[n]), float(distances[n])) for n in np.lexsort((ids, distances))]


@pytest.mark.usefixtures("eager_tasks", "engine")
@effort(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(0, 40), min_size=4, max_size=4).filter(any),
       batch=st.sampled_from([7, 20_000]))  # fmt: skip
def test_a_units_result_is_its_childrens_result_is_the_exhaustive_scan(
    cameras: list[Any], version: Any, operator: Any, seed: int, sizes: list[int], batch: int
) -> None:
    Segment.objects.all().delete()
    Crop.objects.all().delete()
    pipeline.BATCH_ROWS, before = batch, pipeline.BATCH_ROWS
    rng = np.random.default_rng(seed)
    query = rng.normal(size=cast.DIM)
    stored: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for camera, size in zip(cameras, sizes, strict=True):
        features = rng.normal(size=(size, cast.DIM)).astype(np.float16)
        ids = cast.store_vectors(camera, version, features) if size else []
        stored[camera.unit.path] = (np.array(ids, dtype=np.int64), features)
    try:
        for code in CHOSEN:
            unit = Unit.objects.get(code=code)
            below = [rows for path, rows in stored.items() if path.startswith(unit.path)]
            ids = np.concatenate([rows[0] for rows in below])
            if not len(ids):
                continue
            search = searched(unit, version, operator, query)
            assert search.state == "done", search.error
            found, expected = result(search), scan(query, np.concatenate([rows[1] for rows in below]), ids)
            assert {pk for pk, _distance in found} == {pk for pk, _distance in expected}
            reference = dict(expected)
            assert max(abs(distance - reference[pk]) for pk, distance in found) < 1e-3
            children = [Unit.objects.get(pk=part) for part in search.parts.values_list("unit", flat=True)]
            if children != [unit]:
                apart = [row for child in children for row in result(searched(child, version, operator, query))]
                assert sorted(apart, key=lambda row: (row[1], row[0])) == found
    finally:
        pipeline.BATCH_ROWS = before


def test_the_limit_keeps_the_nearest_of_all_units(
    cameras: list[Any], version: Any, operator: Any, eager_tasks: None, engine: Any, settings: Any, city: Unit
) -> None:
    settings.SEARCH_LIMIT = 30
    rng = np.random.default_rng(5)
    query, features = rng.normal(size=cast.DIM), rng.normal(size=(4, 25, cast.DIM)).astype(np.float16)
    ids = [cast.store_vectors(camera, version, rows) for camera, rows in zip(cameras, features, strict=True)]
    search = searched(city, version, operator, query)
    expected = scan(query, features.reshape(100, cast.DIM), np.array(ids).reshape(100))[:30]
    assert [pk for pk, _distance in result(search)] == [pk for pk, _distance in expected]
    assert search.counts["candidates"] == 30 and search.counts["crops"] == 100


def test_a_unit_with_cameras_of_its_own_is_a_part_beside_its_children(
    cameras: list[Any], version: Any, operator: Any, eager_tasks: None, engine: Any, city: Unit
) -> None:
    """A camera stands in no grid when grids were drawn later: it belongs to the district itself."""
    district = Unit.objects.get(code="330101")
    cameras[0].unit = district
    cameras[0].save()
    rng = np.random.default_rng(6)
    ids = [cast.store_vectors(camera, version, rng.normal(size=(5, cast.DIM)).astype(np.float16)) for camera in cameras]
    search = searched(district, version, operator, rng.normal(size=cast.DIM))
    parts = list(SearchPart.objects.filter(search=search).values_list("unit__code", "crops"))
    assert parts == [("330101", 5), ("330101001", 5)]
    assert {pk for pk, _distance in result(search)} == set(ids[0] + ids[1])


def test_a_large_gallery_goes_through_the_coarse_stage_and_the_search_says_so(
    cameras: list[Any],
    version: Any,
    operator: Any,
    eager_tasks: None,
    engine: Any,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three thousand rows stand for three hundred thousand; the nearest ones pass the coarse stage all the same."""
    from reid_engine import ranking

    settings.SEARCH_LIMIT = 20
    monkeypatch.setattr(ranking, "EXHAUSTIVE_ROWS", 2_900)
    monkeypatch.setattr(engine, "most", 1_000)
    monkeypatch.setattr(pipeline, "LARGE_BATCH_ROWS", 2_500)
    rng = np.random.default_rng(7)
    query, features = rng.normal(size=cast.DIM), rng.normal(size=(3_000, cast.DIM)).astype(np.float16)
    ids = cast.store_vectors(cameras[3], version, features)
    search = searched(cameras[3].unit, version, operator, query)
    expected = scan(query, features, np.array(ids))[:20]
    assert [pk for pk, _distance in result(search)] == [pk for pk, _distance in expected]
    assert search.counts["exact"] is False and search.counts["crops"] == 3_000
