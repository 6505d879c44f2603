import json
import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from citysearch.errors import ServiceError
from units import geo, services
from units.models import Camera, CoordinateSystem, Unit
from units.tests.cast import MILL_SOUTH, square, unit_of

IN_CHINA = st.tuples(st.floats(75, 134), st.floats(20, 53))
HOLE = [[120.2, 30.2], [120.3, 30.2], [120.3, 30.3], [120.2, 30.2]]
AREA = {"type": "Polygon", "coordinates": [square(120, 30, 1)["coordinates"][0], HOLE]}


def test_an_area_is_taken_as_geometry_feature_or_text():
    for value in (AREA, {"type": "Feature", "geometry": AREA, "properties": {}}, json.dumps(AREA)):
        checked = geo.check_polygon(value)
        assert checked["type"] == "Polygon" and len(checked["coordinates"]) == 2
    assert geo.bounding_box(AREA) == {"west": 120, "south": 30, "east": 121, "north": 31}


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ({"type": "Point", "coordinates": [120, 30]}, "Polygon or a MultiPolygon"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}, "Self-intersection"),
        (square(179.5, 30, 1), "within 180 degrees"),
        (square(500_000, 3_300_000, 10), "within 180 degrees"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, "not a GeoJSON geometry"),
        ({"type": "Polygon", "coordinates": []}, "Polygon or a MultiPolygon"),
        ({"type": "Polygon"}, "not a GeoJSON geometry"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, float("nan")], [1, 0], [0, 0]]]}, "not"),
        ("{", "not a GeoJSON geometry"),
        ([1, 2], "not a GeoJSON geometry"),
        (7, "not a GeoJSON geometry"),
    ],
)
def test_what_is_no_area_is_refused_with_the_reason(value, word):
    with pytest.raises(geo.BadPolygon) as refused:
        geo.check_polygon(value)
    assert word in refused.value.message


@settings(deadline=None)
@given(place=IN_CHINA, system=st.sampled_from(CoordinateSystem.values))
def test_every_coordinate_system_converts_there_and_back_to_centimetres(place, system):
    shifted = geo.from_wgs84(*place, system)
    assert geo.haversine(geo.to_wgs84(*shifted, system), place) < (0.5 if system == CoordinateSystem.BD09 else 0.01)
    assert geo.haversine(shifted, place) < 2500


def test_known_places_are_shifted_as_published():
    # Tiananmen as the map providers give it: WGS-84, GCJ-02, BD-09.
    wgs84 = (116.391244, 39.907329)
    assert geo.haversine(geo.from_wgs84(*wgs84, "gcj02"), (116.397486, 39.908732)) < 2
    assert geo.haversine(geo.from_wgs84(*wgs84, "bd09"), (116.403849, 39.915113)) < 30


def test_outside_of_china_gcj02_is_wgs84():
    assert geo.to_wgs84(2.35, 48.85, "gcj02") == (2.35, 48.85)


@given(a=st.tuples(st.floats(-180, 180), st.floats(-90, 90)), b=st.tuples(st.floats(-180, 180), st.floats(-90, 90)))
def test_the_great_circle_equals_the_angle_between_two_vectors(a, b):
    def vector(point):
        lon, lat = map(math.radians, point)
        return np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])

    u, v = vector(a), vector(b)
    angle = math.atan2(float(np.linalg.norm(np.cross(u, v))), float(u @ v))
    assert geo.haversine(a, b) == pytest.approx(6_371_008.8 * angle, abs=1.0)


def test_a_place_belongs_to_the_grid_that_holds_it(city):
    assert geo.grid_at(120.03, 30.005).name == "Harbour 1"
    assert geo.grid_at(120.02, 30.005).name == "Mill South 1"  # on the border of two: the smaller code
    assert geo.grid_at(121.0, 30.0) is None


@settings(deadline=None, max_examples=25)
@given(points=st.lists(st.tuples(st.floats(119.99, 120.05), st.floats(29.99, 30.03)), max_size=20))
def test_placing_many_equals_placing_each(points):
    grids = [
        Unit(code=f"{i}{j}", level=5, polygon=square(120 + i * 0.01, 30 + j * 0.01, 0.01))
        for i in range(4)
        for j in range(2)
    ]
    found = geo.GridIndex(grids).at(points)
    for point, grid in zip(points, found, strict=True):
        holders = [unit.code for unit in grids if geo.shape_of(unit.polygon).covers(shapely.Point(point))]
        assert (grid.code if grid else None) == min(holders, default=None)


