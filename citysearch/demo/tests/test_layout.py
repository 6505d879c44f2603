"""The plan of the demo city: areas that tile, codes that nest, streets that join, cameras that see them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from citysearch.demo.layout import CITY_CODE, City, degrees
from citysearch.demo.plan import CITY, Area, Rect, city_area, ground, road_levels, split, ways
from units.codes import check_camera_code, check_unit_code, significant_prefix


@pytest.fixture(scope="module")
def plan() -> City:
    return City(7)


def shape_of(rect: Rect) -> shapely.Polygon:
    return shapely.Polygon([ground(corner) for corner in rect.ring()])


def test_the_city_is_as_large_as_asked_for(plan: City) -> None:
    counts = {level: sum(unit.area.level == level for unit in plan.units) for level in range(1, 6)}
    assert counts[1] == 1
    assert counts[2] >= 3
    assert counts[3] >= 8
    assert counts[4] >= 20
    assert counts[5] >= 150


@pytest.mark.parametrize("seed", [7, 8, 2026])
def test_children_tile_their_parent_exactly(seed: int) -> None:
    for area in city_area(seed).walk():
        if area.children:
            union = shapely.union_all([shape_of(child.rect) for child in area.children])
            assert union.symmetric_difference(shape_of(area.rect)).area < 1e-3
            assert sum(shape_of(child.rect).area for child in area.children) == pytest.approx(union.area)


def test_every_area_is_a_simple_counter_clockwise_polygon(plan: City) -> None:
    for unit in plan.units:
        shape = shape_of(unit.area.rect)
        assert shape.is_valid and shape.exterior.is_ccw


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 30),
    st.integers(4, 10),
    st.integers(0, 100),
    st.integers(4, 30),
    st.integers(1, 9),
    st.integers(0, 99),
)
def test_splitting_keeps_the_rectangle_whole(u: int, rings: int, v: int, spokes: int, count: int, seed: int) -> None:
    rect = Rect(u, u + rings, v, v + spokes)
    parts = split(rect, count, np.random.default_rng(seed))
    assert 1 <= len(parts) <= count
    assert sum((part.u1 - part.u0) * (part.v1 - part.v0) for part in parts) == rings * spokes


def test_codes_follow_the_scheme_and_start_with_the_parent_s(plan: City) -> None:
    levels = {unit.code: unit.area.level for unit in plan.units}
    assert len(levels) == len(plan.units), "every code once"
    for unit in plan.units:
        prefix = None if unit.parent is None else significant_prefix(levels[unit.parent], unit.parent)
        check_unit_code(unit.area.level, unit.code, False, prefix)
    assert plan.units[0].code == CITY_CODE


def test_names_are_bilingual_and_grids_are_numbered(plan: City) -> None:
    for unit in plan.units:
        chinese, _space, english = unit.name.partition(" ")
        assert english.isascii() and not chinese.isascii()


def test_all_streets_are_one_net(plan: City) -> None:
    effort, _via = plan.graph.tree(plan.graph.corners[0])
    assert set(effort) == set(plan.graph.corners)


def test_roads_meet_only_at_their_ends(plan: City) -> None:
    ends = {corner for way in plan.ways for corner in way.ends}
    inside = [corner for way in plan.ways for corner in way.points[1:-1]]
    assert not ends & set(inside)
    assert len(inside) == len(set(inside))


def test_every_border_of_every_area_is_a_road(plan: City) -> None:
    levels = road_levels(plan.area)
    walked = {frozenset(pair) for way in ways(levels) for pair in zip(way.points, way.points[1:], strict=False)}
    for area in plan.area.walk():
        ring = area.rect.ring()
        assert {frozenset(pair) for pair in zip(ring, ring[1:], strict=False)} <= walked


def test_a_path_is_as_long_as_its_streets_and_never_shorter_than_the_crow_flies(plan: City) -> None:
    rng = np.random.default_rng(3)
    corners = plan.graph.corners
    for start, goal in rng.integers(0, len(corners), (20, 2)).tolist():
        _effort, via = plan.graph.tree(corners[start])
        path = plan.graph.path(via, corners[goal])
        length = sum(math.dist(a, b) for a, b in zip(path, path[1:], strict=False))
        assert path[0] == ground(corners[start]) and path[-1] == ground(corners[goal])
        assert math.dist(path[0], path[-1]) - 1e-6 <= length <= 6 * math.dist(path[0], path[-1]) + 2000


def test_cameras_stand_inside_the_city_and_look_at_their_corner(plan: City) -> None:
    cameras, city = plan.cameras(), shape_of(CITY)
    assert len(cameras) >= 48
    assert sum(camera.row["status"] != "online" for camera in cameras) == 4
    for camera in cameras:
        check_camera_code(camera.row["code"], False)
        assert city.contains(shapely.Point(camera.x, camera.y))
        assert abs(camera.clock_error_s) <= camera.row["clock_uncertainty_s"]
        corner = min(plan.graph.corners, key=lambda c: math.dist(ground(c), (camera.x, camera.y)))
        east, north = ground(corner)[0] - camera.x, ground(corner)[1] - camera.y
        turn = (math.degrees(math.atan2(east, north)) - camera.row["heading"] + 180) % 360 - 180
        assert abs(turn) < camera.row["field_of_view"] / 2 + 15
    assert len({camera.row["code"] for camera in cameras}) == len(cameras)


def test_no_two_cameras_stand_at_one_corner(plan: City) -> None:
    places = [(camera.x, camera.y) for camera in plan.cameras()]
    nearest = min(math.dist(a, b) for i, a in enumerate(places) for b in places[:i])
    assert nearest > 120


def test_landmarks_are_valid_areas_and_the_water_is_no_district(plan: City) -> None:
    rows = plan.landmark_rows()
    assert {row["kind"] for row in rows} == {"water", "wood", "park", "square"}
    for row in rows:
        assert shapely.geometry.shape(row["polygon"]).is_valid
    lake = max((shapely.geometry.shape(row["polygon"]) for row in rows if row["kind"] == "water"), key=lambda s: s.area)
    city = shapely.Polygon([degrees(ground(corner)) for corner in CITY.ring()])
    assert lake.intersection(city).area < 0.001 * lake.area


def test_another_seed_is_another_city_and_the_same_seed_the_same() -> None:
    def rects(area: Area) -> list[Rect]:
        return [part.rect for part in area.walk()]

    assert rects(city_area(7)) == rects(city_area(7))
    assert rects(city_area(7)) != rects(city_area(8))
