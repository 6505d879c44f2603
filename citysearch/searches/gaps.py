"""What a path leaves open: who could have seen the person between two stops but did not, and where the last one leads.

Both speak of the cameras that the search looked at. A camera could have been passed in a gap when the way over it, as
the crow flies from one view to the next, takes no more than the time there was at ON_FOOT: a lower bound of the way,
so no camera that could have seen the person is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import shapely
from django.utils.translation import gettext_lazy as _
from numpy.typing import NDArray

from citysearch.errors import Conflict
from citysearch.searches.coverage import indexed_ids
from citysearch.searches.models import Search
from citysearch.searches.paths import local_time, place_of
from reid_engine.contracts import Place
from reid_engine.trajectory import ON_FOOT
from units.geo import RoadGraph
from units.models import Camera
from units.projection import metres_per_degree, straight_metres
from units.queries import camera_ids, cameras_under
from units.reach import reach_of

Floats = NDArray[np.floating[Any]]

# A hit below this is none; the slider of the page starts here too.
HIT = 0.1
CAMERAS_LISTED = 20
ON_WAY_M = 35.0


@dataclass(frozen=True)
class _Stop:
    number: int
    camera: int | None  # None: the operator's photo
    place: Place
    start: float
    end: float


@dataclass(frozen=True)
class _Gap:
    """Two stops that follow one another, and the way along the streets where one was inferred."""

    first: _Stop
    last: _Stop
    line: Sequence[Sequence[float]] | None


def gaps_of(search: Search) -> list[dict[str, Any]]:
    """Per leg: from, to, passable (how many cameras), cameras: the nearest to the way, each searched without a hit."""
    stops, lines = _stops(search), _lines(search)
    cameras, seen = searched_cameras(search), _hit_times(search)
    pairs = zip(stops, stops[1:], strict=False)
    gaps = [_Gap(first, last, lines.get((first.number, last.number))) for first, last in pairs]
    return [_gap_dict(gap, _unseen(cameras, seen, gap)) for gap in gaps]


def reach_of_last(search: Search, minutes: float, speed: float) -> dict[str, Any]:
    """Where somebody who went on from the last stop can be: one GeoJSON feature.

    `speed` is in metres per second. Properties: since, until, metres, on_streets, and the searched cameras inside by
    the time at which they are reached. Raises Conflict while there is no path.
    """
    stops = _stops(search)
    if not stops:
        raise Conflict(_("There is no path yet whose last sighting could lead anywhere."))
    last = stops[-1]
    reach = reach_of(last.place, minutes * 60 * speed)
    inside = camera_ids(cameras_under(search.unit), reach.area)
    cameras = [camera for camera in searched_cameras(search) if camera.pk in inside and camera.pk != last.camera]
    properties = {
        "since": local_time(last.end),
        "until": local_time(last.end + minutes * 60),
        "metres": round(reach.metres),
        "on_streets": reach.on_streets,
        "cameras": sorted(_arrivals(last, cameras, speed), key=lambda row: row["seconds"]),
    }
    return {"type": "Feature", "geometry": reach.area, "properties": properties}


def searched_cameras(search: Search) -> list[Camera]:
    """The cameras of the finished parts that the search did look at."""
    done = list(search.parts.filter(done=True).values_list("unit__path", flat=True))
    skipped = {line["id"] for line in search.coverage.get("list", []) if "reason" in line}
    under = cameras_under(search.unit).select_related("unit").defer("unit__polygon")
    looked_at = indexed_ids(search.unit, search.model_version) - skipped if search.model_version else set()
    if search.area is not None:
        looked_at &= camera_ids(under, search.area)
    return [camera for camera in under if camera.pk in looked_at and camera.unit.path.startswith(tuple(done))]


def _stops(search: Search) -> list[_Stop]:
    rows = [feature for feature in _features(search) if feature["properties"]["kind"] == "stop"]
    radius = dict(
        Camera.objects.filter(pk__in={_camera_of(row["properties"]) for row in rows})
        .order_by()
        .values_list("pk", "view_radius_m")
    )
    return [_stop(row["properties"], row["geometry"]["coordinates"], radius) for row in rows]


def _stop(facts: Mapping[str, Any], place: Sequence[float], radius: Mapping[int, float]) -> _Stop:
    camera = _camera_of(facts)
    start, end = (datetime.fromisoformat(facts[name]).timestamp() for name in ("start", "end"))
    return _Stop(facts["number"], camera, Place(place[0], place[1], radius.get(camera or 0, 0.0)), start, end)


def _camera_of(stop: Mapping[str, Any]) -> int | None:
    return stop["camera"]["id"] if stop["camera"] else None


def _lines(search: Search) -> dict[tuple[int, int], list[list[float]]]:
    """The inferred ways along the streets, by the numbers of their stops."""
    legs = [leg for leg in _features(search) if leg["properties"]["kind"] == "leg" and leg["properties"]["inferred"]]
    return {(leg["properties"]["from"], leg["properties"]["to"]): leg["geometry"]["coordinates"] for leg in legs}


def _features(search: Search) -> list[dict[str, Any]]:
    return list((search.trajectory or {}).get("features", []))


def _hit_times(search: Search) -> dict[int, list[float]]:
    """When each camera had a hit, in true seconds."""
    times: dict[int, list[float]] = {}
    rows = search.candidates.filter(likelihood__gte=HIT).order_by()
    for camera, taken, offset in rows.values_list(
        "crop__camera_id", "crop__captured_at", "crop__camera__clock_offset_s"
    ):
        times.setdefault(camera, []).append(taken.timestamp() - offset)
    return times


def _unseen(cameras: Iterable[Camera], seen: Mapping[int, Sequence[float]], gap: _Gap) -> list[Camera]:
    """The cameras other than the two stops' that had no hit between them."""
    return [
        camera
        for camera in cameras
        if camera.pk not in (gap.first.camera, gap.last.camera)
        and not any(gap.first.end <= time <= gap.last.start for time in seen.get(camera.pk, ()))
    ]