@settings(deadline=None, max_examples=20)
@given(cell_m=st.floats(90, 400), turn=st.floats(0, 1.5))
def test_cells_cover_the_region_once_and_stay_inside(cell_m, turn):
    region = shapely.affinity.rotate(shapely.box(120, 30, 120.01, 30.008), turn, use_radians=True)
    parts = [geo.shape_of(area) for area in geo.cells(shapely.geometry.mapping(region), cell_m)]
    assert sum(part.area for part in parts) == pytest.approx(region.area, rel=1e-3)
    assert shapely.union_all(parts).area == pytest.approx(region.area, rel=1e-3)
    assert all(part.is_valid and part.within(region.buffer(1e-6)) for part in parts)


def test_whole_cells_have_the_size_asked_for():
    first = geo.shape_of(geo.cells(square(120, 30, 0.01), 200)[0])
    west, south, east, north = first.bounds
    assert geo.haversine((west, south), (east, south)) == pytest.approx(200, rel=0.01)
    assert geo.haversine((west, south), (west, north)) == pytest.approx(200, rel=0.01)


def test_too_small_too_large_and_too_many_cells_are_refused():
    for cell_m in (1, 10_000, float("nan")):
        with pytest.raises(ServiceError, match="cell size"):
            geo.cells(square(120, 30), cell_m)
    with pytest.raises(ServiceError, match="larger"):
        geo.cells(square(120, 30, 1.0), 20)


def test_a_grid_is_laid_over_a_region_once(city):
    region = unit_of(MILL_SOUTH)
    services.unit_delete(unit_of("33010100100101"))
    planned = services.grid_generate(region, 300, dry_run=True)
    assert not Unit.objects.filter(code__startswith=region.code, level=5).exists()
    laid = services.grid_generate(region, 300)
    assert len(laid) == len(planned) and laid[0].code == "33010100100101"
    assert Unit.objects.find_problems() == ([], [], [], [], [])
    with pytest.raises(ServiceError, match="already has grids"):
        services.grid_generate(region, 300)
    with pytest.raises(ServiceError, match="over a region"):
        services.grid_generate(city, 300)


def test_a_camera_given_in_gcj02_is_stored_in_wgs84_and_placed_there(city):
    lon, lat = geo.from_wgs84(120.03, 30.005, "gcj02")
    camera = services.camera_create(
        code="k1", free_code=True, name="Quay", longitude=lon, latitude=lat, coordinate_system="gcj02"
    )
    assert (camera.longitude, camera.latitude) == pytest.approx((120.03, 30.005), abs=1e-6)
    assert camera.unit.name == "Harbour 1"


def test_saving_a_camera_again_does_not_shift_it_again(city):
    lon, lat = geo.from_wgs84(120.03, 30.005, "gcj02")
    fields = {"code": "k1", "free_code": True, "name": "Quay", "coordinate_system": "gcj02"}
    camera = services.camera_create(**fields, longitude=lon, latitude=lat)
    place = (camera.longitude, camera.latitude)
    services.camera_update(camera, **fields, longitude=place[0], latitude=place[1])
    services.camera_update(camera, name="Quay, north side")
    stored = Camera.objects.get(code="k1")
    assert (stored.longitude, stored.latitude) == place and stored.name == "Quay, north side"
    services.camera_update(camera, longitude=lon + 0.001, latitude=lat)
    assert Camera.objects.get(code="k1").longitude == pytest.approx(120.031, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"longitude": 10.0}, "No grid holds the place 10.0"),
        ({"longitude": "east"}, "no place on the earth"),
        ({"latitude": 91}, "no place on the earth"),
        ({"code": "7"}, "20 digits"),
        ({"view_radius_m": 0}, "view_radius_m must be a number from 1 to 2000"),
        ({"heading": 361}, "heading"),
        ({"status": "asleep"}, "asleep is not one of"),
        ({"coordinate_system": "utm"}, "utm is not one of"),
        ({"name": " "}, "needs a name"),
    ],
)
def test_a_camera_that_cannot_be_is_refused_with_the_reason(city, change, word):
    fields = {"code": "33010600071320000017", "name": "Quay", "longitude": 120.03, "latitude": 30.005, **change}
    with pytest.raises(ServiceError) as refused:
        services.camera_create(**fields)
    assert word in refused.value.message and refused.value.fields
    assert not Camera.objects.exists()


def test_many_cameras_are_placed_at_once_or_none(city, django_assert_max_num_queries):
    rows = [
        {"code": f"c{i}", "free_code": True, "name": f"C{i}", "longitude": 120.001 + i * 0.0003, "latitude": 30.005}
        for i in range(100)
    ]
    with django_assert_max_num_queries(9):
        services.cameras_add_bulk(rows)
    assert Camera.objects.get(code="c99").unit.name == "Harbour 1"
    with pytest.raises(geo.BadPlace):
        services.cameras_add_bulk([{**rows[0], "code": "d0"}, {**rows[0], "code": "d1", "latitude": 31}])
    assert Camera.objects.count() == 100
