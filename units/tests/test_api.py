"""Units and cameras over REST: what each person sees, may change, and is told."""

import io
import json

import pytest
from django.urls import get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from units import services
from units.geo import from_wgs84
from units.models import Camera, Unit
from units.tests.cast import EAST, MILL_GRID, MILL_SOUTH, WEST, client_of, square, unit_of

UNITS, CAMERAS = "/api/v1/units/", "/api/v1/cameras/"
QUAY = {"code": "33010600071320000017", "name": "Quay", "longitude": 120.03, "latitude": 30.005}


def test_nobody_reads_without_a_login_and_a_token_will_do(operator):
    assert APIClient().get(UNITS).status_code == 401
    token = Token.objects.create(user=operator)
    assert APIClient(headers={"Authorization": f"Token {token.key}"}).get(UNITS).data["count"] == 12


def test_the_list_names_parent_path_and_cameras(operator, cameras):
    rows = {row["code"]: row for row in client_of(operator).get(UNITS).data["results"]}
    assert rows[WEST]["parent"] == rows["330100"]["id"] and rows[WEST]["cameras"] == 2
    assert rows[MILL_GRID]["path"].startswith("Lakeside / West") and len(rows[MILL_GRID]["ancestors"]) == 4
    assert rows["330100"]["bbox"] == [120.0, 30.0, 120.04, 30.02] and "polygon" not in rows["330100"]


@pytest.mark.parametrize(
    ("query", "count"),
    [("level=5", 4), ("level=4&level=5", 7), ("q=Mill", 5), ("code=330102", 1), ("under={west}", 6),
     ("parent={west}", 1), ("ids={west},{east}", 2)],
)  # fmt: skip
def test_the_list_can_be_narrowed(operator, query, count):
    query = query.format(west=unit_of(WEST).pk, east=unit_of(EAST).pk)
    assert client_of(operator).get(f"{UNITS}?{query}").data["count"] == count


def test_the_tree_starts_where_the_rights_start(operator_east, cameras):
    (east,) = client_of(operator_east).get(f"{UNITS}tree/").data
    assert (east["name"], east["cameras"], east["children"][0]["name"]) == ("East", 2, "Harbour Street")


@pytest.mark.parametrize(
    "path",
    ["{west}/", "{west}/children/", "{west}/context/", "?under={west}", "?parent={west}", "geojson/?parent={west}"],
)
def test_what_lies_outside_ones_rights_is_not_there(operator_east, stranger, path):
    path = UNITS + path.format(west=unit_of(WEST).pk)
    for person in (operator_east, stranger):
        assert client_of(person).get(path).status_code == 404
    assert client_of(stranger).get(UNITS).data["count"] == 0
    assert client_of(stranger).get(f"{UNITS}tree/").data == []


def test_the_map_gets_the_topmost_areas_then_those_below(operator_east, operator, cameras):
    top = client_of(operator_east).get(f"{UNITS}geojson/").json()
    assert [feature["properties"]["name"] for feature in top["features"]] == ["East"]
    west, east = client_of(operator).get(f"{UNITS}geojson/?parent={unit_of('330100').pk}").json()["features"]
    assert west["geometry"]["type"] == "Polygon" and west["properties"]["cameras"] == 2
    assert east["properties"]["parent"] == unit_of("330100").pk and east["bbox"] == [120.02, 30.0, 120.04, 30.02]


def test_lists_cost_the_same_queries_however_long_they_are(operator, cameras, django_assert_num_queries):
    client = client_of(operator)
    services.grid_generate(
        services.unit_create(unit_of("330101001"), name="Fair", code="330101001003", polygon=square(120, 30.02, 0.01)),
        200,
    )
    for path, queries in (
        (UNITS, 5),
        (f"{UNITS}tree/", 3),
        (f"{UNITS}geojson/?level=5", 4),
        (CAMERAS, 4),
        (f"{CAMERAS}geojson/", 2),
    ):
        with django_assert_num_queries(queries):
            assert client.get(path).status_code == 200


