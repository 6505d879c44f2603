"""The administrator's pages of units, cameras, data and people."""

import io
import json

import pytest
from django.contrib.auth import get_user_model
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from units import services
from units.models import Camera, Indicator, Membership, SensorReading, Unit
from units.tests.cast import EAST, MILL_GRID, MILL_STREET, WEST, square, unit_of
from units.tree import children

ADDRESSES = [
    f"admin:units_{name}_{view}"
    for name in ("unit", "camera", "sensorreading", "indicator", "membership")
    for view in ("changelist", "add")
]
QUAY = {
    "code": "33010200071320000001", "name": "Quay", "longitude": "120.03", "latitude": "30.005", "heading": "90",
    "field_of_view": "80", "view_radius_m": "40", "clock_offset_s": "0", "clock_uncertainty_s": "1",
    "coordinate_system": "wgs84", "status": "online",
}  # fmt: skip


@pytest.fixture
def staff(client, administrator):
    client.force_login(administrator)
    return client


@pytest.fixture
def east_staff(client, administrator):
    """An administrator of East alone."""
    administrator.memberships.update(unit=unit_of(EAST))
    client.force_login(administrator)
    return client


def messages_of(response):
    return [str(message) for message in response.context["messages"]]


@pytest.mark.parametrize(
    "address", [*ADDRESSES, "admin:units_unit_import", "admin:units_camera_import", "admin:auth_user_add"]
)
def test_every_page_opens_without_a_permission_but_the_membership(staff, cameras, address):
    assert staff.get(reverse(address)).status_code == 200


@pytest.mark.parametrize("address", ADDRESSES)
def test_staff_without_the_role_find_nothing(client, operator, address):
    get_user_model().objects.filter(pk=operator.pk).update(is_staff=True)
    client.force_login(operator)
    assert client.get(reverse(address)).status_code == 403


def test_the_tree_starts_at_ones_own_units_and_unfolds(east_staff, cameras):
    page = east_staff.get(reverse("admin:units_unit_changelist"))
    assert [unit.name for unit in page.context["cl"].result_list] == ["East"]
    below = east_staff.get(reverse("admin:units_unit_changelist") + f"children/{unit_of(EAST).pk}/").json()
    assert "Harbour Street" in below["result_html"] and below["tree_context"][0]["level"] == 3
    assert east_staff.get(reverse("admin:units_unit_changelist") + f"children/{unit_of(WEST).pk}/").status_code == 404


def queries_of(client, query):
    with CaptureQueriesContext(connection) as captured:
        client.get(reverse("admin:units_unit_changelist"), query)
    return [query["sql"] for query in captured]


def test_the_tree_costs_the_same_however_many_units(staff, cameras):
    few = queries_of(staff, {"level__exact": 5})
    fields = {"name": "Fair", "code": "330101001003", "polygon": square(120, 30.02, 0.01)}
    services.grid_generate(services.unit_create(unit_of(MILL_STREET), **fields), 200)
    many = queries_of(staff, {"level__exact": 5})
    assert len(many) == len(few), "\n".join(many)


def test_a_search_finds_units_at_any_depth(staff, cameras):
    page = staff.get(reverse("admin:units_unit_changelist"), {"q": "Mill"})
    assert {unit.code for unit in page.context["cl"].result_list} >= {MILL_STREET, MILL_GRID}


def move(client, node, target, relation):
    address = reverse("admin:units_unit_changelist") + "move/"
    return client.post(address, {"node": node.pk, "target": target.pk, "relation": relation})


def test_a_unit_is_dropped_before_another_or_below_it(staff, city):
    assert move(staff, unit_of(EAST), unit_of(WEST), "sibling").status_code == 200
    assert [unit.name for unit in children(city)] == ["East", "West"]
    fair = services.unit_create(unit_of(WEST), name="Fair", code="fair", free_code=True)
    assert move(staff, fair, unit_of(EAST), "child").status_code == 200
    page = staff.get(reverse("admin:units_unit_changelist"))
    assert "Fair is now at: Lakeside / East / Fair" in messages_of(page)


@pytest.mark.parametrize(
    ("target", "relation"), [(EAST, "child"), ("330100", "child"), (MILL_STREET, "child"), (MILL_GRID, "sibling")]
)
def test_a_drop_that_breaks_the_rules_changes_nothing_and_says_why(staff, city, target, relation):
    before = list(Unit.objects.values_list("path", "code"))
    assert move(staff, unit_of(MILL_STREET), unit_of(target), relation).status_code == 400
    assert list(Unit.objects.values_list("path", "code")) == before
    assert messages_of(staff.get(reverse("admin:units_unit_changelist")))[0].startswith("Not moved.")


