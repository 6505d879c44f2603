"""Degrees and metres: distance on the sphere, a flat map around a point, and the coordinate systems used in China."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from units.models import CoordinateSystem

EARTH_RADIUS_M = 6_371_008.8
METRES_PER_DEGREE = math.pi * EARTH_RADIUS_M / 180.0

Point = tuple[float, float]
Floats = NDArray[np.floating[Any]]


def haversine(first: Point, second: Point) -> float:
    """Great-circle distance in metres between two (longitude, latitude) points."""
    (lon1, lat1), (lon2, lat2) = first, second
    half_lat = math.sin(math.radians(lat2 - lat1) / 2)
    half_lon = math.sin(math.radians(lon2 - lon1) / 2)
    share = half_lat**2 + math.cos(math.radians(lat1)) * math.cos(math.radians(lat2)) * half_lon**2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, share)))


def straight_metres(some: Floats, every: Floats) -> NDArray[np.float64]:
    """(S, P) great-circle metres between S and P points (longitude, latitude) in radians."""
    half = np.sin((some[:, None] - every[None, :]) / 2) ** 2
    share = half[..., 1] + np.cos(some[:, None, 1]) * np.cos(every[None, :, 1]) * half[..., 0]
    return np.asarray(2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(share, 1.0))))


def metres_per_degree(latitude: float) -> Point:
    """Metres per degree of longitude and of latitude at a latitude."""
    return METRES_PER_DEGREE * max(math.cos(math.radians(latitude)), 1e-6), METRES_PER_DEGREE


# GCJ-02 is WGS-84 plus a smooth shift of up to 700 m inside China; the figures are those of the public algorithm
# (Krasovsky 1940 ellipsoid).
_AXIS = 6_378_245.0
_ECCENTRICITY_2 = 0.00669342162296594323
_BD_TURN = math.pi * 3000.0 / 180.0


def to_wgs84(longitude: float, latitude: float, system: str) -> Point:
    """A place given in `system` (wgs84, gcj02, bd09) as (longitude, latitude) in WGS-84."""
    point = (longitude, latitude)
    if system == CoordinateSystem.BD09:
        point = _bd09_to_gcj02(point)
    return point if system == CoordinateSystem.WGS84 else _gcj02_to_wgs84(point)


def from_wgs84(longitude: float, latitude: float, system: str) -> Point:
    """The inverse of `to_wgs84`."""
    point = (longitude, latitude)
    if system == CoordinateSystem.WGS84:
        return point
    shifted = _wgs84_to_gcj02(point)
    return _gcj02_to_bd09(shifted) if system == CoordinateSystem.BD09 else shifted


def _gcj02_to_wgs84(point: Point) -> Point:
    # The shift is smooth and small, so subtracting the error of the last guess converges to millimetres at once.
    guess = point
    for _ in range(6):
        back = _wgs84_to_gcj02(guess)
        guess = (guess[0] - (back[0] - point[0]), guess[1] - (back[1] - point[1]))
    return guess


def _wgs84_to_gcj02(point: Point) -> Point:
    longitude, latitude = point
    if not (72.004 <= longitude <= 137.8347 and 0.8293 <= latitude <= 55.8271):
        return point
    east, north = longitude - 105.0, latitude - 35.0
    shrink = 1 - _ECCENTRICITY_2 * math.sin(math.radians(latitude)) ** 2
    north_m = math.radians(_AXIS * (1 - _ECCENTRICITY_2) / shrink**1.5)
    east_m = math.radians(_AXIS / math.sqrt(shrink) * math.cos(math.radians(latitude)))
    return longitude + _shift_east(east, north) / east_m, latitude + _shift_north(east, north) / north_m


def _shift_north(x: float, y: float) -> float:
    shift = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * math.sqrt(abs(x))
    shift += _waves(x, ((6.0, 20.0), (2.0, 20.0)))
    return shift + _waves(y, ((1.0, 20.0), (1 / 3, 40.0), (1 / 12, 160.0), (1 / 30, 320.0)))


def _shift_east(x: float, y: float) -> float:
    shift = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * math.sqrt(abs(x))
    return shift + _waves(x, ((6.0, 20.0), (2.0, 20.0), (1.0, 20.0), (1 / 3, 40.0), (1 / 12, 150.0), (1 / 30, 300.0)))


def _waves(value: float, terms: tuple[Point, ...]) -> float:
    return sum(height * math.sin(value * turns * math.pi) for turns, height in terms) * 2.0 / 3.0


def _bd09_to_gcj02(point: Point) -> Point:
    x, y = point[0] - 0.0065, point[1] - 0.006
    radius = math.hypot(x, y) - 0.00002 * math.sin(y * _BD_TURN)
    angle = math.atan2(y, x) - 0.000003 * math.cos(x * _BD_TURN)
    return radius * math.cos(angle), radius * math.sin(angle)


def _gcj02_to_bd09(point: Point) -> Point:
    x, y = point
    radius = math.hypot(x, y) + 0.00002 * math.sin(y * _BD_TURN)
    angle = math.atan2(y, x) + 0.000003 * math.cos(x * _BD_TURN)
    return radius * math.cos(angle) + 0.0065, radius * math.sin(angle) + 0.006
