"""Importing units and cameras: bad lines are reported with their number, the rest goes in."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from units import services
from units.files import BadFile
from units.models import Camera, Unit
from units.tests.cast import EAST, WEST, square, unit_of

CAMERAS = """code,name,longitude,latitude,heading,status,free_code
33010600071320000017,Quay,120.030,30.005,90,online,
k2,Mill,120.010,30.005,,offline,yes
k3,Nowhere,10.0,30.0,,,yes
k4,Typo,120.01,thirty,,,yes
short,Short,120.01,30.005,,,
k2,Again,120.01,30.005,,,yes
k5,Turned,120.01,30.005,north,,yes
,,,,,,
k6,More,120.01,30.005,,,yes,too many
"""


def features(*rows):
    made = [{"type": "Feature", "geometry": polygon, "properties": row} for row, polygon in rows]
    return io.BytesIO(json.dumps({"type": "FeatureCollection", "features": made}).encode())


NORTH = {"code": "330103", "name": "North", "level": "district", "parent": "330100"}
NORTH_STREET = {"code": "330103001", "name": "North Street", "level": 3}


def test_units_come_in_from_geojson_in_any_order_and_find_their_parent_by_code(city):
    report = services.units_import(features((NORTH_STREET, None), (NORTH, square(120, 30.02))), "geojson")
    assert (report.added, report.errors) == (2, [])
    assert unit_of("330103001").is_child_of(unit_of("330103"))
    assert unit_of("330103").north == 30.021
    assert Unit.objects.find_problems() == ([], [], [], [], [])


def test_a_second_import_of_the_same_file_changes_nothing(city):
    rows = ((NORTH, square(120, 30.02)), (NORTH_STREET, None))
    services.units_import(features(*rows), "geojson")
    again = services.units_import(features(*rows), "geojson")
    assert (again.added, again.changed, again.unchanged) == (0, 0, 2)
    renamed = services.units_import(features(({**NORTH, "name": "Far North"}, None)), "geojson")
    assert renamed.changed == 1 and unit_of("330103").name == "Far North" and unit_of("330103").polygon


def test_every_bad_unit_is_named_with_its_line(city):
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    report = services.units_import(
        features(
            (NORTH, None),
            ({**NORTH, "code": "330104"}, bow),
            ({"code": "330105", "level": 2}, None),
            ({**NORTH, "code": "330107", "level": "village"}, None),
            ({**NORTH_STREET, "code": "440105001"}, None),
            ({**NORTH, "name": "Again"}, None),
            ({**NORTH, "code": WEST, "level": "street"}, None),
        ),
        "geojson",
    )
    assert report.added == 1
    assert {line: message.split(":")[0] for line, _, message in report.errors} == {
        2: "The area is not valid",
        3: "The properties lack name.",
        4: "The level village is not known.",
        5: "The unit above is not there",
        6: "The code is already in line 1.",
        7: "The unit exists and is a district.",
    }


def test_what_hangs_on_a_refused_unit_is_refused_too(city):
    report = services.units_import(
        features(({**NORTH, "code": "990103"}, None), ({**NORTH_STREET, "code": "990103001"}, None)), "geojson"
    )
    assert report.added == 0 and [line for line, _, _ in sorted(report.errors)] == [1, 2]


def test_units_come_in_from_a_table_with_polygons_as_text(city):
    polygon = json.dumps(square(120, 30.02)).replace('"', '""')
    table = f'Code,Name,Level,Polygon\n330103,北区,district,"{polygon}"\n'
    for encoding in ("utf-8-sig", "gb18030"):
        report = services.units_import(io.BytesIO(table.encode(encoding)), "csv")
        assert not report.errors
    assert unit_of("330103").name == "北区" and unit_of("330103").east == 120.001


def test_a_dry_run_says_the_same_and_changes_nothing(city):
    file = features((NORTH, None), (NORTH_STREET, None), ({**NORTH, "code": "1"}, None))
    planned = services.units_import(file, "geojson", dry_run=True)
    assert not Unit.objects.filter(code="330103").exists()
    file.seek(0)
    done = services.units_import(file, "geojson")
    assert (planned.added, planned.errors) == (done.added, done.errors) == (2, done.errors)


@pytest.mark.parametrize(
    ("data", "layout", "word"),
    [
        (b"{", "geojson", "not JSON"),
        (b"[]", "geojson", "FeatureCollection"),
        (b"name;code\n", "csv", "missing: code, name, level"),
        (b"", "csv", "missing"),
        (b"\xff\xff\xff", "csv", "UTF-8"),
        (b"x", "xlsx", "geojson or csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_whole(city, data, layout, word):
    with pytest.raises(BadFile, match=word):
        services.units_import(io.BytesIO(data), layout)


def test_cameras_come_in_and_bad_lines_are_named(city):
    report = services.cameras_import(io.BytesIO(CAMERAS.encode()))
    assert report.added == 2
    assert (
        Camera.objects.get(code="k2").status == "offline" and Camera.objects.get(code="k2").unit.name == "Mill South 1"
    )
    reasons = {line: message for line, _, message in report.errors}
    assert sorted(reasons) == [4, 5, 6, 7, 8, 10]
    assert "No grid holds the place 10.000000, 30.000000" in reasons[4]
    assert "thirty" in reasons[5] and "20 digits" in reasons[6] and "line 3" in reasons[7]
    assert "heading must be a number" in reasons[8] and "more fields" in reasons[10]


def test_the_same_cameras_again_are_left_and_changed_ones_changed(city):
    services.cameras_import(io.BytesIO(CAMERAS.encode()))
    again = services.cameras_import(io.BytesIO(CAMERAS.encode()))
    assert (again.added, again.changed, again.unchanged) == (0, 0, 2)
    moved = services.cameras_import(io.BytesIO(CAMERAS.replace("120.010,30.005,,off", "120.030,30.015,,off").encode()))
    assert moved.changed == 1 and Camera.objects.get(code="k2").unit.name == "Harbour 2"


def test_an_administrator_imports_only_below_his_units(city):
    within = Unit.objects.filter(path__startswith=unit_of(EAST).path)
    report = services.cameras_import(io.BytesIO(CAMERAS.encode()), within=within)
    assert [camera.name for camera in Camera.objects.all()] == ["Quay"]
    assert "No grid holds" in {line: message for line, _, message in report.errors}[3]
    units = services.units_import(
        features((NORTH, None), ({**NORTH_STREET, "code": "330102002"}, None), ({**NORTH, "code": WEST}, None)),
        "geojson",
        within=within,
    )
    assert units.added == 1 and len(units.errors) == 2 and unit_of(WEST).name == "West"


def test_the_commands_report_and_go_on(city, tmp_path, capsys):
    cameras, units = tmp_path / "cameras.csv", tmp_path / "units.geojson"
    cameras.write_text(CAMERAS)
    units.write_bytes(features((NORTH, None)).read())
    call_command("import_cameras", str(cameras), "--dry-run")
    told = capsys.readouterr()
    assert "2 added, 0 changed, 0 unchanged, 6 refused. Nothing was changed (dry run)." in told.out
    assert "line 4: k3: No grid holds" in told.err and not Camera.objects.exists()
    call_command("import_cameras", str(cameras))
    call_command("import_units", str(units))
    assert Camera.objects.count() == 2 and unit_of("330103")
    for name in ("gone.csv", "units.pdf"):
        with pytest.raises(CommandError, match=name):
            call_command("import_units", str(tmp_path / name))


def test_the_grid_command_counts_lays_and_refuses(city, capsys):
    region = services.unit_create(
        unit_of("330101001"), name="Fair", code="330101001003", polygon=square(120, 30.02, 0.01)
    )
    call_command("generate_grid", region.code, "--cell-m", "400", "--dry-run")
    grids = Unit.objects.filter(code__startswith=region.code, level=5)
    assert "would be laid over Fair" in capsys.readouterr().out and not grids.exists()
    call_command("generate_grid", region.code, "--cell-m", "400")
    assert grids.count() == 9
    for code in ("nowhere", region.code):
        with pytest.raises(CommandError):
            call_command("generate_grid", code)
