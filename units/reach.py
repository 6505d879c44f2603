"""How far somebody can have come from a place: along the streets where there are any, else as the crow flies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import shapely
from shapely.affinity import scale
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from reid_engine.contracts import Place
from units.projection import metres_per_degree
from units.roads import RoadGraph

# Who walks along a street is seen from both of its sides; corners closer than this are not told apart.
STREET_M = 30.0
# Blocks of houses and bays narrower than twice this between reachable streets are filled: the area stays readable.
FILLED_M = 60.0
DETAIL_M = 4.0


@dataclass(frozen=True)
class Reach:
    """The area as GeoJSON in WGS-84, the metres from the place to its border, and whether it follows the streets."""

    area: dict[str, Any]
    metres: float
    on_streets: bool


def reach_of(place: Place, metres: float) -> Reach:
    """Everywhere at most so many metres from the place."""
    stretches = RoadGraph.load().reachable(place, metres)
    here = shapely.Point(place.longitude, place.latitude)
    shape = shapely.union_all([shapely.LineString(line) for line in stretches]) if stretches else here
    return Reach(_grown(shape, place.latitude, STREET_M if stretches else metres), metres, bool(stretches))


def _grown(shape: BaseGeometry, latitude: float, metres: float) -> dict[str, Any]:
    """The shape with a margin of so many metres, on the flat map around its latitude."""
    per_lon, per_lat = metres_per_degree(latitude)
    flat = scale(shape, per_lon, per_lat, origin=(0, 0)).buffer(metres + FILLED_M).buffer(-FILLED_M).simplify(DETAIL_M)
    area = scale(flat, 1 / per_lon, 1 / per_lat, origin=(0, 0))
    return dict(mapping(shapely.set_precision(area, 1e-7)))
