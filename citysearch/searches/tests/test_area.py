"""A search of a drawn area: its cameras as far as the user may search them, from the form to running it again."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from citysearch.searches import services
from citysearch.searches.models import Search
from citysearch.searches.queries import search_state
from citysearch.searches.tests import cast
from citysearch.searches.tests.conftest import client_of
from conftest import square
from units.models import Camera, Unit
from units.services import readings_add_bulk

pytestmark = pytest.mark.django_db

# cam-1 (120.010, 30.005) in West and cam-3 (120.030, 30.005) in East, not the two cameras north of them.
SOUTH = square(120.005, 30.001, 120.035, 30.008)
EAST_SOUTH = square(120.025, 30.001, 120.035, 30.008)


def searched(search: Search) -> set[str]:
    return {row.crop.camera.code for row in search.candidates.select_related("crop__camera")}


def test_an_area_is_the_gallery_of_its_cameras_and_runs_again_as_such(
    start: Any, api: Any, gallery: Any, city: Unit
) -> None:
    answer = start(None, area=json.dumps(SOUTH))
    assert answer.status_code == 202, answer.content
    search = Search.objects.get(pk=answer.json()["id"])
    assert (search.state, search.unit) == ("done", city)
    assert searched(search) == {"cam-1", "cam-3"}
    state = api.get(f"/api/v1/searches/{search.pk}/").json()
    assert state["area"] == SOUTH
    assert state["coverage"]["cameras"] == state["coverage"]["searched"] == 2
    assert (state["counts"]["crops"], state["counts"]["parts"]) == (18, 2)

    whole = Search.objects.get(pk=start(city).json()["id"])
    inside = whole.candidates.filter(crop__camera__code__in=("cam-1", "cam-3")).values_list("crop", "distance")
    assert list(search.candidates.values_list("crop", "distance")) == list(inside), "filter first, then rank"

    again = services.search_rerun(search, search.user)
    assert (again.area, again.unit) == (SOUTH, city)


def test_verdicts_score_again_within_the_area(
    start: Any, operator: Any, gallery: Any, eager_tasks: None, django_capture_on_commit_callbacks: Any
) -> None:
    search = Search.objects.get(pk=start(None, area=json.dumps(SOUTH)).json()["id"])
    crop = search.candidates.first().crop_id
    with django_capture_on_commit_callbacks(execute=True):
        services.verdicts_add(search, operator, [(crop, "confirmed")])
    search.refresh_from_db()
    assert search.scored_verdict
    assert searched(search) == {"cam-1", "cam-3"}


def test_rights_follow_the_tree(start: Any, operator_east: Any, gallery: Any) -> None:
    """An area that reaches beyond one's rights is searched within them; nothing is said of the cameras outside."""
    client = client_of(operator_east)
    search = Search.objects.get(pk=start(None, client=client, area=json.dumps(SOUTH)).json()["id"])
    assert searched(search) == {"cam-3"}
    assert search.unit == Camera.objects.get(code="cam-3").unit
    assert search.coverage["cameras"] == 1
    west = square(120.005, 30.001, 120.015, 30.019)
    assert start(None, client=client, area=json.dumps(west)).json()["error"]["code"] == "no_camera"


def test_an_area_over_units_without_a_common_one_of_ones_own_is_refused(
    start: Any, operator_east: Any, gallery: Any
) -> None:
    from units.models import Membership

    street = Unit.objects.get(code="330101001")
    Membership.objects.create(user=operator_east, role="operator", unit=street)
    answer = start(None, client=client_of(operator_east), area=json.dumps(SOUTH))
    assert answer.json()["error"]["code"] == "area_too_wide"


