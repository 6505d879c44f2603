"""The demo city as rows for the units services: units with codes, roads, landmarks, cameras; and its street graph.

A place that does not exist: open sea in reality, so that nothing on the map makes a claim about a real city.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from citysearch.demo import names
from citysearch.demo.names import CITY_CODE
from citysearch.demo.plan import (
    DISTRICTS,
    RING_AVENUE,
    RINGS,
    SPOKES,
    Area,
    Corner,
    Metres,
    Rect,
    Way,
    city_area,
    ground,
    road_levels,
    shore,
    warp,
    ways,
)
from units.projection import metres_per_degree

_PREFIX = "3399"
_ORIGIN = (124.30, 30.40)
CAMERAS, OFFLINE, IN_MAINTENANCE = 56, 3, 1
_KINDS = {1: "avenue", 2: "avenue", 3: "avenue", 4: "street", 5: "lane", 6: "path"}
# People prefer wide streets: a metre of alley feels longer than one of avenue.
_EFFORT = {1: 1.0, 2: 0.92, 3: 0.92, 4: 1.0, 5: 1.08, 6: 1.2}
_CORNER_OFFSET_M = 6.0
_RIVER_SPOKE, _CANAL_SPOKE = DISTRICTS[3].v0, DISTRICTS[0].v1


@dataclass(frozen=True)
class CameraPlan:
    """A camera to be: its row for units.services, its place in metres, and how far its clock is really off."""

    row: dict[str, Any]
    x: float
    y: float
    clock_error_s: float


KEPT_DAYS = 3650


class City:
    """The whole plan of one seed, computed once: areas with codes, roads with names, junctions and ways between."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.area = city_area(seed)
        self.ways = ways(road_levels(self.area))
        self.road_names = _road_names(self.ways)
        self.graph = StreetGraph(self.ways)
        self.units = list(_coded(self.area))
        self._districts = {unit.code: _inside(unit.area.rect, 1.0) for unit in self.units if unit.area.level == 2}

    def unit_rows(self) -> list[dict[str, Any]]:
        """City, districts, streets, regions, grids for units.tree.units_add_bulk."""
        return [
            {
                "key": unit.code, "parent_key": unit.parent, "code": unit.code, "level": unit.area.level,
                "name": unit.name, "free_code": False, "polygon": polygon(unit.area.rect),
                # Rendered people need no protection, and the demo should be there next month too.
                "retention_days": KEPT_DAYS if unit.area.level == 1 else None,
            }
            for unit in self.units
        ]  # fmt: skip

    def road_rows(self) -> list[dict[str, Any]]:
        """Every road between two junctions for units.services.roads_replace."""
        return [
            {"name": self.road_names[way], "kind": _kind(way), "line": [degrees(point) for point in way.line]}
            for way in self.ways
        ]

    def landmark_rows(self) -> list[dict[str, Any]]:
        """Water, woods, parks and squares for units.services.landmarks_replace."""
        return [
            {"name": name, "kind": kind, "polygon": _geojson(shape)} for name, kind, shape in _landmarks(self.units)
        ]

    def cameras(self) -> list[CameraPlan]:
        """Cameras at the busiest corners, spread so that every street has some."""
        rng = np.random.default_rng([self.seed, 0xCA])
        corners = self.graph.busy_corners(CAMERAS, self.seed)
        dark = set(rng.choice(len(corners), OFFLINE + IN_MAINTENANCE, replace=False).tolist())
        states = iter(["offline"] * OFFLINE + ["maintenance"] * IN_MAINTENANCE)
        status = [next(states) if number in dark else "online" for number in range(len(corners))]
        return [self._camera(n, corner, status[n], rng) for n, corner in enumerate(corners)]

    def _camera(self, number: int, corner: Corner, status: str, rng: np.random.Generator) -> CameraPlan:
        bearing, x, y = self._pole(corner)
        heading = (bearing + 180 + float(rng.normal(0, 14))) % 360
        offset, uncertainty = _clock(rng)
        longitude, latitude = degrees((x, y))
        row = {
            "code": f"{self._district_at(x, y)}0000132{number + 1:07d}", "free_code": False,
            "name": self._camera_name(corner, bearing), "longitude": longitude, "latitude": latitude,
            "heading": round(heading, 1), "field_of_view": float(rng.choice([78, 90, 104])),
            "view_radius_m": float(rng.integers(26, 42)), "clock_offset_s": offset, "clock_uncertainty_s": uncertainty,
            "coordinate_system": "wgs84", "status": status,
        }  # fmt: skip
        return CameraPlan(row, x, y, float(rng.uniform(-0.6, 0.6)) * uncertainty)

    def _pole(self, corner: Corner) -> tuple[float, float, float]:
        """Bearing from the corner, and place, of a pole in the widest angle between the roads that lies in the city."""
        node_x, node_y = ground(corner)
        for bearing in self.graph.gaps(corner):
            x = node_x + _CORNER_OFFSET_M * math.sin(math.radians(bearing))
            y = node_y + _CORNER_OFFSET_M * math.cos(math.radians(bearing))
            if self._district_at(x, y) != CITY_CODE:
                break
        return bearing, x, y

    def _district_at(self, x: float, y: float) -> str:
        for code, shape in self._districts.items():
            if shape.contains(shapely.Point(x, y)):
                return code
        return CITY_CODE

    def _camera_name(self, corner: Corner, bearing: float) -> str:
        roads = sorted(self.graph.ways_at(corner), key=lambda way: way.level)
        found = list(dict.fromkeys(self.road_names[way] for way in roads))[:2]
        chinese, english = zip(*(name.split(" ", 1) for name in found), strict=True)
        word = names.side(bearing)
        return f"{'·'.join(chinese)}{word[0]} {' / '.join(english)} {word[1]}"


