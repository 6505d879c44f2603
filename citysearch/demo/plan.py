"""The ground plan of the demo city in metres: a fan of ring roads and radial streets around a lake.

Everything stands on one lattice of (u, v): u counts outwards from the shore, v clockwise around the lake. Units are
rectangles of the lattice, split again and again, so children tile their parents exactly; what separates them is a road,
the wider the higher the units it separates. A smooth warp makes the lattice a place.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

Corner = tuple[int, int]
Metres = tuple[float, float]
Edge = tuple[Corner, Corner]

RINGS, SPOKES = 40, 136
RING_AVENUE = 17
_FIRST_ANGLE, _SWEEP = 118.0, 236.0
BLOCK_LEVEL = 6
# Shares of the city's area that one unit of a level should have.
_REGION_SHARE, _GRID_SHARE, _BLOCK_SHARE = 1 / 30, 1 / 185, 1 / 430


@dataclass(frozen=True)
class Rect:
    """A rectangle of the lattice, borders included: rings u0..u1, spokes v0..v1."""

    u0: int
    u1: int
    v0: int
    v1: int

    @property
    def area(self) -> float:
        """Square metres, roughly: the ring's arc times the depth."""
        return self.depth * self.width

    @property
    def depth(self) -> float:
        return (self.u1 - self.u0) * 46.0

    @property
    def width(self) -> float:
        return (self.v1 - self.v0) * math.radians(_SWEEP / SPOKES) * (800.0 + 46.0 * (self.u0 + self.u1) / 2)

    def ring(self) -> list[Corner]:
        """Every lattice point along the border, counter-clockwise on the ground, closed."""
        out = [(u, self.v1) for u in range(self.u0, self.u1)]
        back = [(self.u1, v) for v in range(self.v1, self.v0, -1)]
        home = [(u, self.v0) for u in range(self.u1, self.u0, -1)]
        along = [(self.u0, v) for v in range(self.v0, self.v1)]
        return [*out, *back, *home, *along, (self.u0, self.v1)]


@dataclass
class Area:
    """A unit to be: its level (1 city .. 5 grid, 6 block), its rectangle, and what it is divided into."""

    level: int
    rect: Rect
    children: list[Area] = field(default_factory=list)

    def walk(self) -> Iterator[Area]:
        """This area and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


CITY = Rect(0, RINGS, 0, SPOKES)
DISTRICTS = (
    Rect(0, RINGS, 0, 44),
    Rect(0, RING_AVENUE, 44, 94),
    Rect(RING_AVENUE, RINGS, 44, 94),
    Rect(0, RINGS, 94, SPOKES),
)


def city_area(seed: int) -> Area:
    """The whole tree of areas, from the city down to blocks."""
    rng = np.random.default_rng([seed, 0xC17])
    city = Area(1, CITY)
    for district in DISTRICTS:
        city.children.append(Area(2, district, [Area(3, street) for street in _streets(district, rng)]))
    for street in [street for district in city.children for street in district.children]:
        _divide(street, rng, (_REGION_SHARE, _GRID_SHARE, _BLOCK_SHARE))
    return city


def _streets(district: Rect, rng: np.random.Generator) -> list[Rect]:
    """Three street districts; where the ring avenue crosses the district it is their border."""
    if district.u0 == 0 and district.u1 == RINGS:
        inner = Rect(0, RING_AVENUE, district.v0, district.v1)
        return [inner, *split(Rect(RING_AVENUE, RINGS, district.v0, district.v1), 2, rng)]
    return split(district, 3, rng)


def _divide(area: Area, rng: np.random.Generator, shares: tuple[float, ...]) -> None:
    """Divide by size, level after level; a street always gets two regions, a region two grids."""
    if not shares:
        return
    least = 2 if area.level < 5 else 1
    count = max(least, round(area.rect.area / (shares[0] * CITY.area)))
    area.children = [Area(area.level + 1, rect) for rect in split(area.rect, count, rng)]
    for child in area.children:
        _divide(child, rng, shares[1:])


def split(rect: Rect, count: int, rng: np.random.Generator) -> list[Rect]:
    """About equal parts, cut across the longer side, a little unevenly; fewer where the lattice is too coarse."""
    rings, spokes = rect.u1 - rect.u0, rect.v1 - rect.v0
    if count < 2 or max(rings, spokes) < 4:
        return [rect]
    share = (count // 2) / count + float(rng.uniform(-0.05, 0.05))
    by_ring = rings >= 4 and (rect.depth > rect.width or spokes < 4)
    if by_ring:
        cut = int(np.clip(round(rect.u0 + rings * share), rect.u0 + 2, rect.u1 - 2))
        parts = Rect(rect.u0, cut, rect.v0, rect.v1), Rect(cut, rect.u1, rect.v0, rect.v1)
    else:
        cut = int(np.clip(round(rect.v0 + spokes * share), rect.v0 + 2, rect.v1 - 2))
        parts = Rect(rect.u0, rect.u1, rect.v0, cut), Rect(rect.u0, rect.u1, cut, rect.v1)
    return split(parts[0], count // 2, rng) + split(parts[1], count - count // 2, rng)


@lru_cache(maxsize=20_000)
def ground(corner: Corner) -> Metres:
    """Where a lattice point lies, in metres east and north of the lake's middle."""
    angle = math.radians(_FIRST_ANGLE - _SWEEP * corner[1] / SPOKES)
    radius = shore(angle) + (_rim(angle) - shore(angle)) * corner[0] / RINGS
    return warp(1.14 * radius * math.cos(angle), radius * math.sin(angle))


