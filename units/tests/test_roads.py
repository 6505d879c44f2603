import itertools
import math
import random
import time

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_engine.contracts import Place
from units import services
from units.geo import RoadGraph, haversine
from units.models import Road

STEP = 0.002


def grid_lines(columns, rows, missing=()):
    """The streets of a rectangular town, each block one line."""
    lines = []
    for x, y in itertools.product(range(columns), range(rows)):
        here = (120 + x * STEP, 30 + y * STEP)
        if x + 1 < columns:
            lines.append([here, (here[0] + STEP, here[1])])
        if y + 1 < rows:
            lines.append([here, (here[0], here[1] + STEP)])
    return [line for number, line in enumerate(lines) if number not in missing]


def length_of(points):
    return sum(haversine(a, b) for a, b in itertools.pairwise(points))


def test_the_way_follows_the_streets():
    graph = RoadGraph([[(120, 30), (120.01, 30)], [(120.01, 30), (120.01, 30.01)]])
    metres, route = graph.distance(Place(120.001, 30.0001), Place(120.0101, 30.009))
    assert route[0] == (120.001, 30.0001) and route[-1] == (120.0101, 30.009) and (120.01, 30.0) in route
    assert metres == pytest.approx(length_of(route), abs=0.5)


def test_without_roads_or_away_from_them_it_is_the_great_circle():
    start, end = Place(120, 30), Place(120.01, 30.01)
    straight = haversine((120, 30), (120.01, 30.01))
    assert RoadGraph([]).distance(start, end) == (straight, ())
    assert RoadGraph([[(121, 30), (121.01, 30)]]).distance(start, end) == (straight, ())


def test_two_parts_of_a_town_without_a_bridge_are_joined_as_the_crow_flies():
    graph = RoadGraph([[(120, 30), (120.01, 30)], [(120, 30.005), (120.01, 30.005)]])
    metres, route = graph.distance(Place(120, 30), Place(120, 30.005))
    assert metres == haversine((120, 30), (120, 30.005)) and route == ()


def test_two_places_on_one_street_walk_along_it_not_around_the_block():
    curve = [(120, 30), (120.001, 30.001), (120.002, 30), (120.003, 30.001), (120.004, 30)]
    graph = RoadGraph([curve, [(120, 30), (120.004, 30)]])
    metres, route = graph.distance(Place(120.001, 30.001), Place(120.003, 30.001))
    assert route == ((120.001, 30.001), (120.002, 30.0), (120.003, 30.001))
    assert metres == pytest.approx(length_of(curve[1:4]), rel=1e-6)
    around = graph.distance(Place(120.0001, 30.0001), Place(120.0039, 30.0001))[0]
    assert around < 420  # by the straight street between its two ends


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_every_distance_equals_networkx_on_the_same_streets(seed):
    chance = random.Random(seed)
    lines = grid_lines(5, 4, missing=set(chance.sample(range(31), 8)))
    graph, reference = RoadGraph(lines), networkx.Graph()
    for a, b in lines:
        reference.add_edge(_key(a), _key(b), weight=haversine(a, b))
    nodes = sorted(reference)
    start, end = chance.choice(nodes), chance.choice(nodes)
    metres, route = graph.distance(Place(*start), Place(*end))
    if networkx.has_path(reference, start, end):
        expected = networkx.dijkstra_path_length(reference, start, end, weight="weight")
        assert metres == pytest.approx(expected, abs=0.2)
        assert length_of(route) == pytest.approx(metres, abs=0.2)
    else:
        assert (metres, route) == (haversine(start, end), ())


def _key(point):
    return (round(point[0], 7), round(point[1], 7))


@settings(deadline=None, max_examples=60)
@given(
    a=st.tuples(st.floats(119.999, 120.009), st.floats(29.999, 30.007)),
    b=st.tuples(st.floats(119.999, 120.009), st.floats(29.999, 30.007)),
)
def test_a_way_is_as_long_back_as_there_and_never_shorter_than_the_crow_flies(a, b):
    graph = RoadGraph(grid_lines(5, 4))
    there, route = graph.distance(Place(*a), Place(*b))
    back, _ = graph.distance(Place(*b), Place(*a))
    assert there == pytest.approx(back, abs=0.05)
    assert there >= haversine(a, b) - 1e-9
    assert length_of(route) <= there + 0.2 or math.isclose(there, haversine(a, b))


@settings(max_examples=30, deadline=None)
@given(
    places=st.lists(st.tuples(st.floats(119.995, 120.03), st.floats(29.998, 30.012)), min_size=1, max_size=90),
    doubled=st.booleans(),
)
def test_distances_of_many_places_are_those_of_each_pair(places, doubled):
    """Some lie on the same edge, some on none, some on a part that no road joins to the rest."""
    island = [[(120.02, 30), (120.028, 30)], [(120.028, 30), (120.028, 30.004), (120.02, 30)]]
    graph = RoadGraph([*grid_lines(5, 4), *island])
    some = [Place(*place) for place in places] * (1 + doubled)
    table = table_of(graph, some)
    for i, j in itertools.combinations(range(0, len(some), 7), 2):
        assert table[i, j] == pytest.approx(graph.distance(some[i], some[j])[0], abs=0.05)
    assert (table == table.T).all() and not table.diagonal().any()


def table_of(graph, places):
    metres, numbers = graph.distances(places)
    return metres[numbers[:, None], numbers]


def test_distances_are_the_same_however_places_come_together(monkeypatch):
    """Asked for one after the other, many at once, or more of them than are remembered."""
    places = [Place(120 + 0.0021 * n % 0.05, 30 + 0.0013 * n % 0.04) for n in range(60)]
    whole = table_of(RoadGraph(grid_lines(30, 30)), places)
    graph = RoadGraph(grid_lines(30, 30))
    for count in (5, 40, 60, 20):
        assert table_of(graph, places[:count]) == pytest.approx(whole[:count, :count], rel=1e-6)
    monkeypatch.setattr("units.roads.REMEMBERED_PLACES", 30)
    few = RoadGraph(grid_lines(30, 30))
    for chosen in (slice(0, 20), slice(15, 40), slice(0, 60), slice(0, 20)):
        assert table_of(few, places[chosen]) == pytest.approx(whole[chosen, chosen], rel=1e-6)
        assert len(few._table.places) <= 30


def test_hundreds_of_pairs_in_a_large_town_take_a_moment():
    graph = RoadGraph(grid_lines(60, 60))
    places = [Place(120 + 0.118 * i / 40, 30 + 0.118 * (i * 7 % 40) / 40) for i in range(40)]
    started = time.process_time()
    for first, second in itertools.permutations(places, 2):
        graph.distance(first, second)
    assert time.process_time() - started < 8


@pytest.mark.django_db
def test_the_loaded_graph_is_kept_until_the_roads_change():
    services.roads_replace([{"line": [[120, 30], [120.01, 30]], "name": "Quay"}])
    first = RoadGraph.load()
    assert RoadGraph.load() is first
    services.roads_replace([{"line": [[120, 30], [120.02, 30]]}])
    assert RoadGraph.load() is not first
    road = Road.objects.get()
    assert road.length_m == pytest.approx(haversine((120, 30), (120.02, 30))) and road.east == 120.02


@pytest.mark.django_db
def test_a_bad_road_leaves_the_old_ones():
    services.roads_replace([{"line": [[120, 30], [120.01, 30]]}])
    for line in ([[120, 30]], [[120, 30], [999, 30]]):
        with pytest.raises(Exception, match="points|place"):
            services.roads_replace([{"line": line}])
    assert Road.objects.count() == 1