@dataclass(frozen=True)
class CodedArea:
    """An area with its code, its parent's code and its name."""

    area: Area
    code: str
    parent: str | None
    name: str


def _coded(city: Area) -> Iterator[CodedArea]:
    """Codes after GB/T 2260 and its extensions: 6, 6, 9, 12 and 14 digits, each the start of those below."""
    regions = iter(names.REGIONS)
    yield CodedArea(city, CITY_CODE, None, names.CITY)
    for d, district in enumerate(city.children):
        code = f"{_PREFIX}{d + 1:02d}"
        yield CodedArea(district, code, CITY_CODE, names.DISTRICTS[d])
        for s, street in enumerate(district.children):
            yield CodedArea(street, f"{code}{s + 1:03d}", code, names.STREETS[d][s])
            for r, region in enumerate(street.children):
                yield from _coded_region(region, f"{code}{s + 1:03d}", r + 1, next(regions))


def _coded_region(region: Area, street: str, number: int, name: str) -> Iterator[CodedArea]:
    code = f"{street}{number:03d}"
    yield CodedArea(region, code, street, names.joined(name, names.COMMUNITY))
    for g, grid in enumerate(region.children, start=1):
        yield CodedArea(grid, f"{code}{g:02d}", code, names.joined(name, (f"{g:02d}", f"{g:02d}")))


def degrees(point: Metres) -> tuple[float, float]:
    """Metres of the plan as (longitude, latitude), to a centimetre, so that ends that meet are equal."""
    east, north = metres_per_degree(_ORIGIN[1])
    return round(_ORIGIN[0] + point[0] / east, 7), round(_ORIGIN[1] + point[1] / north, 7)


def polygon(rect: Rect) -> dict[str, Any]:
    """GeoJSON of a lattice rectangle; neighbours share every point of their border."""
    return {"type": "Polygon", "coordinates": [[list(degrees(ground(corner))) for corner in rect.ring()]]}


def _clock(rng: np.random.Generator) -> tuple[float, float]:
    """(offset, uncertainty) in seconds: most clocks are nearly right, some are minutes off and known less well."""
    if rng.random() < 0.2:
        return round(float(rng.uniform(25, 95)) * float(rng.choice([-1, 1])), 1), round(float(rng.uniform(3, 8)), 1)
    return round(float(rng.normal(0, 3)), 1), round(float(rng.uniform(0.5, 2.5)), 1)


# Roads


def _kind(way: Way) -> str:
    return "promenade" if way.axis == ("ring", 0) else _KINDS[way.level]


def _road_names(found: Sequence[Way]) -> dict[Way, str]:
    """One name per straight run of one rank: the plan's avenues first, then the lists, the important and long first."""
    roads, avenues = _road_words(), iter(names.AVENUES)
    named: dict[Way, str] = {}
    for run in _runs(found):
        avenue = _fixed_name(run[0]) or (next(avenues, None) if run[0].level == 3 else None)
        name = avenue or names.joined(next(roads), names.ROAD_WORDS[max(3, run[0].level)])
        named.update(dict.fromkeys(run, name))
    return named


def _road_words() -> Iterator[str]:
    """The list of names, then each again with a side of the town; numbered when even that is used up."""
    for turn in itertools.count():
        for chinese, english in names.ROAD_SIDES:
            for name in names.ROADS:
                first, second = name.split(" ", 1)
                yield f"{chinese}{first}{turn or ''} {english}{second}"