def shore(angle: float) -> float:
    """Distance of the shore from the lake's middle."""
    return 760.0 + 70.0 * math.sin(3 * angle + 0.5) + 38.0 * math.sin(5 * angle + 1.2)


def _rim(angle: float) -> float:
    return 2560.0 + 170.0 * math.sin(2 * angle + 0.9) + 110.0 * math.sin(3 * angle - 0.4)


def warp(x: float, y: float) -> Metres:
    """Bend straight lines as old roads are bent: two slow waves, one-to-one everywhere."""
    bent_x = x + 58.0 * math.sin(y / 410.0 + 0.7) + 21.0 * math.sin(y / 173.0 + x / 520.0)
    return bent_x, y + 52.0 * math.sin(x / 390.0 + 1.9) + 19.0 * math.sin(x / 161.0 - y / 610.0)


def road_levels(city: Area) -> dict[Edge, int]:
    """Every lattice edge that separates two areas, with the level of the highest ones it separates (1 = city's rim)."""
    levels: dict[Edge, int] = {}
    for area in city.walk():
        ring = area.rect.ring()
        for first, second in zip(ring, ring[1:], strict=False):
            edge = (first, second) if first < second else (second, first)
            levels[edge] = min(levels.get(edge, area.level), area.level)
    return levels


@dataclass(frozen=True)
class Way:
    """A road between two junctions: lattice points in order, and the level of what it separates."""

    points: tuple[Corner, ...]
    level: int

    @property
    def ends(self) -> tuple[Corner, Corner]:
        return self.points[0], self.points[-1]

    @property
    def line(self) -> list[Metres]:
        return [ground(corner) for corner in self.points]

    @property
    def length(self) -> float:
        line = self.line
        return sum(math.dist(a, b) for a, b in zip(line, line[1:], strict=False))

    @property
    def axis(self) -> tuple[str, int]:
        """Which ring or spoke the road runs along."""
        (u0, v0), (u1, _v1) = self.points[0], self.points[1]
        return ("ring", u0) if u0 == u1 else ("spoke", v0)


def ways(levels: dict[Edge, int]) -> list[Way]:
    """The edges joined to roads between junctions (where roads meet, end or change their level or direction)."""
    around: dict[Corner, list[Corner]] = defaultdict(list)
    for first, second in levels:
        around[first].append(second)
        around[second].append(first)
    junctions = {corner for corner in around if _is_junction(corner, around[corner], levels)}
    found: list[Way] = []
    done: set[Edge] = set()
    for start in sorted(junctions):
        for following in sorted(around[start]):
            if _edge(start, following) not in done:
                points = _follow(start, following, around, junctions)
                done.update(_edge(a, b) for a, b in zip(points, points[1:], strict=False))
                found.append(Way(tuple(points), levels[_edge(start, following)]))
    return found


def _edge(first: Corner, second: Corner) -> Edge:
    return (first, second) if first < second else (second, first)


def _is_junction(corner: Corner, neighbours: list[Corner], levels: dict[Edge, int]) -> bool:
    if len(neighbours) != 2:
        return True
    (u0, v0), (u1, v1) = neighbours
    straight = u0 == u1 or v0 == v1
    return not straight or len({levels[_edge(corner, neighbour)] for neighbour in neighbours}) > 1


def _follow(start: Corner, following: Corner, around: dict[Corner, list[Corner]], stops: set[Corner]) -> list[Corner]:
    points = [start, following]
    while points[-1] not in stops:
        points.append(next(corner for corner in around[points[-1]] if corner != points[-2]))
    return points
