"""The street graph: how far it is on foot from one place to another, and along which streets."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import shapely
from django.db.models import Count, Max, Sum
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from reid_engine.contracts import Place
from units.models import Road
from units.projection import Point, haversine, metres_per_degree, straight_metres

# A camera farther than this from every street is not on the street graph; distances to it are as the crow flies.
SNAP_M = 250.0
# Distances from a place to every node are remembered up to this many bytes; of a street graph of 4,000 nodes that is
# every camera of a large path, and a second path through them costs no search at all.
REMEMBERED_BYTES = 128 * 1024 * 1024
REMEMBERED_WAYS = 256
# Distances between so many places are remembered: after a verdict a path runs among mostly the same cameras.
REMEMBERED_PLACES = 2048
PLACES_AT_ONCE = 64
TOUCHING_M = 1e-6  # a sparse matrix takes no edge of length 0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Edge:
    """Points of the line, metres walked at each of them, and the two nodes it joins."""

    points: tuple[Point, ...]
    along: tuple[float, ...]
    start: int
    end: int

    @property
    def length(self) -> float:
        return self.along[-1]

    def at(self, metres: float) -> Point:
        """The point so many metres along the edge."""
        lons, lats = zip(*self.points, strict=True)
        return float(np.interp(metres, self.along, lons)), float(np.interp(metres, self.along, lats))

    def part(self, begin: float, finish: float) -> list[Point]:
        """The points from `begin` to `finish` metres, in that direction."""
        low, high = min(begin, finish), max(begin, finish)
        inner = [point for point, along in zip(self.points, self.along, strict=True) if low < along < high]
        points = [self.at(low), *inner, self.at(high)]
        return points if begin <= finish else points[::-1]


@dataclass(frozen=True)
class _Snap:
    """Where a place meets the street graph: an edge, metres along it, metres away from it."""

    edge: int
    along: float
    off: float


@dataclass(frozen=True)
class _Table:
    """Metres between any two of some places (P, P), float32: a centimetre in a hundred kilometres."""

    places: dict[Place, int]
    metres: NDArray[np.float32]

    def grown(self, more: Sequence[Place], metres: Floats) -> _Table:
        """With more places; `metres` (M, P + M) from each of them to those that were there, then to themselves."""
        count = len(self.places)
        table = np.empty((metres.shape[1], metres.shape[1]), np.float32)
        table[:count, :count] = self.metres
        table[count:] = metres
        table[:count, count:] = table[count:, :count].T
        _symmetric(table[count:, count:])
        np.fill_diagonal(table, 0.0)
        table.setflags(write=False)
        return _Table(self.places | {place: count + n for n, place in enumerate(more)}, table)

    def between(self, places: Sequence[Place]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """A table with these places in it, and their numbers: this one, or of few of its places a small one."""
        chosen = np.array([self.places[place] for place in places], dtype=np.intp)
        if 2 * len(chosen) >= len(self.places):
            return self.metres, chosen
        return self.metres[chosen[:, None], chosen], np.arange(len(chosen))


class RoadGraph:
    """Shortest ways over the roads. Without roads, or away from them, the great-circle distance and no route.

    One run of Dijkstra (scipy's) per source place, remembered: two million pairs of a path cost one run per camera.
    """

    _loaded: ClassVar[tuple[tuple[Any, ...], RoadGraph] | None] = None
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, lines: Iterable[Sequence[Sequence[float]]]) -> None:
        self._nodes: dict[Point, int] = {}
        self._edges: list[_Edge] = []
        self._between: dict[tuple[int, int], int] = {}
        for line in lines:
            self._add(tuple((float(lon), float(lat)) for lon, lat in line))
        self._scale = metres_per_degree(self._middle_latitude())
        self._tree = shapely.STRtree([shapely.LineString(self._flat(edge.points)) for edge in self._edges])
        self._matrix = self._sparse()
        self._rows: OrderedDict[Place, NDArray[np.float32]] = OrderedDict()
        self._ways: OrderedDict[Place, tuple[Floats, NDArray[np.int32]]] = OrderedDict()
        self._snaps: dict[Place, _Snap | None] = {}
        self._table = _Table({}, np.zeros((0, 0), np.float32))
        self._memory = threading.Lock()

    @classmethod
    def load(cls) -> RoadGraph:
        """The graph of the roads in the database, kept until they change."""
        facts = Road.objects.aggregate(Count("id"), Max("id"), Sum("length_m"))
        key = tuple(facts[name] for name in sorted(facts))
        with cls._lock:
            if cls._loaded is None or cls._loaded[0] != key:
                cls._loaded = key, cls(Road.objects.order_by("id").values_list("line", flat=True))
            return cls._loaded[1]

    def distance(self, start: Place, end: Place) -> tuple[float, tuple[Point, ...]]:
        """Metres from one place to the other, never below the great circle, and the way as (lon, lat) points.

        The way is empty where no road joins the two, or both are the same.
        """
        if start == end:
            return 0.0, ()
        straight = haversine(_point(start), _point(end))
        first, last = self._snap(start), self._snap(end)
        if first is None or last is None:
            return straight, ()
        metres, entry = self._best_entry(start, first, last)
        if entry is None:
            return straight, ()
        return max(straight, metres + first.off + last.off), self._route(start, end, first, last, entry)

    def reachable(self, start: Place, metres: float) -> list[list[Point]]:
        """The stretches of road at most so many metres from a place, on the way; empty where no road is near."""
        snap = self._snap(start)
        if snap is None:
            return []
        left = metres - snap.off
        metres_to = self._way(start, snap)[0]
        pieces = [_around(self._edges[snap.edge], snap.along, left)]
        for edge in self._edges:
            pieces += _entered(edge, left - float(metres_to[edge.start]), left - float(metres_to[edge.end]))
        return [piece for piece in pieces if len(piece) > 1]

    def distances(self, places: Sequence[Place]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Metres between any two of the places, as `distance` gives them, to a ten-millionth.

        A table (T, T) that may hold more places and is only to be read, and the number (P,) of each place in it:
        after a verdict a path runs among mostly the same places, and a copy of 2,000 takes as long as the path.
        """
        with self._memory:
            known = self._table
        missing = [place for place in dict.fromkeys(places) if place not in known.places]
        if len(known.places) + len(missing) > REMEMBERED_PLACES:
            known, missing = _Table({}, known.metres[:0, :0]), list(dict.fromkeys(places))
        if missing:
            known = known.grown(missing, self._measured([*known.places, *missing], len(missing)))
        if len(known.places) <= REMEMBERED_PLACES:
            with self._memory:
                self._table = known
        return known.between(places)

    def _measured(self, places: Sequence[Place], count: int) -> Floats:
        """(count, P) metres from the last `count` of the places to all of them."""
        points = np.radians([_point(place) for place in places]).reshape(-1, 2)
        table = np.zeros((count, len(places)))
        snaps = {n: snap for n, place in enumerate(places) if (snap := self._snap(place)) is not None}
        self._along_roads(places, snaps, table)
        for first in range(0, count, PLACES_AT_ONCE):
            rows = slice(first, first + PLACES_AT_ONCE)
            some = points[len(places) - count :][rows]
            np.maximum(table[rows], straight_metres(some, points), out=table[rows])
        return table

    def _add(self, points: tuple[Point, ...]) -> None:
        steps = np.cumsum([0.0, *(haversine(a, b) for a, b in zip(points, points[1:], strict=False))])
        if len(points) < 2 or steps[-1] <= 0:
            return
        edge = _Edge(points, tuple(float(step) for step in steps), self._node(points[0]), self._node(points[-1]))
        number = len(self._edges)
        self._edges.append(edge)
        for ends in {(edge.start, edge.end), (edge.end, edge.start)}:
            shortest = self._between.setdefault(ends, number)
            if self._edges[shortest].length > edge.length:
                self._between[ends] = number

    def _sparse(self) -> csr_array:
        """(nodes, nodes) metres of the shortest edge between each two."""
        pairs = np.array(list(self._between), dtype=np.int32).reshape(-1, 2)
        metres = [max(self._edges[number].length, TOUCHING_M) for number in self._between.values()]
        return csr_array((metres, (pairs[:, 0], pairs[:, 1])), shape=(max(1, len(self._nodes)),) * 2)

    def _node(self, point: Point) -> int:
        # Seven decimals are a centimetre: ends that were meant to meet do.
        return self._nodes.setdefault((round(point[0], 7), round(point[1], 7)), len(self._nodes))

    def _middle_latitude(self) -> float:
        latitudes = [edge.points[0][1] for edge in self._edges]
        return sum(latitudes) / len(latitudes) if latitudes else 0.0

    def _flat(self, points: Iterable[Point]) -> NDArray[np.float64]:
        flat: NDArray[np.float64] = np.asarray(list(points), dtype=np.float64) * np.asarray(self._scale)
        return flat

    def _snap(self, place: Place) -> _Snap | None:
        if place not in self._snaps:
            self._snaps[place] = self._nearest(place)
        return self._snaps[place]

    def _nearest(self, place: Place) -> _Snap | None:
        point = shapely.Point(self._flat([_point(place)])[0])
        found, metres = self._tree.query_nearest(point, max_distance=SNAP_M, return_distance=True, all_matches=False)
        if len(found) == 0:
            return None
        edge, line = self._edges[found[0]], self._tree.geometries[found[0]]
        share = float(line.project(point)) / float(line.length)
        return _Snap(int(found[0]), share * edge.length, float(metres[0]))

    def _best_entry(self, start: Place, first: _Snap, last: _Snap) -> tuple[float, int | None]:
        """Metres along roads, and the node by which the last edge is entered (-1: both lie on the same edge)."""
        metres = self._way(start, first)[0]
        ways = [(float(metres[node]) + rest, node) for node, rest in _ends(self._edges[last.edge], last)]
        ways = [way for way in ways if np.isfinite(way[0])]
        if first.edge == last.edge:
            ways.append((abs(first.along - last.along), -1))
        return min(ways, default=(0.0, None))

    def _way(self, start: Place, snap: _Snap) -> tuple[Floats, NDArray[np.int32]]:
        """Metres from a place to each node, and the node before it on the way (below 0: it is the first)."""
        with self._memory:
            if start in self._ways:
                self._ways.move_to_end(start)
                return self._ways[start]
        metres, before = dijkstra(self._with([snap]), indices=[len(self._nodes)], return_predecessors=True)
        before = np.where(before[0] < len(self._nodes), before[0], -1)
        with self._memory:
            self._ways[start] = metres[0], before
            while len(self._ways) > REMEMBERED_WAYS:
                self._ways.popitem(last=False)
        return metres[0], before

    def _with(self, snaps: Sequence[_Snap]) -> csr_array:
        """The street graph with a node more for each snap, from which one gets to both ends of its edge."""
        count = len(self._nodes)
        ends = [
            (count + n, node, max(metres, TOUCHING_M))
            for n, snap in enumerate(snaps)
            for node, metres in dict(sorted(_ends(self._edges[snap.edge], snap), key=lambda end: -end[1])).items()
        ]
        rows, columns, metres = zip(*ends, strict=True)
        streets = self._matrix.tocoo()
        data = np.concatenate([streets.data, metres])
        row, column = np.concatenate([streets.row, rows]), np.concatenate([streets.col, columns])
        return csr_array((data, (row, column)), shape=(count + len(snaps),) * 2)

    def _along_roads(self, places: Sequence[Place], snaps: Mapping[int, _Snap], table: Floats) -> None:
        """Write metres along roads from the last places to those on the street graph (by number); 0 where no way is."""
        first = len(places) - len(table)
        rows = {number: snap for number, snap in snaps.items() if number >= first}
        if not rows:
            return
        every = list(snaps.values())
        edges = [self._edges[snap.edge] for snap in every]
        ends, along = np.array([[edge.start, edge.end] for edge in edges]), np.array([snap.along for snap in every])
        rest = np.array([edge.length for edge in edges]) - along
        off, edge = np.array([snap.off for snap in every]), np.array([snap.edge for snap in every])
        known = np.fromiter(snaps, dtype=np.intp)
        reached = self._rows_of([places[number] for number in rows], list(rows.values()))
        for (number, snap), row in zip(rows.items(), reached, strict=True):
            metres = np.minimum(row[ends[:, 0]] + along, row[ends[:, 1]] + rest)
            here = edge == snap.edge
            metres[here] = np.minimum(metres[here], np.abs(along[here] - snap.along))
            table[number - first, known] = np.where(np.isfinite(metres), metres + off + snap.off, 0.0)

    def _rows_of(self, places: Sequence[Place], snaps: Sequence[_Snap]) -> Iterator[NDArray[np.float32]]:
        """For each place the metres to every node; those not remembered are computed some at a time."""
        for first in range(0, len(places), PLACES_AT_ONCE):
            some = dict(zip(places[first : first + PLACES_AT_ONCE], snaps[first : first + PLACES_AT_ONCE], strict=True))
            with self._memory:
                rows = {place: self._rows[place] for place in some if place in self._rows}
            missing = [place for place in some if place not in rows]
            if missing:
                indices = range(len(self._nodes), len(self._nodes) + len(missing))
                found = dijkstra(self._with([some[place] for place in missing]), indices=list(indices))
                rows |= zip(missing, found[:, : len(self._nodes)].astype(np.float32), strict=True)
                self._remember(rows)
            yield from (rows[place] for place in places[first : first + PLACES_AT_ONCE])

    def _remember(self, rows: dict[Place, NDArray[np.float32]]) -> None:
        most = max(1, REMEMBERED_BYTES // (4 * len(self._nodes)))
        with self._memory:
            self._rows |= rows
            while len(self._rows) > most:
                self._rows.popitem(last=False)

    def _route(self, start: Place, end: Place, first: _Snap, last: _Snap, entry: int) -> tuple[Point, ...]:
        here, there = self._edges[first.edge], self._edges[last.edge]
        if entry == -1:
            return _joined([[_point(start)], here.part(first.along, last.along), [_point(end)]])
        node, pieces = entry, [there.part(_along_at(there, entry, last), last.along), [_point(end)]]
        before = self._way(start, first)[1]
        while before[node] >= 0:
            edge = self._edges[self._between[int(before[node]), node]]
            pieces.insert(0, list(edge.points if edge.end == node else edge.points[::-1]))
            node = int(before[node])
        pieces.insert(0, here.part(first.along, _along_at(here, node, first)))
        return _joined([[_point(start)], *pieces])


def _around(edge: _Edge, along: float, metres: float) -> list[Point]:
    """The part of an edge that is at most so many metres from a place on it."""
    begin, finish = max(0.0, along - metres), min(edge.length, along + metres)
    return edge.part(begin, finish) if finish > begin else []


def _entered(edge: _Edge, from_start: float, from_end: float) -> list[list[Point]]:
    """The parts of an edge that are walked from its two ends with so many metres left at each."""
    if from_start + from_end >= edge.length or max(from_start, from_end) >= edge.length:
        return [list(edge.points)]
    first = [edge.part(0.0, from_start)] if from_start > 0 else []
    return first + ([edge.part(edge.length - from_end, edge.length)] if from_end > 0 else [])


def _ends(edge: _Edge, snap: _Snap) -> list[tuple[int, float]]:
    return [(edge.start, snap.along), (edge.end, edge.length - snap.along)]


def _symmetric(table: NDArray[np.floating[Any]]) -> None:
    """The smaller of both directions in both, some rows at a time: a second table of thousands would take 32 MB."""
    for first in range(0, len(table), PLACES_AT_ONCE):
        last = first + PLACES_AT_ONCE
        least = np.minimum(table[first:last, first:], table[first:, first:last].T)
        table[first:last, first:], table[first:, first:last] = least, least.T


def _along_at(edge: _Edge, node: int, snap: _Snap) -> float:
    """0 or the length: the end of the edge at this node; of a loop, the end nearer to the snap."""
    ends = [along for along, at in ((0.0, edge.start), (edge.length, edge.end)) if at == node]
    return min(ends, key=lambda along: abs(along - snap.along))


def _joined(pieces: list[list[Point]]) -> tuple[Point, ...]:
    points: list[Point] = []
    for point in (point for piece in pieces for point in piece):
        if not points or points[-1] != point:
            points.append(point)
    return tuple(points)


def _point(place: Place) -> Point:
    return place.longitude, place.latitude