def test_nothing_is_dropped_from_or_to_what_is_not_ones_own(east_staff, city):
    fair = services.unit_create(unit_of(WEST), name="Fair", code="fair", free_code=True)
    assert move(east_staff, fair, unit_of(EAST), "child").status_code == 400
    assert move(east_staff, unit_of(EAST), unit_of(WEST), "sibling").status_code == 400
    assert fair.is_child_of(unit_of(WEST)) and [unit.name for unit in children(unit_of("330100"))] == [
        "West",
        "East",
    ]


def test_a_unit_is_added_with_an_area_and_changed(staff, city):
    data = {"parent": city.pk, "name": "North", "code": "330103", "polygon": str(square(120, 30.02)).replace("'", '"')}
    staff.post(reverse("admin:units_unit_add"), data)
    north = unit_of("330103")
    assert north.level == 2 and north.north == 30.021
    staff.post(reverse("admin:units_unit_change", args=[north.pk]), {**data, "name": "Far North", "polygon": ""})
    north.refresh_from_db()
    assert (north.name, north.polygon, north.north) == ("Far North", None, None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"code": "77"}, "code"),
        ({"polygon": '{"type": "Point", "coordinates": [1, 2]}'}, "polygon"),
        ({"polygon": "{"}, "polygon"),
        ({"parent": ""}, "parent"),
        ({"code": WEST}, "code"),
    ],
)
def test_what_is_refused_stands_beside_its_field(staff, city, change, field):
    data = {"parent": city.pk, "name": "North", "code": "330103", **change}
    page = staff.post(reverse("admin:units_unit_add"), data)
    assert page.status_code == 200 and list(page.context["adminform"].form.errors) == [field]
    assert Unit.objects.count() == 12 and Unit.objects.find_problems() == ([], [], [], [], [])


def test_a_city_is_added_by_a_superuser_only(admin_client, city):
    admin_client.post(reverse("admin:units_unit_add"), {"name": "Metropolis", "code": "440100"})
    assert unit_of("440100").depth == 1


def test_a_unit_that_holds_cameras_is_not_deleted(staff, cameras):
    address = reverse("admin:units_unit_delete", args=[unit_of(WEST).pk])
    assert staff.post(address, {"post": "yes"}).status_code in (200, 302, 403)
    assert Unit.objects.filter(code=WEST).exists()
    action = {"action": "delete_selected", "_selected_action": [unit_of(WEST).pk], "post": "yes"}
    staff.post(reverse("admin:units_unit_changelist"), action)
    assert Unit.objects.filter(code=WEST).exists() and Camera.objects.count() == 4


def test_an_empty_unit_is_deleted_with_what_is_below(staff, city):
    action = {
        "action": "delete_selected",
        "_selected_action": [unit_of(WEST).pk, unit_of(MILL_STREET).pk],
        "post": "yes",
    }
    staff.post(reverse("admin:units_unit_changelist"), action)
    assert not Unit.objects.filter(code__startswith=WEST).exists()
    staff.post(reverse("admin:units_unit_delete", args=[unit_of(EAST).pk]), {"post": "yes"})
    assert Unit.objects.count() == 1 and Unit.objects.find_problems() == ([], [], [], [], [])


def test_a_grid_is_laid_over_chosen_regions(staff, city):
    fields = {"name": "Fair", "code": "330101001003", "polygon": square(120, 30.02, 0.01)}
    region = services.unit_create(unit_of(MILL_STREET), **fields)
    action = {"action": "lay_grid", "_selected_action": [region.pk]}
    asked = staff.post(reverse("admin:units_unit_changelist"), action)
    assert b"330101001003" in asked.content
    staff.post(reverse("admin:units_unit_changelist"), {**action, "cell_m": "400"})
    assert Unit.objects.filter(code__startswith=region.code, level=5).count() == 9
    again = staff.post(reverse("admin:units_unit_changelist"), {**action, "cell_m": "400"}, follow=True)
    assert any("already has grids" in text for text in messages_of(again))


