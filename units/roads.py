"""The street graph: how far it is on foot from one place to another, and along which streets."""

from __future__ import annotations

import heapq
import math
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import shapely
from django.db.models import Count, Max, Sum
from numpy.typing import NDArray

from reid_engine.contracts import Place
from units.models import Road
from units.projection import Point, haversine, metres_per_degree

# A camera farther than this from every street is not on the street graph; distances to it are as the crow flies.
SNAP_M = 250.0
REMEMBERED_SOURCES = 2000


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
class _Reach:
    """One Dijkstra run: metres from a place to each node, and the edge by which it was reached (-1: its own)."""

    metres: dict[int, float]
    via: dict[int, int]


class RoadGraph:
    """Shortest ways over the roads. Without roads, or away from them, the great-circle distance and no route.

    One Dijkstra per source place, remembered: hundreds of pairs of a search cost one run per camera.
    """

    _loaded: ClassVar[tuple[tuple[Any, ...], RoadGraph] | None] = None
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, lines: Iterable[Sequence[Sequence[float]]]) -> None:
        self._nodes: dict[Point, int] = {}
        self._edges: list[_Edge] = []
        self._neighbours: dict[int, list[tuple[int, float, int]]] = defaultdict(list)
        for line in lines:
            self._add(tuple((float(lon), float(lat)) for lon, lat in line))
        self._scale = metres_per_degree(self._middle_latitude())
        self._tree = shapely.STRtree([shapely.LineString(self._flat(edge.points)) for edge in self._edges])
        self._reaches: OrderedDict[Place, _Reach] = OrderedDict()
        self._snaps: dict[Place, _Snap | None] = {}
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

        The way is empty where no road joins the two.
        """
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
        reached = self._reach(start, snap).metres
        pieces = [_around(self._edges[snap.edge], snap.along, left)]
        for edge in self._edges:
            pieces += _entered(edge, left - reached.get(edge.start, math.inf), left - reached.get(edge.end, math.inf))
        return [piece for piece in pieces if len(piece) > 1]

    def _add(self, points: tuple[Point, ...]) -> None:
        steps = np.cumsum([0.0, *(haversine(a, b) for a, b in zip(points, points[1:], strict=False))])
        if len(points) < 2 or steps[-1] <= 0:
            return
        start, end = self._node(points[0]), self._node(points[-1])
        edge = _Edge(points, tuple(float(step) for step in steps), start, end)
        number = len(self._edges)
        self._edges.append(edge)
        self._neighbours[start].append((end, edge.length, number))
        self._neighbours[end].append((start, edge.length, number))

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
        edge, reach = self._edges[last.edge], self._reach(start, first)
        ways = [(reach.metres[node] + rest, node) for node, rest in _ends(edge, last) if node in reach.metres]
        if first.edge == last.edge:
            ways.append((abs(first.along - last.along), -1))
        return min(ways, default=(0.0, None))

    def _reach(self, start: Place, snap: _Snap) -> _Reach:
        with self._memory:
            if start in self._reaches:
                self._reaches.move_to_end(start)
                return self._reaches[start]
        reach = self._dijkstra(snap)
        with self._memory:
            self._reaches[start] = reach
            if len(self._reaches) > REMEMBERED_SOURCES:
                self._reaches.popitem(last=False)
        return reach

    def _dijkstra(self, snap: _Snap) -> _Reach:
        metres: dict[int, float] = {}
        via: dict[int, int] = {}
        queue = [(rest, node, -1) for node, rest in _ends(self._edges[snap.edge], snap)]
        heapq.heapify(queue)
        while queue:
            reached, node, edge = heapq.heappop(queue)
            if node in metres:
                continue
            metres[node], via[node] = reached, edge
            for neighbour, length, number in self._neighbours[node]:
                if neighbour not in metres:
                    heapq.heappush(queue, (reached + length, neighbour, number))
        return _Reach(metres, via)

    def _route(self, start: Place, end: Place, first: _Snap, last: _Snap, entry: int) -> tuple[Point, ...]:
        here, there = self._edges[first.edge], self._edges[last.edge]
        if entry == -1:
            return _joined([[_point(start)], here.part(first.along, last.along), [_point(end)]])
        node, pieces = entry, [there.part(_along_at(there, entry, last), last.along), [_point(end)]]
        via = self._reach(start, first).via
        while via[node] != -1:
            edge = self._edges[via[node]]
            backwards = edge.start == node
            pieces.insert(0, list(edge.points[::-1] if backwards else edge.points))
            node = edge.end if backwards else edge.start
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
