"""Polygons without GDAL: checking, bounding boxes, which grid holds a place, cells over a region.

Stored is GeoJSON in WGS-84 beside four bounding-box columns; shapely looks only at what the columns leave over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from shapely.geometry import box, mapping, shape
from shapely.geometry.base import BaseGeometry

from citysearch.errors import ServiceError
from units.models import Level, Unit
from units.projection import Point, from_wgs84, haversine, metres_per_degree, to_wgs84
from units.roads import RoadGraph

__all__ = [
    "BadPlace", "BadPolygon", "GridIndex", "Point", "RoadGraph", "bounding_box", "cells", "check_place",
    "check_polygon", "covered", "from_wgs84", "grid_at", "haversine", "shape_of", "to_wgs84",
]  # fmt: skip

AREAS = ("Polygon", "MultiPolygon")
DECIMALS = 7
CELL_M_RANGE = (20.0, 5000.0)
CELLS_MAX = 20_000
SIDES = ("west", "south", "east", "north")


class BadPolygon(ServiceError):
    """An area that is no valid polygon on the earth; `fields['polygon']` says what is wrong with it."""

    code = "bad_polygon"

    def __init__(self, message: object, **data: object) -> None:
        super().__init__(message, {"polygon": message}, **data)


class BadPlace(ServiceError):
    """A place that is not on the earth, or in no grid."""

    code = "bad_place"

    def __init__(self, message: object, **data: object) -> None:
        super().__init__(message, {"longitude": message}, **data)


def check_polygon(value: object) -> dict[str, Any]:
    """The area as a GeoJSON Polygon or MultiPolygon of seven decimals; raises BadPolygon.

    Taken are a geometry, a Feature around one, or either as JSON text.
    """
    geometry = _geometry_of(value)
    if geometry.geom_type not in AREAS or geometry.is_empty:
        kind = geometry.geom_type
        raise BadPolygon(_("The area must be a Polygon or a MultiPolygon, not a %(kind)s.") % {"kind": kind})
    west, south, east, north = geometry.bounds
    if min(west + 180, 180 - east, south + 90, 90 - north) < 0:
        raise BadPolygon(
            _("The area must lie within 180 degrees of longitude and 90 of latitude, in WGS-84; it spans %(bounds)s.")
            % {"bounds": f"{west:.5f}, {south:.5f} .. {east:.5f}, {north:.5f}"}
        )
    if not geometry.is_valid:
        raise BadPolygon(_("The area is not valid: %(reason)s.") % {"reason": shapely.is_valid_reason(geometry)})
    return _rounded(geometry)


def _geometry_of(value: object) -> BaseGeometry:
    try:
        data = json.loads(value) if isinstance(value, str) else value
        if isinstance(data, Mapping) and data.get("type") == "Feature":
            data = data.get("geometry")
        geometry = shapely.force_2d(shape(data))
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, shapely.errors.ShapelyError) as error:
        raise BadPolygon(_("The area is not a GeoJSON geometry: %(reason)s.") % {"reason": str(error)[:200]}) from error
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise BadPolygon(_("The area has a coordinate that is not a number."))
    return geometry


def _rounded(geometry: BaseGeometry) -> dict[str, Any]:
    data = mapping(geometry)
    return {"type": data["type"], "coordinates": _round_all(data["coordinates"])}


def _round_all(values: Any) -> Any:
    if isinstance(values, int | float):
        return round(float(values), DECIMALS)
    return [_round_all(value) for value in values]


def shape_of(polygon: Mapping[str, Any] | None) -> BaseGeometry:
    """A stored (already checked) polygon as a shapely geometry."""
    return shape(polygon)


def bounding_box(polygon: Mapping[str, Any] | None) -> dict[str, float | None]:
    """{west, south, east, north} in degrees; all None without a polygon."""
    if polygon is None:
        return dict.fromkeys(SIDES)
    return dict(zip(SIDES, shape_of(polygon).bounds, strict=True))


def check_place(longitude: object, latitude: object) -> Point:
    """Both as floats, or BadPlace when they are no numbers or not on the earth."""
    try:
        point = float(str(longitude)), float(str(latitude))
    except ValueError:
        point = (math.nan, math.nan)
    if not (abs(point[0]) <= 180 and abs(point[1]) <= 90):
        raise BadPlace(
            _("Longitude %(longitude)s, latitude %(latitude)s is no place on the earth: -180..180, -90..90.")
            % {"longitude": longitude, "latitude": latitude}
        )
    return point


def grid_at(longitude: float, latitude: float, within: QuerySet[Unit] | None = None) -> Unit | None:
    """The grid (among `within`) that holds a place; of two that share the border, the one with the smaller code."""
    candidates = (
        (Unit.objects.all() if within is None else within)
        .filter(level=Level.GRID, west__lte=longitude, east__gte=longitude, south__lte=latitude, north__gte=latitude)
        .order_by("code")
    )
    point = shapely.Point(longitude, latitude)
    return next((unit for unit in candidates if shape_of(unit.polygon).covers(point)), None)


def no_grid(longitude: float, latitude: float) -> BadPlace:
    """The error for a place that no grid holds."""
    return BadPlace(
        _("No grid holds the place %(place)s. Draw a grid there, or generate one over its region.")
        % {"place": f"{longitude:.6f}, {latitude:.6f}"}
    )


def covered(area: Mapping[str, Any], points: Sequence[Point]) -> list[bool]:
    """Whether each (longitude, latitude) lies in the area or on its border."""
    region = shape_of(area)
    shapely.prepare(region)
    places = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    inside: list[bool] = shapely.intersects_xy(region, places[:, 0], places[:, 1]).tolist()
    return inside


class GridIndex:
    """Which grid holds each of many places: an STRtree over the grids' polygons, built once."""

    def __init__(self, grids: Iterable[Unit] | None = None) -> None:
        rows = Unit.objects.filter(level=Level.GRID, west__isnull=False) if grids is None else grids
        self._grids = sorted((unit for unit in rows if unit.polygon), key=lambda unit: unit.code)
        self._tree = shapely.STRtree([shape_of(unit.polygon) for unit in self._grids])

    def at(self, points: Sequence[Point]) -> list[Unit | None]:
        """The grid of each point, or None; of two that share the border, the one with the smaller code."""
        found: list[Unit | None] = [None] * len(points)
        if not points or not self._grids:
            return found
        pairs = self._tree.query(shapely.points(np.asarray(points, dtype=np.float64)), predicate="covered_by")
        for point, grid in sorted(zip(*pairs.tolist(), strict=True), reverse=True):
            found[point] = self._grids[grid]
        return found


