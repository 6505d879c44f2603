"""From hits to sightings to the path, and the path as GeoJSON (RFC 7946: longitude before latitude)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from citysearch.searches.models import SearchPhoto
from citysearch.searches.photos import taken_of
from reid_engine.contracts import Hit, Leg, Place, Sighting, Stop, Trajectory, Verdict
from reid_engine.sightings import collapse
from reid_engine.trajectory import build
from units.geo import RoadGraph
from units.models import Camera

# A sighting below this weighs less than -4.5 in log-odds, and putting it between two others wins at most 4.5.
UNLIKELY = 0.01
# A photo's place is shown on a map and its time is given to the minute.
PHOTO_RADIUS_M, PHOTO_CLOCK_S = 25.0, 60.0
SOLID, DASHED = 0.7, 0.3

EMPTY: dict[str, Any] = {"type": "FeatureCollection", "features": [], "conflicts": []}


def sightings_of(
    hits: Iterable[Hit], cameras: Mapping[int, Camera], verdicts: Mapping[int, Verdict] | None = None
) -> list[Sighting]:
    """Bursts of crops as sightings, likeliest first; `cameras` holds every camera of the hits."""
    places = {pk: place_of(camera) for pk, camera in cameras.items()}
    uncertainty = {pk: camera.clock_uncertainty_s for pk, camera in cameras.items()}
    return collapse(hits, places, uncertainty, verdicts=verdicts)


def photo_sightings(photos: Iterable[SearchPhoto]) -> list[Sighting]:
    """The photos of which place and time are known, as confirmed sightings without camera and crops: -1 is the first.

    They are there before anybody has judged a hit, so they are no feedback.
    """
    known = [(photo.position, taken) for photo in photos if (taken := taken_of(photo))]
    return [
        Sighting(
            id=-1 - position,
            camera_id=0,
            start=taken.time.timestamp(),
            end=taken.time.timestamp(),
            likelihood=1.0,
            crop_ids=(),
            place=Place(taken.longitude, taken.latitude, PHOTO_RADIUS_M),
            clock_uncertainty_s=PHOTO_CLOCK_S,
            verdict="confirmed",
        )
        for position, taken in known
    ]


def path_of(
    sightings: Sequence[Sighting], cameras: Mapping[int, Camera], photos: Iterable[SearchPhoto] = ()
) -> dict[str, Any]:
    """The path through photos and sightings as a FeatureCollection: stops, the legs between them, and conflicts."""
    likely = [s for s in sightings if s.likelihood >= UNLIKELY or s.verdict == "confirmed"]
    feedback = any(sighting.verdict != "undecided" for sighting in sightings)
    likely += photo_sightings(photos)
    roads = RoadGraph.load()
    trajectory = build(likely, roads.distance, has_feedback=feedback, ground_distances=roads.distances)
    return feature_collection(trajectory, likely, cameras)


def feature_collection(
    trajectory: Trajectory, sightings: Collection[Sighting], cameras: Mapping[int, Camera]
) -> dict[str, Any]:
    """Stops as numbered points, legs as lines; `conflicts` names confirmed sightings that exclude each other."""
    by_id = {sighting.id: sighting for sighting in sightings}
    stops = [_stop(n, stop, by_id[stop.sighting_id], cameras) for n, stop in enumerate(trajectory.stops, start=1)]
    numbers = {stop.sighting_id: n for n, stop in enumerate(trajectory.stops, start=1)}
    legs = [_leg(leg, numbers, by_id) for leg in trajectory.legs]
    conflicts = [
        {
            "first": _named(by_id[conflict.first_id], cameras),
            "second": _named(by_id[conflict.second_id], cameras),
            "distance_m": round(conflict.distance_m, 1),
            "seconds": round(conflict.seconds, 1),
        }
        for conflict in trajectory.conflicts
    ]
    return {"type": "FeatureCollection", "features": [*legs, *stops], "conflicts": conflicts}


def path_crops(path: Mapping[str, Any]) -> set[int]:
    """The ids of all crops that a path names; a sighting's id is that of its first crop."""
    stops = [feature["properties"] for feature in path["features"] if feature["properties"]["kind"] == "stop"]
    named = [conflict[end] for conflict in path["conflicts"] for end in ("first", "second")]
    crops = {stop["crop"] for stop in stops} | {place["sighting"] for place in [*stops, *named]}
    return {crop for crop in crops if crop and crop > 0}


