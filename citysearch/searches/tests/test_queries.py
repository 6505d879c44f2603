"""Reads: order, bursts, pages, and how many statements they cost."""

from __future__ import annotations

from typing import Any

import pytest

from citysearch.searches import queries
from citysearch.searches.models import Search
from citysearch.searches.paths import style_of

pytestmark = pytest.mark.django_db


def test_bursts_hold_every_crop_once_best_first(found: Search) -> None:
    bursts, single = queries.hits(found), queries.hits(found, "none")
    assert sorted(crop for hit in bursts for crop in hit["burst"]) == sorted(hit["crop"] for hit in single)
    rank = {hit["crop"]: hit["rank"] for hit in single}
    for hit in bursts:
        assert hit["crop"] == hit["burst"][0] and hit["burst_count"] == len(hit["burst"])
        assert [rank[crop] for crop in hit["burst"]] == sorted(rank[crop] for crop in hit["burst"])
    assert (bursts.crops, bursts.sightings) == (36, len(bursts))


def test_hits_can_be_sorted_by_time_and_by_camera_without_losing_their_rank(found: Search) -> None:
    by_rank = {hit["crop"]: hit["rank"] for hit in queries.hits(found, "none")}
    by_time = list(queries.hits(found, "none", "time"))
    by_camera = list(queries.hits(found, "none", "camera"))
    assert [hit["time"] for hit in by_time] == sorted(hit["time"] for hit in by_time)
    assert [hit["camera"]["code"] for hit in by_camera] == sorted(hit["camera"]["code"] for hit in by_camera)
    assert {hit["crop"]: hit["rank"] for hit in by_time} == by_rank == {hit["crop"]: hit["rank"] for hit in by_camera}


def test_pages_join_to_the_whole(found: Search, api: Any) -> None:
    address = f"/api/v1/searches/{found.pk}/hits/?collapse=none&page_size=10"
    seen: list[int] = []
    while address:
        page = api.get(address).json()
        seen += [hit["rank"] for hit in page["results"]]
        address = page["next"]
    assert seen == list(range(1, 37)) and page["count"] == 36
    whole = api.get(f"/api/v1/searches/{found.pk}/hits/?collapse=none&page_size=2000").json()
    assert len(whole["results"]) == 36 and whole["next"] is None


def test_an_order_or_a_form_that_is_unknown_is_refused_with_the_known_ones(found: Search, api: Any) -> None:
    for query in ("sort=beauty", "collapse=all", "page=0", "page=99"):
        response = api.get(f"/api/v1/searches/{found.pk}/hits/?{query}")
        assert response.status_code in (400, 404) and response.json()["error"]["code"] in ("invalid", "not_found")


def test_the_state_costs_three_statements_and_a_page_of_hits_six(
    found: Search, api: Any, django_assert_max_num_queries: Any
) -> None:
    """One of each is the membership; the state of fifty searches costs as much as that of one."""
    with django_assert_max_num_queries(4):
        api.get(f"/api/v1/searches/{found.pk}/")
    with django_assert_max_num_queries(7):
        assert api.get(f"/api/v1/searches/{found.pk}/hits/").json()["count"] > 5


