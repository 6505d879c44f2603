import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citysearch.errors import Conflict, ServiceError
from units import services, tree
from units.codes import BadCode
from units.geo import BadPolygon
from units.models import Camera, Level, Unit
from units.tests.cast import EAST, MILL_GRID, MILL_SOUTH, MILL_STREET, WEST, square, unit_of

NO_PROBLEMS = ([], [], [], [], [])


def test_the_subtree_of_a_district_is_the_district_and_all_below_it(city):
    codes = [unit.code for unit in tree.subtree(unit_of(WEST))]
    assert codes == [WEST, MILL_STREET, MILL_SOUTH, MILL_GRID, "330101001002", "33010100100201"]
    assert tree.subtree(city).count() == Unit.objects.count()


def test_children_and_ancestors_are_in_tree_order(city):
    assert [unit.code for unit in tree.children(city)] == [WEST, EAST]
    assert [unit.level for unit in tree.ancestors(unit_of(MILL_GRID))] == [1, 2, 3, 4]
    assert tree.parent_of(city) is None and tree.parent_of(unit_of(WEST)) == city


def test_a_units_path_reads_from_the_city_down(city):
    grid = unit_of(MILL_GRID)
    assert tree.unit_path(grid) == "Lakeside / West / Mill Street / Mill South / Mill South 1"
    assert tree.unit_paths([grid, city]) == {grid.pk: tree.unit_path(grid), city.pk: "Lakeside"}


def test_many_name_paths_cost_one_query(city, django_assert_num_queries):
    units = list(Unit.objects.all())
    with django_assert_num_queries(1):
        tree.unit_paths(units)


def test_a_unit_is_added_one_level_below_its_parent(city):
    unit = services.unit_create(
        unit_of(MILL_SOUTH), name="Mill South 2", code="33010100100102", polygon=square(120, 30)
    )
    assert (unit.level, unit.west, unit.north) == (Level.GRID, 120, 30.001)
    assert Unit.objects.find_problems() == NO_PROBLEMS


@pytest.mark.parametrize("level", [Level.CITY, Level.STREET, Level.GRID, 0, 6])
def test_no_other_level_fits_below_a_city(city, level):
    with pytest.raises(tree.BadTree):
        services.unit_create(city, name="Nowhere", code="330103", level=level)


def test_a_city_has_nothing_above_and_a_district_something(db):
    assert services.unit_create(None, name="Alone", code="440300").depth == 1
    with pytest.raises(tree.BadTree):
        tree.unit_add(None, name="Alone", code="440305", level=Level.DISTRICT)


def test_a_taken_code_and_a_missing_name_are_refused(city):
    for fields in ({"name": "West again", "code": WEST}, {"name": " ", "code": "330103"}):
        with pytest.raises(ServiceError):
            services.unit_create(city, **fields)


def test_a_unit_moves_with_everything_below_it(city):
    free = services.unit_create(unit_of(WEST), name="Fair", code="fair", free_code=True)
    services.unit_create(free, name="Fair ground", code="fair-1", free_code=True)
    moved = services.unit_move(free, unit_of(EAST))
    assert tree.unit_path(unit_of("fair-1")) == "Lakeside / East / Fair / Fair ground"
    assert tree.parent_of(moved) == unit_of(EAST) and Unit.objects.find_problems() == NO_PROBLEMS


def test_a_move_that_breaks_level_or_code_changes_nothing(city):
    before = list(Unit.objects.values_list("path", "code"))
    with pytest.raises(BadCode):
        services.unit_move(unit_of(MILL_STREET), unit_of(EAST))
    with pytest.raises(tree.BadTree):
        services.unit_move(unit_of(MILL_STREET), city)
    with pytest.raises(tree.BadTree):
        services.unit_move(unit_of(WEST), unit_of(WEST))
    assert list(Unit.objects.values_list("path", "code")) == before


def test_siblings_change_places(city):
    services.unit_move(unit_of(EAST), city, before=unit_of(WEST))
    assert [unit.name for unit in tree.children(city)] == ["East", "West"]
    assert tree.unit_path(unit_of(MILL_GRID)).startswith("Lakeside / West")