def test_a_camera_is_added_moved_and_deleted(staff, city):
    staff.post(reverse("admin:units_camera_add"), QUAY)
    camera = Camera.objects.get()
    assert camera.unit.name == "Harbour 1" and camera.heading == 90
    staff.post(reverse("admin:units_camera_change", args=[camera.pk]), {**QUAY, "latitude": "30.015"})
    camera.refresh_from_db()
    assert camera.unit.name == "Harbour 2"
    staff.post(reverse("admin:units_camera_delete", args=[camera.pk]), {"post": "yes"})
    assert not Camera.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"), [({"longitude": "10"}, "longitude"), ({"code": "7"}, "code"), ({"heading": "999"}, "heading")]
)
def test_a_camera_that_cannot_be_is_refused_beside_its_field(staff, cameras, change, field):
    page = staff.post(reverse("admin:units_camera_add"), {**QUAY, **change})
    assert page.status_code == 200 and list(page.context["adminform"].form.errors) == [field]
    assert Camera.objects.count() == 4


def test_a_camera_stays_in_the_district_of_its_administrator(east_staff, cameras):
    page = east_staff.post(reverse("admin:units_camera_add"), {**QUAY, "longitude": "120.01"})
    assert "No grid holds" in str(page.context["adminform"].form.errors)
    assert east_staff.get(reverse("admin:units_camera_change", args=[cameras[0].pk])).status_code == 302
    assert len(east_staff.get(reverse("admin:units_camera_changelist")).context["cl"].result_list) == 2


def test_the_map_editors_bring_their_scripts_and_nothing_inline(staff, cameras):
    for address in (
        reverse("admin:units_unit_change", args=[unit_of(WEST).pk]),
        reverse("admin:units_camera_change", args=[cameras[0].pk]),
    ):
        page = staff.get(address).content.decode()
        scripts = [part.split(">")[0] for part in page.split("<script")[1:]]
        assert all("src=" in script or "application/json" in script for script in scripts)
        assert "http://" not in page.replace("http://testserver", "").replace("http://www.w3.org", "")
        assert "<style" not in page and " onclick=" not in page and 'type="module"' in page


def look_at(client, name, table, file="c.csv"):
    return client.post(reverse(f"admin:units_{name}_import"), {"file": SimpleUploadedFile(file, table)})


def test_a_file_is_looked_at_first_and_then_imported(staff, cameras):
    table = (
        b"code,name,longitude,latitude,free_code,clock_offset_s\n"
        b"k1,Quay,120.03,30.005,1,0\nk2,Sea,10,10,1,0\ncam-1,Camera 1,120.01,30.005,1,30\n"
    )
    page = look_at(staff, "camera", table)
    fates = {line["line"].code: line["line"].fate for line in page.context["preview"]["lines"]}
    assert fates == {"k2": "refused", "cam-1": "changed", "k1": "added"} and Camera.objects.count() == 4
    assert "<del>0</del> &rarr; <ins>30</ins>" in page.content.decode() and b"No grid holds" in page.content
    assert [feature["properties"]["line"] for feature in page.context["preview"]["map"]["features"]] == [3, 4, 2]
    address, kept = reverse("admin:units_camera_import"), page.context["kept"]
    page = staff.post(address, {"kept": kept})
    assert "What the import did" in page.content.decode() and Camera.objects.get(code="cam-1").clock_offset_s == 30
    assert Camera.objects.get(code="k1").unit.name == "Harbour 1"
    assert "no longer kept" in staff.post(address, {"kept": kept}).content.decode()  # sent twice


def test_a_file_of_units_shows_their_areas(staff, city):
    area = json.dumps(square(120.021, 30.001))
    table = f'code,name,level,polygon\n330102002,Quay,street,"{area.replace(chr(34), chr(34) * 2)}"\n'.encode()
    page = look_at(staff, "unit", table)
    (feature,) = page.context["preview"]["map"]["features"]
    assert feature["geometry"]["type"] == "Polygon" and not Unit.objects.filter(code="330102002").exists()
    staff.post(reverse("admin:units_unit_import"), {"kept": page.context["kept"]})
    assert Unit.objects.get(code="330102002").is_child_of(unit_of(EAST))
    page = look_at(staff, "unit", b"x", "u.pdf")
    assert "neither .geojson nor .csv" in str(page.context["form"].errors)


def test_a_kept_file_opens_for_nobody_else(staff, admin_user, city):
    looked = look_at(staff, "camera", b"code,name,longitude,latitude,free_code\nk1,Quay,120.03,30.005,1\n")
    kept = looked.context["kept"]
    staff.force_login(admin_user)
    for token in (kept, kept + "x", "x"):
        page = staff.post(reverse("admin:units_camera_import"), {"kept": token})
        assert "no longer kept" in page.content.decode() and not Camera.objects.exists()