def path_without(path: Mapping[str, Any], sightings: Collection[int]) -> dict[str, Any]:
    """The path without its stops at these sightings, the legs to and from them, and the conflicts that name them."""
    stops = [feature["properties"] for feature in path["features"] if feature["properties"]["kind"] == "stop"]
    gone = {stop["number"] for stop in stops if stop["sighting"] in sightings}
    features = [
        feature
        for feature in path["features"]
        if not gone.intersection(feature["properties"].get(end) for end in ("number", "from", "to"))
    ]
    conflicts = [
        conflict
        for conflict in path["conflicts"]
        if not {conflict["first"]["sighting"], conflict["second"]["sighting"]}.intersection(sightings)
    ]
    return {**path, "features": features, "conflicts": conflicts}


def place_of(camera: Camera) -> Place:
    return Place(camera.longitude, camera.latitude, camera.view_radius_m)


def style_of(confidence: float) -> str:
    """How a stop or leg is drawn: solid from 0.7, dashed from 0.3, dotted below."""
    if confidence >= SOLID:
        return "solid"
    return "dashed" if confidence >= DASHED else "dotted"


def local_time(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in the installation's time zone, with its offset."""
    return datetime.fromtimestamp(seconds, timezone.get_default_timezone()).isoformat()


def _stop(number: int, stop: Stop, sighting: Sighting, cameras: Mapping[int, Camera]) -> dict[str, Any]:
    properties = _named(sighting, cameras) | {
        "kind": "stop",
        "number": number,
        "likelihood": round(sighting.likelihood, 4),
        "confidence": round(stop.confidence, 4),
        "style": style_of(stop.confidence),
        "verdict": sighting.verdict,
        "crop": next(iter(sighting.crop_ids), None),
    }
    return _feature("Point", _point(sighting.place), properties)


def _leg(leg: Leg, numbers: Mapping[int, int], sightings: Mapping[int, Sighting]) -> dict[str, Any]:
    """The way between two stops; `inferred` says that the line follows the road graph, not anything seen."""
    first, last = sightings[leg.from_id], sightings[leg.to_id]
    properties = {
        "kind": "leg",
        "from": numbers[leg.from_id],
        "to": numbers[leg.to_id],
        "distance_m": round(leg.distance_m, 1),
        "seconds": round(leg.seconds, 1),
        "speed_kmh": round(leg.needed_speed * 3.6, 2),
        "confidence": round(leg.confidence, 4),
        "style": style_of(leg.confidence),
        "inferred": bool(leg.route),
    }
    return _feature("LineString", _line(first.place, leg.route, last.place), properties)


def _line(first: Place, route: Iterable[tuple[float, float]], last: Place) -> list[list[float]]:
    """The points from one place to the other; RFC 7946 asks for two at least, also where both are the same."""
    middle = [list(point) for point in route if list(point) not in (_point(first), _point(last))]
    return [_point(first), *middle, _point(last)]


def _named(sighting: Sighting, cameras: Mapping[int, Camera]) -> dict[str, Any]:
    """Who saw the person and when: a camera, or with `photo` (its position) the operator's photo, then without one."""
    times = {"start": local_time(sighting.start), "end": local_time(sighting.end)}
    if sighting.id < 0:
        return {"sighting": sighting.id, "photo": -1 - sighting.id, "camera": None, **times}
    camera = cameras[sighting.camera_id]
    return {
        "sighting": sighting.id,
        "camera": {"id": camera.pk, "code": camera.code, "name": camera.name},
        **times,
    }


def _point(place: Place) -> list[float]:
    return [place.longitude, place.latitude]


def _feature(kind: str, coordinates: object, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}