def test_a_code_cannot_change_under_its_children(city):
    with pytest.raises(BadCode):
        services.unit_update(unit_of(WEST), code="330109")
    assert unit_of(WEST).name == "West"


def test_a_changed_area_changes_the_box_and_moves_its_cameras(cameras):
    left, right = unit_of(MILL_GRID), unit_of("33010100100201")
    services.unit_update(right, polygon=square(120.0, 30.0, 0.02))
    services.unit_update(left, polygon=square(120.0, 30.0, 0.001))
    assert unit_of(MILL_GRID).east == 120.001
    assert Camera.objects.get(code="cam-1").unit == right


def test_an_area_that_leaves_a_camera_without_a_grid_is_refused(cameras):
    with pytest.raises(ServiceError, match="No grid holds the place 120.01"):
        services.unit_update(unit_of(MILL_GRID), polygon=square(120.0, 30.0))
    assert unit_of(MILL_GRID).east == 120.02


def test_a_unit_with_cameras_is_not_deleted_an_empty_one_is(cameras):
    with pytest.raises(Conflict, match="2 cameras"):
        services.unit_delete(unit_of(WEST))
    for camera in Camera.objects.filter(code__in=["cam-1", "cam-2"]):
        services.camera_delete(camera)
    assert services.unit_delete(unit_of(WEST)) == 6
    assert Unit.objects.find_problems() == NO_PROBLEMS


def test_bulk_adding_continues_what_is_there(city):
    rows = [
        {"key": "s", "parent_key": WEST, "name": "New Street", "level": 3, "code": "330101002", "polygon": None},
        {"key": "d", "parent_key": "330100", "name": "North", "level": 2, "code": "330103", "polygon": None},
        {"key": "t", "parent_key": "d", "name": "Fjord Street", "level": 3, "code": "330103001", "polygon": None},
    ]
    made = tree.units_add_bulk(rows)
    assert tree.unit_path(made["t"]) == "Lakeside / North / Fjord Street"
    assert [unit.name for unit in tree.children(city)] == ["West", "East", "North"]
    assert Unit.objects.find_problems() == NO_PROBLEMS


def test_bulk_adding_is_all_or_nothing(city):
    good = {"key": 1, "parent_key": "330100", "name": "North", "level": 2, "code": "330103"}
    bad = [
        {**good, "key": 2, "code": "330104", "polygon": {"type": "Polygon", "coordinates": []}},
        {**good, "key": 2, "code": WEST},
        {**good, "key": 2},
        {**good, "key": 2, "code": "330104", "parent_key": "gone"},
    ]
    for row in bad:
        with pytest.raises((ServiceError, BadPolygon)):
            tree.units_add_bulk([good, row])
    assert not Unit.objects.filter(code="330103").exists()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_a_tree_of_any_shape_is_stored_without_faults(db, shape):
    Unit.objects.all().delete()
    rows = [{"key": 0, "parent_key": None, "name": "0", "level": 1, "code": "0", "free_code": True}]
    for key, pick in enumerate(shape, start=1):
        above = [row for row in rows if row["level"] < 5]
        parent = above[pick % len(above)]
        row = {
            "key": key,
            "parent_key": parent["key"],
            "name": str(key),
            "level": parent["level"] + 1,
            "code": str(key),
        }
        rows.append({**row, "free_code": True})
    made = tree.units_add_bulk(rows)
    assert Unit.objects.find_problems() == NO_PROBLEMS
    for row in rows[1:]:
        assert tree.parent_of(made[row["key"]]) == made[row["parent_key"]]


def test_ten_thousand_units_are_added_in_seconds(db):
    import time

    rows = [{"key": "c", "parent_key": None, "name": "C", "level": 1, "code": "c", "free_code": True}]
    above = {"c": "c"}
    for level, count in ((2, 10), (3, 100), (4, 1000), (5, 9000)):
        keys = list(above)
        above = {f"{level}.{i}": keys[i % len(keys)] for i in range(count)}
        rows += [
            {"key": key, "parent_key": parent, "name": key, "level": level, "code": key, "free_code": True}
            for key, parent in above.items()
        ]
    started = time.process_time()
    tree.units_add_bulk(rows)
    assert time.process_time() - started < 20
    assert Unit.objects.filter(level=5).count() == 9000