def _gap_dict(gap: _Gap, cameras: Sequence[Camera]) -> dict[str, Any]:
    """The cameras that there was time for; the way over each is measured for all of them at once."""
    first, last = gap.first.place, gap.last.place
    over = _apart(first, cameras) + _apart(last, cameras)
    in_time = np.flatnonzero(over <= (gap.last.start - gap.first.end) * ON_FOOT)
    passed = [cameras[n] for n in in_time.tolist()]
    detour = np.maximum(0.0, over - _apart(first, [last]))[in_time]
    on_way = _beside(gap.line, passed)
    nearest = np.lexsort((detour, ~on_way))[:CAMERAS_LISTED]
    return {
        "from": gap.first.number,
        "to": gap.last.number,
        "passable": len(passed),
        "on_way": int(on_way.sum()),
        "cameras": [
            _named(passed[n]) | {"detour_m": round(float(detour[n])), "on_way": bool(on_way[n])}
            for n in nearest.tolist()
        ],
    }


def _apart(place: Place, others: Sequence[Camera | Place]) -> Floats:
    """(n,) metres between the view of a place and those of others, as the crow flies."""
    points = np.radians([(other.longitude, other.latitude) for other in others]).reshape(-1, 2)
    between = straight_metres(np.radians([(place.longitude, place.latitude)]), points)[0]
    return np.maximum(0.0, between - place.view_radius_m - np.array([other.view_radius_m for other in others]))


def _beside(line: Sequence[Sequence[float]] | None, cameras: Sequence[Camera]) -> NDArray[np.bool_]:
    """(n,) whether the way comes into the cameras' views, or closer to them than a street is wide."""
    if line is None or not cameras:
        return np.zeros(len(cameras), np.bool_)
    scale = metres_per_degree(line[0][1])
    way = shapely.LineString(np.array(line) * scale)
    places = shapely.points(np.array([(camera.longitude, camera.latitude) for camera in cameras]) * scale)
    near = np.maximum(ON_WAY_M, [camera.view_radius_m for camera in cameras])
    return np.asarray(shapely.distance(way, places) <= near)


def _arrivals(last: _Stop, cameras: Iterable[Camera], speed: float) -> list[dict[str, Any]]:
    """The cameras with the seconds after which they can be reached at this speed."""
    ground = RoadGraph.load().distance
    return [_named(camera) | {"seconds": round(ground(last.place, place_of(camera))[0] / speed)} for camera in cameras]


def _named(camera: Camera) -> dict[str, Any]:
    return {
        "id": camera.pk,
        "code": camera.code,
        "name": camera.name,
        "longitude": camera.longitude,
        "latitude": camera.latitude,
    }