@pytest.mark.parametrize(
    ("area", "code"),
    [
        ({"type": "Point", "coordinates": [120, 30]}, "bad_area"),
        ({"type": "Polygon", "coordinates": [[[120, 30], [121, 31], [121, 30], [120, 31], [120, 30]]]}, "bad_area"),
        (square(10, 10, 11, 11), "no_camera"),
        ("{", "invalid"),
    ],
)
def test_a_bad_area_is_refused_beside_its_field(start: Any, gallery: Any, area: Any, code: str) -> None:
    error = start(None, area=area if isinstance(area, str) else json.dumps(area)).json()["error"]
    assert error["code"] == code
    assert error["fields"]["area"]


def test_an_area_of_too_many_corners_and_unit_and_area_together_are_refused(
    start: Any, gallery: Any, city: Unit
) -> None:
    ring = [[120 + n * 1e-5, 30.0] for n in range(1001)] + [[120.01, 30.01], [120.0, 30.0]]
    many = {"type": "Polygon", "coordinates": [ring]}
    assert "1003 corners" in start(None, area=json.dumps(many)).json()["error"]["message"]
    both = start(city, area=json.dumps(SOUTH)).json()["error"]
    neither = start(None).json()["error"]
    assert both == neither and "unit" in both["fields"]


def test_an_area_search_is_stale_only_when_its_own_cameras_have_changed(start: Any, gallery: Any) -> None:
    search = Search.objects.get(pk=start(None, area=json.dumps(EAST_SOUTH)).json()["id"])
    Search.objects.filter(pk=search.pk).update(unit=Unit.objects.get(depth=1))
    version = search.model_version
    cast.walk(gallery[:1], (7,))
    cast.index(gallery[:1], version)
    assert not search_state(Search.objects.get(pk=search.pk))["stale"]
    cast.walk(gallery[2:3], (7,))
    cast.index(gallery[2:3], version)
    assert search_state(Search.objects.get(pk=search.pk))["stale"]


# What a search would look at.


def preview(api: Any, **fields: Any) -> Any:
    return api.post("/api/v1/searches/preview/", fields, format="json")


def test_the_preview_counts_what_the_search_then_looks_at(start: Any, api: Any, gallery: Any, city: Unit) -> None:
    Camera.objects.filter(code="cam-3").update(clock_offset_s=-600)
    readings_add_bulk(
        {"unit": city, "kind": "weather", "value": float(n == 2), "time": cast.NOON + timedelta(minutes=30 * n)}
        for n in range(5)
    )
    rain = [{"kind": "weather", "op": ">", "value": 0}]
    seen = preview(api, unit=city.code, conditions=rain).json()
    assert (seen["cameras"], seen["crops"], seen["windows_total"]) == (4, 36, 1)
    minute = timedelta(minutes=1)
    assert seen["windows"][0]["from"].startswith((cast.NOON + 60 * minute).strftime("%Y-%m-%dT")[:8])
    counts = Search.objects.get(pk=start(city, conditions=json.dumps(rain)).json()["id"]).counts
    assert counts["crops"] == seen["crops_left"] > 0

    drawn = preview(api, area=SOUTH).json()
    assert (drawn["cameras"], drawn["crops"], drawn["crops_left"], drawn["windows"]) == (2, 18, 18, None)
    assert drawn["unit"]["id"] == city.pk
    period = {"from": cast.NOON.isoformat(), "to": (cast.NOON + 20 * minute).isoformat()}
    assert preview(api, area=SOUTH, **period).json()["crops_left"] == 9


def test_the_preview_refuses_what_the_search_would_refuse(api: Any, gallery: Any, city: Unit, stranger: Any) -> None:
    nobody = [{"kind": "traffic", "op": ">", "value": 1}]
    assert preview(api, unit=city.code, conditions=nobody).json()["error"]["code"] == "bad_condition"
    assert preview(api, area=square(10, 10, 11, 11)).json()["error"]["code"] == "no_camera"
    backwards = {"from": "2026-03-02T00:00", "to": "2026-03-01T00:00"}
    assert preview(api, unit=city.code, **backwards).json()["error"]["code"] == "bad_period"
    assert preview(client_of(stranger), unit=city.code).status_code == 404