def test_a_list_of_searches_costs_the_same_however_long(
    found: Search, api: Any, start: Any, city: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(3):
        start(city)
    with django_assert_max_num_queries(5):
        assert api.get("/api/v1/searches/").json()["count"] == 4


def test_a_search_costs_a_bounded_number_of_statements(
    api: Any, city: Any, gallery: Any, operator: Any, eager_tasks: None, django_assert_max_num_queries: Any
) -> None:
    from citysearch.searches import services, tasks
    from citysearch.searches.tests import cast

    search = services.search_start(operator, city, [cast.photo_of(1)], "purpose", "case")
    with django_assert_max_num_queries(110):
        tasks.search_run.run(str(search.pk))


def test_the_path_is_valid_geojson(found: Search) -> None:
    collection = queries.trajectory_geojson(found)
    assert collection["type"] == "FeatureCollection" and collection["conflicts"] == []
    for feature in collection["features"]:
        assert feature["type"] == "Feature"
        coordinates = feature["geometry"]["coordinates"]
        points = [coordinates] if feature["geometry"]["type"] == "Point" else coordinates
        assert len(points) >= (1 if feature["geometry"]["type"] == "Point" else 2)
        assert all(120 <= lon <= 120.04 and 30 <= lat <= 30.02 for lon, lat in points), "longitude comes first"
    legs = [f["properties"] for f in collection["features"] if f["properties"]["kind"] == "leg"]
    assert [(leg["from"], leg["to"]) for leg in legs] == [(1, 2), (2, 3), (3, 4)]
    assert all(leg["speed_kmh"] < 11 and leg["seconds"] > 0 and leg["inferred"] is False for leg in legs)


def test_a_path_follows_the_roads_and_says_that_it_is_inferred(start: Any, city: Any, gallery: Any) -> None:
    from units.services import roads_replace

    places = [[camera.longitude, camera.latitude] for camera in gallery]
    lines = [[places[0], [120.005, 30.010], places[1]], [places[1], places[3]], [places[3], places[2]]]
    roads_replace([{"name": "Ring", "kind": "street", "line": line} for line in lines])
    search = Search.objects.get(pk=start(city).json()["id"])
    legs = [f for f in search.trajectory["features"] if f["properties"]["kind"] == "leg"]
    assert all(leg["properties"]["inferred"] for leg in legs)
    assert [120.005, 30.010] in legs[0]["geometry"]["coordinates"]


def test_path_and_photo_come_whatever_a_browser_says_it_accepts(found: Search, api: Any) -> None:
    base = f"/api/v1/searches/{found.pk}/"
    for accept in ("text/html", "image/png", "application/geo+json", "application/json"):
        path = api.get(base + "trajectory.geojson", headers={"accept": accept})
        assert (path.status_code, path["Content-Type"]) == (200, "application/geo+json")
        photo = api.get(base + "photos/0/", headers={"accept": accept})
        assert (photo.status_code, photo["Content-Type"]) == (200, "image/png")
    missing = api.get(base + "photos/7/", headers={"accept": "image/png"})
    assert missing.status_code == 404 and missing.json()["error"]["code"] == "not_found"


def test_how_confidence_is_drawn() -> None:
    drawn = {confidence: style_of(confidence) for confidence in (1.0, 0.7, 0.69, 0.3, 0.29, 0.0)}
    assert list(drawn.values()) == ["solid", "solid", "dashed", "dashed", "dotted", "dotted"]


def test_the_schema_describes_every_endpoint_without_a_warning() -> None:
    from django.urls import reverse
    from drf_spectacular.drainage import GENERATOR_STATS
    from drf_spectacular.generators import SchemaGenerator

    GENERATOR_STATS.reset()
    with GENERATOR_STATS.silence():
        schema = SchemaGenerator().get_schema(request=None, public=True)
    ours = {path: set(methods) for path, methods in schema["paths"].items() if "/searches/" in path or "token" in path}
    base = "/api/v1/searches/{id}/"
    assert ours == {
        "/api/v1/searches/": {"get", "post"},
        "/api/v1/searches/preview/": {"post"},
        base: {"get"},
        base + "hits/": {"get"},
        base + "trajectory.geojson": {"get"},
        base + "gaps/": {"get"},
        base + "hits/{crop}/explanation/": {"get"},
        base + "hits/{crop}/original/": {"post"},
        base + "evidence/": {"get", "post"},
        base + "evidence/{crop}/": {"delete"},
        base + "export/": {"get", "post"},
        base + "export/decision/": {"post"},
        base + "hold/": {"get", "post", "delete"},
        base + "reach.geojson": {"get"},
        base + "cancel/": {"post"},
        base + "rerun/": {"post"},
        base + "verdicts/": {"get", "post"},
        base + "photos/{position}/": {"get"},
        "/api/v1/token/": {"post"},
    }
    complaints = [*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache]
    assert not [line for line in complaints if "Search" in line or "searches" in line or "TokenView" in line]
    assert reverse("search-list") == "/api/v1/searches/"