def _fixed_name(way: Way) -> str | None:
    kind, index = way.axis
    fixed = {
        ("ring", 0): names.SHORE_ROAD, ("ring", RINGS): names.RIM_ROAD, ("ring", RING_AVENUE): names.RING_AVENUE,
        ("spoke", 0): names.RIM_ROAD, ("spoke", SPOKES): names.RIM_ROAD,
        ("spoke", _RIVER_SPOKE): names.RIVER_AVENUE, ("spoke", _CANAL_SPOKE): names.CANAL_AVENUE,
    }  # fmt: skip
    return fixed.get((kind, index)) if way.level <= 3 else None


def _runs(found: Sequence[Way]) -> Iterator[list[Way]]:
    """Ways that continue each other along one ring or spoke, the important and long first."""
    lines: dict[tuple[str, int, int], list[Way]] = defaultdict(list)
    for way in found:
        lines[(*way.axis, way.level)].append(way)
    runs: list[list[Way]] = []
    for line in lines.values():
        runs += _joined_runs(sorted(line, key=lambda way: way.points[0]))
    yield from sorted(runs, key=lambda run: (run[0].level, -sum(way.length for way in run), run[0].points[0]))


def _joined_runs(line: Sequence[Way]) -> Iterator[list[Way]]:
    run: list[Way] = []
    for way in line:
        if run and run[-1].ends[1] != way.ends[0]:
            yield run
            run = []
        run.append(way)
    yield run


class StreetGraph:
    """Junctions and the ways between them, for walkers and for choosing camera corners."""

    def __init__(self, found: Sequence[Way]) -> None:
        self._around: dict[Corner, list[tuple[Corner, float, Way]]] = defaultdict(list)
        for way in found:
            first, last = way.ends
            effort = way.length * _EFFORT[way.level]
            self._around[first].append((last, effort, way))
            self._around[last].append((first, effort, way))

    @property
    def corners(self) -> list[Corner]:
        return sorted(self._around)

    def ways_at(self, corner: Corner) -> list[Way]:
        return [way for _far, _effort, way in self._around[corner]]

    def tree(self, start: Corner) -> tuple[dict[Corner, float], dict[Corner, tuple[Corner, Way]]]:
        """Least effort from `start` to every corner, and by which corner and way each is reached (Dijkstra)."""
        effort: dict[Corner, float] = {}
        via: dict[Corner, tuple[Corner, Way]] = {}
        queue: list[tuple[float, Corner, tuple[Corner, Way] | None]] = [(0.0, start, None)]
        while queue:
            reached, corner, step = heapq.heappop(queue)
            if corner in effort:
                continue
            effort[corner] = reached
            if step:
                via[corner] = step
            for far, cost, way in self._around[corner]:
                if far not in effort:
                    heapq.heappush(queue, (reached + cost, far, (corner, way)))
        return effort, via

    def path(self, via: dict[Corner, tuple[Corner, Way]], goal: Corner) -> list[Metres]:
        """The points from the tree's start to `goal`, in metres."""
        pieces: list[list[Metres]] = [[ground(goal)]]
        while goal in via:
            before, way = via[goal]
            line = way.line if way.ends[0] == before else way.line[::-1]
            pieces.append(line[:-1])
            goal = before
        return [point for piece in reversed(pieces) for point in piece]

    def busy_corners(self, count: int, seed: int) -> list[Corner]:
        """The corners most shortest paths lead over, no two near each other; ordered as chosen."""
        passes = self._passes(seed)
        places = {corner: ground(corner) for corner in self.corners if len(self._around[corner]) >= 3}
        chosen: list[Corner] = []
        for least in (330.0, 260.0, 200.0, 150.0):
            for corner in sorted(places, key=lambda corner: (-passes[corner], corner)):
                far = all(math.dist(places[corner], places[other]) >= least for other in chosen)
                if far and len(chosen) < count and passes[corner] >= 4:
                    chosen.append(corner)
        return sorted(chosen)

    def _passes(self, seed: int) -> dict[Corner, int]:
        """How many of a sample of shortest paths lead over each corner."""
        rng = np.random.default_rng([seed, 0xBE])
        corners, passes = self.corners, dict.fromkeys(self.corners, 0)
        for start in rng.choice(len(corners), 40, replace=False).tolist():
            _effort, via = self.tree(corners[start])
            for goal in rng.choice(len(corners), 60, replace=False).tolist():
                corner = corners[goal]
                while corner in via:
                    corner = via[corner][0]
                    passes[corner] += 1
        return passes

    def gaps(self, corner: Corner) -> list[float]:
        """Bearings (degrees) of the middles of the angles between the roads at a corner, the widest first."""
        here = ground(corner)
        bearings = sorted(_bearing(here, _beside(way, corner)) for way in self.ways_at(corner))
        following = [*bearings[1:], bearings[0] + 360]
        angles = sorted(zip(following, bearings, strict=True), key=lambda pair: pair[1] - pair[0])
        return [(after + before) / 2 % 360 for after, before in angles]