def cells(polygon: Mapping[str, Any], cell_m: float) -> list[dict[str, Any]]:
    """Square cells of `cell_m` metres laid over a region and clipped to it, row by row from the south-west."""
    if not CELL_M_RANGE[0] <= cell_m <= CELL_M_RANGE[1]:
        raise ServiceError(
            _("The cell size must be %(low)d to %(high)d metres.") % {"low": CELL_M_RANGE[0], "high": CELL_M_RANGE[1]}
        )
    region = shape_of(polygon)
    shapely.prepare(region)
    clipped = (region.intersection(cell) for cell in _boxes(region, cell_m) if region.intersects(cell))
    areas = (_areas_only(cell) for cell in clipped)
    return [_rounded(area) for area in areas if not area.is_empty]


def _boxes(region: BaseGeometry, cell_m: float) -> Iterator[BaseGeometry]:
    west, south, east, north = region.bounds
    per_lon, per_lat = metres_per_degree((south + north) / 2)
    step_x, step_y = cell_m / per_lon, cell_m / per_lat
    columns, rows = (max(1, math.ceil(round(span, 6))) for span in ((east - west) / step_x, (north - south) / step_y))
    if columns * rows > CELLS_MAX:
        raise ServiceError(_("That would be %(count)d cells. Choose larger ones.") % {"count": columns * rows})
    for row in range(rows):
        for column in range(columns):
            left, low = west + column * step_x, south + row * step_y
            yield box(left, low, left + step_x, low + step_y)


def _areas_only(geometry: BaseGeometry) -> BaseGeometry:
    """A clipped cell without the lines and points that touching borders leave, and without slivers below 1 m2."""
    parts = [part for part in getattr(geometry, "geoms", [geometry]) if part.geom_type in AREAS and part.area > 1e-10]
    return shapely.union_all(parts) if parts else shapely.Polygon()