def upload_rows(client, name, table):
    """The two steps of an import-export upload: look, then confirm."""
    address = reverse(f"admin:units_{name}_import")
    looked = client.post(address, {"import_file": io.BytesIO(table), "format": "0", "resource": "0"})
    confirm = looked.context.get("confirm_form")
    return client.post(reverse(f"admin:units_{name}_process_import"), confirm.initial) if confirm else looked


def test_readings_and_government_data_come_from_tables(staff, city):
    readings = b"unit,kind,time,value\n330101,weather,2025-06-01 08:00:00,1.5\n330101,weather,2025-06-01 09:00:00,0\n"
    upload_rows(staff, "sensorreading", readings)
    assert list(SensorReading.objects.values_list("unit__code", "value")) == [("330101", 1.5), ("330101", 0)]
    upload_rows(staff, "sensorreading", readings.replace(b"1.5", b"2.5"))
    assert SensorReading.objects.count() == 2 and SensorReading.objects.filter(value=2.5).exists()
    upload_rows(
        staff, "indicator", b"unit,indicator,year,value,unit_of_measure,source\n330101,population,2020,9,,census\n"
    )
    assert Indicator.objects.get().value == 9


def test_tables_reach_only_ones_own_units(east_staff, city):
    looked = upload_rows(
        east_staff, "indicator", b"unit,indicator,year,value,source\n330101,population,2020,9,census\n"
    )
    assert looked.status_code == 200 and not Indicator.objects.exists()


def test_readings_are_typed_in_for_ones_own_units(east_staff, city):
    data = {"unit": unit_of(EAST).pk, "kind": "weather", "value": "2", "time_0": "2025-06-01", "time_1": "08:00"}
    east_staff.post(reverse("admin:units_sensorreading_add"), data)
    east_staff.post(reverse("admin:units_sensorreading_add"), {**data, "unit": unit_of(WEST).pk})
    assert [reading.unit.name for reading in SensorReading.objects.all()] == ["East"]


def test_memberships_are_given_and_taken_back_but_not_to_oneself(east_staff, administrator, stranger, city):
    address = reverse("admin:units_membership_add")
    east_staff.post(address, {"user": stranger.pk, "role": "operator", "unit": unit_of(EAST).pk})
    given = Membership.objects.get(user=stranger)
    page = east_staff.post(address, {"user": administrator.pk, "role": "operator", "unit": unit_of(EAST).pk})
    assert "yourself" in str(page.context["adminform"].form.errors)
    east_staff.post(address, {"user": stranger.pk, "role": "operator", "unit": unit_of(WEST).pk})
    assert Membership.objects.filter(user=stranger).count() == 1
    east_staff.post(reverse("admin:units_membership_delete", args=[given.pk]), {"post": "yes"})
    assert not Membership.objects.filter(user=stranger).exists()


def test_people_are_added_and_changed_but_never_made_more(east_staff, operator, operator_east, stranger, admin_user):
    page = east_staff.get(reverse("admin:auth_user_changelist"))
    seen = {person.username for person in page.context["cl"].result_list}
    assert seen == {"administrator", "operator-east", "stranger"}
    for hidden in (operator, admin_user):
        assert east_staff.get(reverse("admin:auth_user_change", args=[hidden.pk])).status_code == 302
        words = {"password1": "a word of mine", "password2": "a word of mine", "usable_password": "true"}
        taken = east_staff.post(reverse("admin:auth_user_password_change", args=[hidden.pk]), words)
        hidden.refresh_from_db()
        assert taken.status_code in (302, 403, 404) and not hidden.check_password("a word of mine")
    address = reverse("admin:auth_user_change", args=[operator_east.pk])
    data = {"username": "operator-east", "first_name": "Ada", "is_active": "on", "is_superuser": "on", "groups": ["1"]}
    east_staff.post(address, data)
    operator_east.refresh_from_db()
    assert operator_east.first_name == "Ada" and not operator_east.is_superuser
    new = {
        "username": "newcomer",
        "password1": "a long password",
        "password2": "a long password",
        "usable_password": "true",
    }
    east_staff.post(reverse("admin:auth_user_add"), new)
    assert get_user_model().objects.get(username="newcomer").check_password("a long password")
    assert (
        east_staff.post(reverse("admin:auth_user_delete", args=[operator_east.pk]), {"post": "yes"}).status_code == 403
    )