def test_an_administrator_adds_changes_and_deletes_units(administrator, city):
    client = client_of(administrator)
    fields = {"name": "North", "code": "330103", "parent": city.pk, "polygon": square(120, 30.02)}
    made = client.post(UNITS, fields)
    assert made.status_code == 201 and made.data["level"] == 2 and made.data["bbox"][3] == 30.021
    address = f"{UNITS}{made.data['id']}/"
    assert client.patch(address, {"name": "Far North", "polygon": None}).data["polygon"] is None
    assert client.get(address).data["name"] == "Far North"
    assert client.delete(address).status_code == 204 and client.get(address).status_code == 404


def test_a_unit_moves_by_its_parent(administrator, city):
    fair = services.unit_create(unit_of(WEST), name="Fair", code="fair", free_code=True)
    client = client_of(administrator)
    assert client.patch(f"{UNITS}{fair.pk}/", {"parent": unit_of(EAST).pk}).data["path"] == "Lakeside / East / Fair"
    refused = client.patch(f"{UNITS}{fair.pk}/", {"parent": unit_of(MILL_SOUTH).pk})
    assert refused.status_code == 400 and "belongs below" in refused.data["error"]["fields"]["parent"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"code": "77"}, "code"),
        ({"code": WEST}, "code"),
        ({"polygon": {"type": "Point", "coordinates": [1, 2]}}, "polygon"),
        ({"name": ""}, "name"),
    ],
)
def test_a_refused_unit_names_the_field(administrator, city, change, field):
    answer = client_of(administrator).post(UNITS, {"name": "North", "code": "330103", "parent": city.pk, **change})
    assert answer.status_code == 400 and field in answer.json()["error"]["fields"]


