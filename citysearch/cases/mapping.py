"""The map of a path on paper: roads in grey, above them what was searched, the legs and the numbered stops.

Drawn as lines, without tiles, in a local equirectangular projection: one scale in both directions, north is up. All
tells apart in black and white. Nothing is drawn outside of the frame.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import shapely
from django.utils.translation import gettext as _
from reportlab.lib.colors import HexColor, black, white
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Spacer, Table

from citysearch.cases.paper import GREY, INK, NAME, WIDTH, paragraph
from citysearch.searches.models import Search
from units.geo import Point, shape_of
from units.projection import metres_per_degree
from units.queries import roads_in

Line = Sequence[Sequence[float]]

# Points of the paper: the map's least and greatest height, and what stays free around the path for scale and arrow.
HEIGHTS, FREE = (230.0, 400.0), 44.0
# A path of one stop, too, is shown with its surroundings: metres from west to east and from south to north.
LEAST_M = (800.0, 400.0)
ROADS, BAR = 2500, 120.0
# Points of the paper: nearer than this two points of a line are one, and two stops share a mark.
FINE, SHARED = 0.4, 12.0
ROAD, FONT, SIZE, ROUND = HexColor("#cfcfcf"), "Helvetica-Bold", 8.0, 7.0
LABEL_SIGNS = 30
# Where on a leg its arrow head is, and how long (points) a leg is at least that has one.
HEAD_AT, HEAD_FROM = 0.62, 40.0

# Width, colour and dashes of each kind of line; what is drawn first lies below.
PENS: dict[str, tuple[float, Any, tuple[float, ...]]] = {
    "road": (1.3, ROAD, ()),
    "outline": (0.6, INK, (7, 2, 1.5, 2)),
    "casing": (4.2, white, ()),
    "known": (1.9, black, ()),
    "straight": (1.9, black, (5, 3.5)),
}


@dataclass(frozen=True)
class Sheet:
    """A piece of paper of WIDTH x `height` points around a place in degrees, `scale` points to the metre."""

    middle: Point
    height: float
    scale: float

    @cached_property
    def per_degree(self) -> Point:
        """Points of the paper per degree of longitude and of latitude."""
        east, north = metres_per_degree(self.middle[1])
        return east * self.scale, north * self.scale

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees."""
        half = WIDTH / 2 / self.per_degree[0], self.height / 2 / self.per_degree[1]
        west, south = self.middle[0] - half[0], self.middle[1] - half[1]
        return west, south, west + 2 * half[0], south + 2 * half[1]

    def at(self, place: Sequence[float]) -> Point:
        """Where (longitude, latitude) lies, from the lower left corner, to a hundredth of a point."""
        (east, north), (longitude, latitude) = self.per_degree, self.middle
        x, y = WIDTH / 2 + (place[0] - longitude) * east, self.height / 2 + (place[1] - latitude) * north
        return round(x, 2), round(y, 2)

    def line(self, places: Iterable[Sequence[float]]) -> list[Point]:
        """The line on paper, without points that nobody could tell from the one before."""
        points = [self.at(place) for place in places]
        drawn = points[:1]
        drawn += [point for point in points[1:-1] if math.dist(drawn[-1], point) >= FINE]
        return drawn + points[-1:]


@dataclass(frozen=True)
class PathMap:
    """What is drawn, in degrees (WGS-84): lines of roads, of the border of what was searched, legs and stops."""

    sheet: Sheet
    roads: Sequence[Line]
    outline: Sequence[Line]
    legs: Sequence[tuple[Line, bool]]
    stops: Mapping[int, Sequence[float]]
    is_drawn_area: bool = False


def path_map(search: Search, path: Mapping[str, Any]) -> PathMap | None:
    """The map of a path (GeoJSON): two statements at most, at most ROADS roads; None without a stop."""
    features = [(one["properties"], one["geometry"]["coordinates"]) for one in path["features"]]
    stops = {int(facts["number"]): place for facts, place in features if facts["kind"] == "stop"}
    if not stops:
        return None
    legs = [
        (line, bool(facts["inferred"])) for facts, line in features if facts["kind"] == "leg" and line[0] != line[-1]
    ]
    sheet = _sheet([*stops.values(), *(place for line, _known in legs for place in line)])
    outline = _outline(search.area or search.unit.polygon, sheet)
    return PathMap(sheet, roads_in(sheet.bbox, ROADS), outline, legs, stops, bool(search.area))


def map_parts(drawn: PathMap) -> list[Flowable]:
    """The map, what its lines mean, and in which coordinates it is."""
    caption = _(
        "The numbers are those of the table below. North is up. Coordinate system: WGS-84; the frame reaches from "
        "longitude %(west)s, latitude %(south)s to longitude %(east)s, latitude %(north)s."
    ) % {name: f"{value:.5f}" for name, value in zip(("west", "south", "east", "north"), drawn.sheet.bbox, strict=True)}
    return [_Drawing(drawn), Spacer(1, 5), _legend(drawn), paragraph(caption, NAME), Spacer(1, 8)]