def _beside(way: Way, corner: Corner) -> Metres:
    return ground(way.points[1] if way.points[0] == corner else way.points[-2])


def _bearing(start: Metres, end: Metres) -> float:
    """Degrees clockwise from north."""
    return math.degrees(math.atan2(end[0] - start[0], end[1] - start[1])) % 360


# Landmarks


def _landmarks(units: Sequence[CodedArea]) -> Iterator[tuple[str, str, Any]]:
    lake = _around_lake(0.975, 1.0)
    island = shapely.Polygon([warp(-330 + 150 * math.cos(t), 60 + 95 * math.sin(t)) for t in np.linspace(0, 6.1, 40)])
    yield names.WOOD, "wood", _hills()
    yield names.LAKE, "water", lake.difference(island)
    yield names.ISLAND, "park", island
    yield names.CANAL, "water", _stream(_CANAL_SPOKE, 26.0, 11.0)
    yield names.RIVER, "water", _stream(_RIVER_SPOKE, 38.0, 21.0)
    grids = [unit.area for unit in units if unit.area.level == 5]
    for name, corner in zip(names.PARKS, _PARK_CORNERS, strict=True):
        yield name, "park", _inside(_holding(grids, corner).rect, 13.0)
    for name, corner in zip(names.SQUARES, _SQUARE_CORNERS, strict=True):
        yield name, "square", _inside(_holding(_holding(grids, corner).children or grids, corner).rect, 9.0)


_PARK_CORNERS: tuple[Corner, ...] = ((2, 60), (6, 24), (24, 58), (20, 116), (33, 84), (8, 108))
_SQUARE_CORNERS: tuple[Corner, ...] = ((11, 70), (37, 70), (5, 88))


def _around_lake(share: float, west: float) -> Any:
    """The lake: along the shore in the east, an arc of its own in the west, where no street runs."""
    east = [ground((0, v)) for v in range(SPOKES + 1)]
    angles = np.radians(np.linspace(-118, -242, 50)[1:-1])
    arc = [
        warp(1.14 * _west(angle) * west * math.cos(angle), _west(angle) * west * math.sin(angle)) for angle in angles
    ]
    whole = shapely.Polygon([*east, *arc])
    return shapely.affinity.scale(whole, share, share, origin=(0, 0))


def _west(angle: float) -> float:
    """The western shore swells out to a bay, and meets the eastern one smoothly."""
    turned = abs(math.degrees(angle) + 180) / 62
    return shore(angle) * (1 + 0.34 * math.cos(min(1.0, turned) * math.pi / 2) ** 2)


def _hills() -> Any:
    """Woods on the far side of the lake."""
    angles = np.radians(np.linspace(-126, -234, 40))
    outer = [
        warp(1.14 * (_west(a) + 620 + 120 * math.sin(4 * a)) * math.cos(a), (_west(a) + 520) * math.sin(a))
        for a in angles
    ]
    inner = [warp(1.14 * (_west(a) + 40) * math.cos(a), (_west(a) + 40) * math.sin(a)) for a in angles[::-1]]
    return shapely.Polygon([*outer, *inner]).buffer(0)


def _stream(spoke: int, beside: float, half_width: float) -> Any:
    """Water that runs from the lake along an avenue, `beside` metres off its middle."""
    points = [ground((u, spoke)) for u in range(RINGS + 1)]
    start = (points[0][0] * 0.86, points[0][1] * 0.86)
    end = (points[-1][0] * 1.08, points[-1][1] * 1.08)
    line = shapely.LineString([start, *points, end]).offset_curve(-beside)
    return line.buffer(half_width, cap_style="flat")


def _holding(areas: Iterable[Area], corner: Corner) -> Area:
    return next(
        area for area in areas
        if area.rect.u0 <= corner[0] <= area.rect.u1 and area.rect.v0 <= corner[1] <= area.rect.v1
    )  # fmt: skip


def _inside(rect: Rect, margin: float) -> Any:
    return shapely.Polygon([ground(corner) for corner in rect.ring()]).buffer(-margin)


def _geojson(shape: Any) -> dict[str, Any]:
    """GeoJSON in degrees, outer rings counter-clockwise."""
    turned = shapely.orient_polygons(shapely.transform(shape, _degrees_of))
    geometry: dict[str, Any] = shapely.geometry.mapping(turned)
    return geometry


def _degrees_of(points: Any) -> Any:
    return np.array([degrees((float(x), float(y))) for x, y in points])
