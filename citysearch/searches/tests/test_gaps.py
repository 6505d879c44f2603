"""What a path leaves open: the cameras of a gap that saw nobody, and how far the last stop leads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone
from shapely.geometry import LineString, Point, shape

from citysearch.searches.gaps import gaps_of
from citysearch.searches.models import Search
from citysearch.searches.tests import cast
from citysearch.searches.tests.conftest import client_of
from reid_engine.contracts import Place
from units.models import Camera, Unit
from units.projection import METRES_PER_DEGREE, haversine
from units.reach import reach_of
from units.services import roads_replace

pytestmark = pytest.mark.django_db


def street(line: list[list[float]]) -> dict[str, Any]:
    return {"name": "", "kind": "street", "line": line}


@pytest.fixture
def quiet(gallery: list[Camera], version: Any) -> Camera:
    """A camera halfway between cam-1 and cam-2, before which somebody else passed."""
    camera = Camera.objects.create(
        unit=gallery[0].unit, code="cam-5", free_code=True, name="Camera 5", longitude=120.0101, latitude=30.010
    )
    cast.walk([camera], (9,))
    cast.index([camera], version)
    return camera


def test_a_gap_names_the_cameras_that_could_have_been_passed_without_a_hit(
    quiet: Camera, start: Any, city: Unit, gallery: list[Camera]
) -> None:
    roads_replace([street([[120.010, 30.005], [120.010, 30.010]]), street([[120.010, 30.010], [120.010, 30.015]])])
    search = Search.objects.get(pk=start(city).json()["id"])
    first, second, third = gaps_of(search)
    assert [(gap["from"], gap["to"]) for gap in (first, second, third)] == [(1, 2), (2, 3), (3, 4)]
    assert first["cameras"][0] | {"longitude": 0, "latitude": 0} == {
        "id": quiet.pk, "code": "cam-5", "name": "Camera 5", "longitude": 0, "latitude": 0, "detour_m": 0,
        "on_way": True,
    }  # fmt: skip
    assert first["on_way"] == 1
    assert {row["code"] for row in first["cameras"]} == {"cam-5", "cam-3", "cam-4"}, "half an hour is enough for all"
    assert not {1, 2}.intersection(row["id"] for row in first["cameras"])


def test_who_had_a_hit_in_the_gap_and_who_is_too_far_away_is_not_in_it(quiet: Camera, start: Any, city: Unit) -> None:
    search = Search.objects.get(pk=start(city).json()["id"])
    crop = quiet.crops.first()
    crop.captured_at = cast.NOON + timedelta(minutes=10)
    crop.save()
    search.candidates.filter(crop=crop).delete()
    part = search.parts.first()
    search.candidates.create(part=part, crop=crop, distance=0.1, cosine=0.9, likelihood=0.5, sighting=crop.pk)
    assert "cam-5" not in {row["code"] for row in gaps_of(search)[0]["cameras"]}
    for feature in search.trajectory["features"]:
        facts = feature["properties"]
        if facts["kind"] == "stop" and facts["number"] == 2:
            facts["start"] = (cast.NOON + timedelta(minutes=8)).astimezone(timezone.get_default_timezone()).isoformat()
    near = {row["code"] for row in gaps_of(search)[0]["cameras"]}
    assert near == {"cam-5"}, "its hit came after the gap; to the east and back it is too far for eight minutes"


def test_reach_along_streets_is_every_place_whose_way_is_short_enough() -> None:
    """Against float64 by hand: a cross of two streets, 300 m from its arm."""
    step = 1000 / METRES_PER_DEGREE / np.cos(np.radians(30.0))
    arms = [[[120.0, 30.0], [120.0 + step, 30.0]], [[120.0, 30.0], [120.0 - step, 30.0]]]
    arms.append([[120.0, 30.0], [120.0, 30.0 + 1000 / METRES_PER_DEGREE]])
    roads_replace([street(arm) for arm in arms])
    reach = reach_of(Place(120.0 + 0.2 * step, 30.0, 0.0), 300.0)
    assert reach.on_streets
    area = shape(reach.area)
    for lon, lat, inside in [
        (120.0 + 0.49 * step, 30.0, True), (120.0 + 0.54 * step, 30.0, False),
        (120.0 - 0.09 * step, 30.0, True), (120.0 - 0.14 * step, 30.0, False),
        (120.0, 30.0 + 90 / METRES_PER_DEGREE, True), (120.0, 30.0 + 140 / METRES_PER_DEGREE, False),
    ]:  # fmt: skip
        assert area.covers(Point(lon, lat)) == inside, (lon, lat)
    assert area.covers(LineString([[120.0, 30.0], [120.0 + 0.45 * step, 30.0]]))


def test_without_streets_reach_is_a_circle() -> None:
    reach = reach_of(Place(120.0, 30.0, 0.0), 500.0)
    assert not reach.on_streets
    far = [haversine((120.0, 30.0), tuple(point)) for point in reach.area["coordinates"][0]]
    assert min(far) == pytest.approx(500, rel=0.02) and max(far) == pytest.approx(500, rel=0.01)


def test_reach_over_the_api_names_cameras_by_their_arrival(found: Search, api: Any, stranger: Any) -> None:
    url = f"/api/v1/searches/{found.pk}/reach.geojson"
    answer = api.get(url, {"minutes": 15, "speed": 1.5})
    facts = answer.json()["properties"]
    assert answer["Content-Type"] == "application/geo+json"
    assert facts["metres"] == 1350 and not facts["on_streets"]
    assert [row["code"] for row in facts["cameras"]] == ["cam-3"], "1.1 km south of the last stop, cam-4"
    assert facts["cameras"][0]["seconds"] == pytest.approx(1112 / 1.5, abs=3)
    assert api.get(url, {"minutes": 0}).status_code == 400
    assert client_of(stranger).get(url).status_code == 404
    assert api.get(url.replace("reach.geojson", "gaps/")).json()[0]["from"] == 1
    Search.objects.filter(pk=found.pk).update(trajectory=None)
    assert api.get(url).status_code == 409