def _sheet(places: Sequence[Sequence[float]]) -> Sheet:
    """The largest scale at which all places lie in the middle of the paper, as high as it has to be."""
    (west, east), (south, north) = ((min(side), max(side)) for side in zip(*places, strict=True))
    middle = (west + east) / 2, (south + north) / 2
    per_lon, per_lat = metres_per_degree(middle[1])
    wide, high = max(LEAST_M[0], (east - west) * per_lon), max(LEAST_M[1], (north - south) * per_lat)
    height = min(HEIGHTS[1], max(HEIGHTS[0], (WIDTH - 2 * FREE) * high / wide + 2 * FREE))
    return Sheet(middle, height, min((WIDTH - 2 * FREE) / wide, (height - 2 * FREE) / high))


def _outline(area: Mapping[str, Any] | None, sheet: Sheet) -> list[Line]:
    """The border of the area, as far as it runs over the paper."""
    if area is None:
        return []
    border = shape_of(area).boundary.intersection(shapely.box(*sheet.bbox))
    lines = [part for part in getattr(border, "geoms", [border]) if part.geom_type == "LineString"]
    return [list(line.coords) for line in lines if not line.is_empty]


def _legend(drawn: PathMap) -> Table:
    """Each kind of line that is there, and what it means."""
    area = _("border of the drawn area") if drawn.is_drawn_area else _("border of the searched unit")
    known = {is_known for _line, is_known in drawn.legs}
    rows = [
        ("known", _("way along roads, computed: nobody saw it"), True in known),
        ("straight", _("straight line: the way is not known"), False in known),
        ("outline", area, bool(drawn.outline)),
        ("road", _("road"), bool(drawn.roads)),
    ]
    cells = [cell for pen, words, there in rows if there for cell in (_Sample(pen), paragraph(words, NAME))]
    cells += [""] * (-len(cells) % 4)
    lines = [cells[n : n + 4] for n in range(0, len(cells), 4)] or [[""] * 4]
    style = [("VALIGN", (0, 0), (-1, -1), "MIDDLE"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
    style += [("TOPPADDING", (0, 0), (-1, -1), 1), ("BOTTOMPADDING", (0, 0), (-1, -1), 1)]
    return Table(lines, colWidths=[44.0, WIDTH / 2 - 44] * 2, style=style, hAlign="LEFT")


class _Sample(Flowable):
    """A short line of a kind, for the legend."""

    def __init__(self, pen: str) -> None:
        super().__init__()
        self.width, self.height, self._pen = 36.0, 8.0, pen

    def draw(self) -> None:
        _stroke(self.canv, [[(0, 4), (self.width, 4)]], self._pen)


class _Drawing(Flowable):
    """The map itself."""

    def __init__(self, drawn: PathMap) -> None:
        super().__init__()
        self.width, self.height = WIDTH, drawn.sheet.height
        self._drawn = drawn

    def draw(self) -> None:
        canvas, drawn, sheet = self.canv, self._drawn, self._drawn.sheet
        canvas.saveState()
        frame = canvas.beginPath()
        frame.rect(0, 0, self.width, self.height)
        canvas.clipPath(frame, stroke=0, fill=0)
        _stroke(canvas, map(sheet.line, drawn.roads), "road")
        _stroke(canvas, map(sheet.line, drawn.outline), "outline")
        _legs(canvas, [(sheet.line(line), is_known) for line, is_known in drawn.legs])
        for place, words in _marks({number: sheet.at(place) for number, place in drawn.stops.items()}):
            _mark(canvas, place, words)
        canvas.restoreState()
        _frame(canvas, sheet)


def _stroke(canvas: Canvas, lines: Iterable[Sequence[Point]], pen: str) -> None:
    """Lines of one kind as one path; nothing where there are none."""
    if not (drawn := [_operators(line) for line in lines]):
        return
    width, colour, dashes = PENS[pen]
    canvas.setLineWidth(width)
    canvas.setStrokeColor(colour)
    canvas.setDash(*([dashes] if dashes else []))
    canvas.setLineJoin(1)
    canvas.setLineCap(0 if dashes else 1)
    canvas.addLiteral(" ".join([*drawn, "S"]))


def _operators(line: Sequence[Point]) -> str:
    """A line of two points or more as PDF writes it: point by point the library takes several times as long."""
    first, *others = [f"{x:.2f} {y:.2f}" for x, y in line]
    return f"{first} m {' l '.join(others)} l"


def _legs(canvas: Canvas, legs: Sequence[tuple[Sequence[Point], bool]]) -> None:
    """White below black, so that a leg is seen among roads; an arrow on each that is long enough."""
    _stroke(canvas, (line for line, _known in legs), "casing")
    for pen, wanted in (("straight", False), ("known", True)):
        _stroke(canvas, (line for line, is_known in legs if is_known == wanted), pen)
    for line, _is_known in legs:
        _arrow(canvas, line)


def _arrow(canvas: Canvas, line: Sequence[Point]) -> None:
    """A head on the line, beyond its middle, so that the one of the way back is another; none where stops are near."""
    length = sum(math.dist(*step) for step in pairwise(line))
    if length >= HEAD_FROM:
        _head(canvas, *_along(line, HEAD_AT * length))


def _along(line: Sequence[Point], far: float) -> tuple[Point, float]:
    """The place so many points along the line, and its direction there in degrees, counter-clockwise from east."""
    steps = [step for step in pairwise(line) if step[0] != step[1]]
    ends = list(accumulate(math.dist(*step) for step in steps))
    number = min(bisect_left(ends, far), len(ends) - 1)
    (x, y), (to_x, to_y) = steps[number]
    share = 1 - (ends[number] - far) / math.dist(*steps[number])
    at = x + share * (to_x - x), y + share * (to_y - y)
    return at, math.degrees(math.atan2(to_y - y, to_x - x))


def _head(canvas: Canvas, at: Point, degrees: float) -> None:
    canvas.saveState()
    canvas.translate(*at)
    canvas.rotate(degrees)
    path = canvas.beginPath()
    path.moveTo(5, 0)
    path.lineTo(-4.5, 4)
    path.lineTo(-4.5, -4)
    path.close()
    _solid(canvas, black, white)
    canvas.drawPath(path, fill=1)
    canvas.restoreState()


def _solid(canvas: Canvas, fill: Any, line: Any) -> None:
    canvas.setDash()
    canvas.setLineWidth(0.9)
    canvas.setFillColor(fill)
    canvas.setStrokeColor(line)


def _marks(places: Mapping[int, Point]) -> Iterator[tuple[Point, str]]:
    """A mark for all stops that would lie over one another, where the first of them is."""
    groups: list[tuple[Point, list[int]]] = []
    for number, place in sorted(places.items()):
        near = next((numbers for at, numbers in groups if math.dist(at, place) < SHARED), None)
        if near is None:
            groups.append((place, [number]))
        else:
            near.append(number)
    yield from ((place, _numbers(numbers)) for place, numbers in groups)


def _numbers(numbers: Sequence[int]) -> str:
    """1, 4–6, 9; cut where it would cover the map: the table says the rest."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
    return words if len(words) <= LABEL_SIGNS else f"{words[: LABEL_SIGNS - 2].rpartition(',')[0]}, …"


def _mark(canvas: Canvas, place: Point, words: str) -> None:
    """The numbers in a round white field, kept whole within the frame."""
    width = max(2 * ROUND, stringWidth(words, FONT, SIZE) + 8)
    middle = min(max(place[0], width / 2 + 2), WIDTH - width / 2 - 2)
    _solid(canvas, white, black)
    canvas.setLineWidth(1.4)
    canvas.roundRect(middle - width / 2, place[1] - ROUND, width, 2 * ROUND, ROUND, fill=1)
    canvas.setFillColor(black)
    canvas.setFont(FONT, SIZE)
    canvas.drawCentredString(middle, place[1] - 0.35 * SIZE, words)


def _frame(canvas: Canvas, sheet: Sheet) -> None:
    _solid(canvas, white, INK)
    canvas.rect(0, 0, WIDTH, sheet.height)
    _scale_bar(canvas, sheet.scale)
    _north(canvas, WIDTH - 20, sheet.height - 36)


def _scale_bar(canvas: Canvas, scale: float) -> None:
    """The longest round number of metres that fits, half black, half white."""
    metres = _round_below(BAR / scale)
    length, words = metres * scale, f"{metres:,.0f} m"
    _solid(canvas, white, GREY)
    canvas.rect(6, 6, length + 22 + stringWidth(words, FONT, SIZE), 16, stroke=0, fill=1)
    _solid(canvas, black, black)
    canvas.rect(12, 12, length, 4, fill=0)
    canvas.rect(12, 12, length / 2, 4, fill=1)
    canvas.setFont(FONT, SIZE)
    canvas.drawString(18 + length, 11, words)


def _round_below(metres: float) -> float:
    """1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(metres))
    return max(step * power for step in (1, 2, 5) if step * power <= metres * (1 + 1e-9))


def _north(canvas: Canvas, x: float, y: float) -> None:
    _solid(canvas, white, GREY)
    canvas.rect(x - 10, y - 4, 20, 36, stroke=0, fill=1)
    path = canvas.beginPath()
    path.moveTo(x, y + 18)
    path.lineTo(x - 6, y)
    path.lineTo(x, y + 5)
    path.lineTo(x + 6, y)
    path.close()
    _solid(canvas, black, black)
    canvas.drawPath(path, fill=1)
    canvas.setFont(FONT, 9)
    canvas.drawCentredString(x, y + 21, "N")