@pytest.mark.parametrize("person", ["operator", "supervisor", "auditor", "researcher", "stranger", "operator_east"])
def test_only_administrators_write_and_the_others_find_nothing(request, cameras, person):
    client = client_of(request.getfixturevalue(person))
    unit, camera = unit_of(EAST), cameras[2]
    file = lambda: io.BytesIO(b"code,name,level,longitude,latitude\n")  # noqa: E731
    answers = [
        client.post(UNITS, {"name": "x", "code": "330103", "parent": unit.pk}),
        client.patch(f"{UNITS}{unit.pk}/", {"name": "x"}),
        client.delete(f"{UNITS}{unit.pk}/"),
        client.post(f"{UNITS}{unit.pk}/grid/", {"cell_m": 200}),
        client.post(f"{UNITS}import/", {"file": file()}, format="multipart"),
        client.post(CAMERAS, QUAY),
        client.patch(f"{CAMERAS}{camera.pk}/", {"name": "x"}),
        client.delete(f"{CAMERAS}{camera.pk}/"),
        client.post(f"{CAMERAS}import/", {"file": file()}, format="multipart"),
        client.post("/api/v1/readings/", {"unit": unit.pk, "kind": "weather", "value": 1, "time": "2025-01-01T00:00Z"}),
        client.post(
            "/api/v1/indicators/", {"unit": unit.pk, "indicator": "x", "value": 1, "year": 2020, "source": "s"}
        ),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert unit_of(EAST).name == "East" and Camera.objects.count() == 4
    assert client.get("/api/v1/memberships/").data["count"] == 0


def test_a_district_administrator_stays_in_the_district(administrator, cameras):
    administrator.memberships.update(unit=unit_of(EAST))
    client = client_of(administrator)
    outside = {**QUAY, "longitude": 120.01}
    assert client.post(CAMERAS, outside).status_code == 400
    made = client.post(CAMERAS, QUAY)
    assert made.status_code == 201
    moved = client.patch(f"{CAMERAS}{made.data['id']}/", {"longitude": 120.01})
    assert moved.status_code == 400 and "No grid holds" in moved.data["error"]["message"]
    assert client.patch(f"{CAMERAS}{cameras[0].pk}/", {"name": "x"}).status_code == 404
    assert client.post(UNITS, {"name": "North", "code": "330103", "parent": unit_of("330100").pk}).status_code == 404
    assert client.post(UNITS, {"name": "Metropolis", "code": "440100"}).status_code == 404


def test_a_superuser_adds_a_city(admin_user, db):
    assert client_of(admin_user).post(UNITS, {"name": "Metropolis", "code": "440100"}).data["level"] == 1


def test_a_camera_is_placed_converted_and_answered_in_wgs84(administrator, city):
    lon, lat = from_wgs84(120.03, 30.005, "gcj02")
    made = client_of(administrator).post(
        CAMERAS, {**QUAY, "longitude": lon, "latitude": lat, "coordinate_system": "gcj02"}
    )
    assert made.data["unit"] == unit_of("33010200100101").pk and made.data["unit_path"].endswith("Harbour / Harbour 1")
    assert made.data["longitude"] == pytest.approx(120.03, abs=1e-6)
    again = client_of(administrator).put(f"{CAMERAS}{made.data['id']}/", made.data)
    assert again.data["longitude"] == made.data["longitude"]


def test_a_camera_in_no_grid_is_refused_by_its_place(administrator, city):
    answer = client_of(administrator).post(CAMERAS, {**QUAY, "longitude": 121.5})
    assert answer.status_code == 400 and "121.500000, 30.005000" in answer.data["error"]["message"]
    assert client_of(administrator).post(CAMERAS, {**QUAY, "latitude": 95}).status_code == 400


@pytest.mark.parametrize(("query", "count"), [("", 4), ("unit={west}", 2), ("status=offline", 1), ("q=cam-3", 1)])
def test_cameras_are_found_by_subtree_status_and_name(operator, cameras, query, count):
    Camera.objects.filter(code="cam-1").update(status="offline")
    query = query.format(west=unit_of(WEST).pk)
    assert client_of(operator).get(f"{CAMERAS}?{query}").data["count"] == count
    assert len(client_of(operator).get(f"{CAMERAS}geojson/?{query}").json()["features"]) == count


def test_a_camera_outside_ones_rights_is_not_there(operator_east, cameras):
    client = client_of(operator_east)
    assert client.get(f"{CAMERAS}{cameras[0].pk}/").status_code == 404
    assert client.get(f"{CAMERAS}{cameras[3].pk}/").data["unit_path"].startswith("Lakeside / East")
    assert len(client.get(f"{CAMERAS}geojson/").json()["features"]) == 2


def test_readings_and_data_are_added_read_and_deleted(administrator, operator_east, city):
    client, east = client_of(administrator), unit_of(EAST)
    reading = {"unit": east.pk, "kind": "weather", "value": 2.5, "time": "2025-06-01T08:00:00+08:00"}
    made = client.post("/api/v1/readings/", reading)
    assert made.status_code == 201
    assert client.post("/api/v1/readings/", {**reading, "value": 3}).data["id"] == made.data["id"]
    bulk = [{**reading, "time": f"2025-06-01T0{hour}:30:00Z"} for hour in range(5)]
    assert client.post("/api/v1/readings/bulk/", {"readings": bulk}).data == {"count": 5}
    seen = client_of(operator_east).get(f"/api/v1/readings/?unit={east.pk}&time_from=2025-06-01T02:00:00Z&kind=weather")
    assert seen.data["count"] == 3
    assert client.post("/api/v1/readings/", {**reading, "kind": "noise"}).status_code == 400
    datum = {"unit": east.pk, "indicator": "population", "value": 5, "year": 2020, "source": "census"}
    assert client.post("/api/v1/indicators/", datum).status_code == 201
    assert client_of(operator_east).get("/api/v1/indicators/").data["count"] == 1
    assert client_of(operator_east).delete(f"/api/v1/readings/{made.data['id']}/").status_code == 404
    assert client.delete(f"/api/v1/readings/{made.data['id']}/").status_code == 204
    context = client_of(operator_east).get(f"{UNITS}{east.pk}/context/").json()
    assert context["indicators"][0]["value"] == 5 and context["series"][0]["unit_name"] == "East"


def test_files_are_imported_over_rest(administrator, city):
    client = client_of(administrator)
    table = io.BytesIO(b"code,name,longitude,latitude,free_code\nk1,Quay,120.03,30.005,1\nk2,Sea,10,10,1\n")
    table.name = "cameras.csv"
    report = client.post(f"{CAMERAS}import/", {"file": table, "dry_run": True}, format="multipart").data
    assert (report["added"], report["refused"], report["lines"][0]["line"]) == (1, 1, 3) and not Camera.objects.exists()
    feature = {"type": "Feature", "geometry": None, "properties": {"code": "330103", "name": "North", "level": 2}}
    units = io.BytesIO(json.dumps({"type": "FeatureCollection", "features": [feature]}).encode())
    units.name = "units.geojson"
    assert client.post(f"{UNITS}import/", {"file": units}, format="multipart").data["added"] == 1
    assert Unit.objects.filter(code="330103").exists()


def test_a_grid_is_laid_over_rest(administrator, city):
    region = services.unit_create(
        unit_of("330101001"), name="Fair", code="330101001003", polygon=square(120, 30.02, 0.01)
    )
    client = client_of(administrator)
    assert client.post(f"{UNITS}{region.pk}/grid/", {"cell_m": 400, "dry_run": True}).data == {"count": 9}
    assert client.post(f"{UNITS}{region.pk}/grid/", {"cell_m": 400}).status_code == 201
    again = client.post(f"{UNITS}{region.pk}/grid/", {"cell_m": 400})
    assert again.status_code == 409 and again.data["error"]["code"] == "conflict"


def test_the_base_map_has_areas_below_lines_and_can_be_cut(operator, city):
    services.roads_replace([{"line": [[120, 30], [120.01, 30]], "name": "Quay"}, {"line": [[121, 30], [121.01, 30]]}])
    services.landmarks_replace([{"kind": "water", "polygon": square(120, 30)}])
    client = client_of(operator)
    whole = client.get("/api/v1/basemap.geojson").json()["features"]
    assert [feature["properties"]["layer"] for feature in whole] == ["landmark", "road", "road"]
    assert len(client.get("/api/v1/basemap.geojson?bbox=119,29,120.5,31").json()["features"]) == 2
    for box in ("1,2,3", "a,b,c,d", "2,0,1,0", "nan,0,1,1"):
        assert client.get(f"/api/v1/basemap.geojson?bbox={box}").status_code == 400
    assert APIClient().get("/api/v1/basemap.geojson").status_code == 401


def test_memberships_are_read_by_administrators_of_the_unit(administrator, operator_east):
    rows = client_of(administrator).get("/api/v1/memberships/").data["results"]
    assert {(row["username"], row["unit_name"]) for row in rows} == {
        ("administrator", "Lakeside"),
        ("operator-east", "East"),
    }


def test_the_schema_describes_all_of_it_without_a_warning(capsys):
    GENERATOR_STATS.reset()
    schema = SchemaGenerator(urlconf="units.urls").get_schema(request=None, public=True)
    validate_schema(schema)
    assert not GENERATOR_STATS and get_resolver("units.urls")
    assert {"/units/{id}/context/", "/cameras/geojson/", "/basemap.geojson"} <= set(schema["paths"])


def test_a_unit_that_is_not_there_and_one_that_is_not_ones_own_answer_alike(administrator, city):
    administrator.memberships.update(unit=unit_of(EAST))
    client = client_of(administrator)
    reading = {"kind": "weather", "value": 1, "time": "2025-06-01T00:00Z"}
    for pk in (unit_of(WEST).pk, 10**9):
        assert client.post("/api/v1/readings/", {**reading, "unit": pk}).status_code == 404
        assert client.post("/api/v1/readings/bulk/", {"readings": [{**reading, "unit": pk}]}).status_code == 404
        assert client.get(f"{CAMERAS}?unit={pk}").status_code == 404


def test_a_value_beyond_all_numbers_is_refused(administrator, city):
    body = json.dumps({"unit": city.pk, "kind": "weather", "time": "2025-06-01T00:00Z"})[:-1] + ', "value": 1e999}'
    answer = client_of(administrator).post("/api/v1/readings/", body, content_type="application/json")
    assert answer.status_code == 400 and "value" in answer.json()["error"]["fields"]
