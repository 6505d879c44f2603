"""What is read of units and cameras: trees, map features, unit data, and the hours that fit sensor conditions."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Substr
from django.utils.translation import gettext_lazy as _

from citysearch.errors import ServiceError
from units.access import User, units_of
from units.geo import Point, covered, shape_of
from units.models import Camera, CameraStatus, Indicator, Landmark, Level, Road, SensorKind, SensorReading, Unit
from units.tree import ancestor_paths, around, below, children

Window = tuple[float, float]

READING_HOLDS_S = 3600.0
SERIES_POINTS = 400
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    "=": lambda value, limit: value == limit,
}


class BadCondition(ServiceError):
    """A sensor condition that cannot be read, or that asks for a kind nobody measures there."""

    code = "bad_condition"

    def __init__(self, message: object, **data: object) -> None:
        super().__init__(message, {"conditions": message}, **data)


def cameras_under(unit: Unit) -> QuerySet[Camera]:
    """The cameras of the unit and of everything below it."""
    return Camera.objects.filter(below([unit.path], "unit__path")).order_by("code")


def camera_ids(cameras: QuerySet[Camera], area: Mapping[str, Any] | None = None) -> set[int]:
    """The ids of the cameras; with an area, of those whose place lies in it or on its border. One statement."""
    cameras = cameras.order_by()
    if area is None:
        return set(cameras.values_list("pk", flat=True))
    west, south, east, north = shape_of(area).bounds
    box = {"longitude__gte": west, "longitude__lte": east, "latitude__gte": south, "latitude__lte": north}
    rows = list(cameras.filter(**box).values_list("pk", "longitude", "latitude"))
    inside = covered(area, [(lon, lat) for _pk, lon, lat in rows])
    return {pk for (pk, _lon, _lat), yes in zip(rows, inside, strict=True) if yes}


def camera_counts(units: Iterable[Unit]) -> dict[int, int]:
    """{unit id: number of cameras in its subtree}, in one query, which sums up where the units lie on one level."""
    units = list(units)
    paths, lengths = {unit.path for unit in units}, {len(unit.path) for unit in units}
    group = Substr("unit__path", 1, lengths.pop()) if len(lengths) == 1 else F("unit__path")
    rows = Camera.objects.filter(around(paths, "unit__path")).order_by().values_list(group)
    counts: Counter[str] = Counter()
    for path, count in rows.annotate(n=Count("pk")):
        for above in [*ancestor_paths(path), path]:
            counts[above] += count
    return {unit.pk: counts[unit.path] for unit in units}


def unit_tree(user: User, *roles: str) -> list[dict[str, Any]]:
    """The units the user may see as nested dicts: id, code, name, level, level_name, bbox, cameras, children."""
    fields = ("pk", "path", "code", "name", "level", "west", "south", "east", "north")
    units: Any = list(units_of(user, *roles).values_list(*fields, named=True))
    counts, names = camera_counts(units), level_names()
    nodes: dict[str, dict[str, Any]] = {}
    roots: list[dict[str, Any]] = []
    for unit in units:
        node = nodes[unit.path] = {**unit_summary(unit, names), "cameras": counts[unit.pk], "children": []}
        above = nodes.get(unit.path[: -Unit.steplen])
        (above["children"] if above else roots).append(node)
    return roots


def level_names() -> dict[int, str]:
    """What the levels are called in the reader's language."""
    return {level.value: str(level.label) for level in Level}


def unit_summary(unit: Unit, names: Mapping[int, str] | None = None) -> dict[str, Any]:
    """id, code, name, level (1..5), level_name and bbox [west, south, east, north] or None.

    Of many units the names of the levels are looked up once, by `level_names`.
    """
    return {
        "id": unit.pk, "code": unit.code, "name": unit.name, "level": unit.level,
        "level_name": (names or level_names())[unit.level], "bbox": bbox_of(unit),
    }  # fmt: skip


def bbox_of(row: Unit | Road | Landmark) -> list[float | None] | None:
    """[west, south, east, north], or None where there is no area."""
    return None if row.west is None else [row.west, row.south, row.east, row.north]


def unit_feature_collection(units: Iterable[Unit]) -> dict[str, Any]:
    """The areas of the units as an RFC 7946 FeatureCollection; a unit without an area has a null geometry."""
    units = list(units)
    counts = camera_counts(units)
    parents = dict(
        Unit.objects.filter(path__in={unit.path[: -Unit.steplen] for unit in units}).values_list("path", "pk")
    )
    return _collection(
        _feature(
            unit.pk, unit.polygon, bbox_of(unit),
            {**unit_summary(unit), "cameras": counts[unit.pk], "parent": parents.get(unit.path[: -Unit.steplen])},
        )
        for unit in units
    )  # fmt: skip


def cameras_geojson(cameras: QuerySet[Camera]) -> bytes:
    """The cameras as a FeatureCollection of points, with heading, field of view and view radius for the cone.

    As text: of 20,000 cameras the objects in between would take most of the time.
    """
    rows = cameras.order_by("code").values_list("longitude", "latitude", *_CAMERA_FIELDS.values())
    features = ",".join(
        _CAMERA_FEATURE % (row[2], row[0], row[1], json.dumps(dict(zip(_CAMERA_FIELDS, row[2:], strict=True))))
        for row in rows.iterator(chunk_size=2000)
    )
    return f'{{"type":"FeatureCollection","features":[{features}]}}'.encode()


_CAMERA_FIELDS = {
    "id": "id", "code": "code", "name": "name", "unit": "unit_id", "unit_name": "unit__name", "status": "status",
    "heading": "heading", "field_of_view": "field_of_view", "view_radius_m": "view_radius_m",
}  # fmt: skip
_CAMERA_FEATURE = '{"type":"Feature","id":%d,"geometry":{"type":"Point","coordinates":[%.7f,%.7f]},"properties":%s}'


def basemap(bbox: Sequence[float] | None = None) -> dict[str, Any]:
    """Landmarks (areas) below roads (lines) as one FeatureCollection, within a box of degrees or all of it."""
    inside = _touching(bbox) if bbox else Q()
    areas = (
        _feature(None, row.polygon, None, {"layer": "landmark", "kind": row.kind, "name": row.name})
        for row in Landmark.objects.filter(inside).order_by("id")
    )
    lines = (
        _feature(
            None, {"type": "LineString", "coordinates": row.line}, None,
            {"layer": "road", "kind": row.kind, "name": row.name},
        )
        for row in Road.objects.filter(inside).order_by("id")
    )  # fmt: skip
    return _collection([*areas, *lines])


def roads_in(bbox: Sequence[float], most: int) -> list[list[Point]]:
    """The lines of the roads that touch a box of degrees, the longest `most` of them, longest first."""
    roads = Road.objects.filter(_touching(bbox)).order_by("-length_m", "id")
    return list(roads.values_list("line", flat=True)[:most])


def check_bbox(text: str) -> list[float]:
    """'west,south,east,north' as four floats; ServiceError where it is anything else."""
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        west = south = east = north = math.nan
    if not (west <= east and south <= north):
        message = _("A box is west,south,east,north in degrees, not %(text)s.") % {"text": text[:60]}
        raise ServiceError(message, {"bbox": message})
    return [west, south, east, north]


def _touching(bbox: Sequence[float]) -> Q:
    west, south, east, north = bbox
    return Q(west__lte=east, east__gte=west, south__lte=north, north__gte=south)


def _feature(pk: int | None, geometry: object, bbox: object, properties: Mapping[str, Any]) -> dict[str, Any]:
    feature: dict[str, Any] = {"type": "Feature", "geometry": geometry, "properties": dict(properties)}
    if pk is not None:
        feature["id"] = pk
    if bbox is not None:
        feature["bbox"] = bbox
    return feature


def _collection(features: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


# Sensor conditions: which hours of a unit's gallery to search.


def check_conditions(conditions: object) -> list[dict[str, Any]]:
    """The conditions as [{kind, op, value}]; raises BadCondition and says which one is wrong and how."""
    if not isinstance(conditions, list):
        raise BadCondition(_("Sensor conditions are a list of objects with kind, op and value."))
    return [_checked_condition(condition) for condition in conditions]


def _checked_condition(condition: object) -> dict[str, Any]:
    if not isinstance(condition, Mapping) or condition.get("kind") not in SensorKind.values:
        kinds = ", ".join(SensorKind.values)
        raise BadCondition(_("A sensor condition needs a kind out of %(kinds)s.") % {"kinds": kinds})
    if condition.get("op") not in OPERATORS:
        raise BadCondition(_("A sensor condition needs an op out of %(ops)s.") % {"ops": " ".join(OPERATORS)})
    try:
        value = float(condition.get("value", ""))
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise BadCondition(_("A sensor condition needs a number as its value."))
    return {"kind": condition["kind"], "op": condition["op"], "value": value}


def windows_of(
    unit: Unit, conditions: Sequence[Mapping[str, Any]], period: tuple[datetime | None, datetime | None] | None
) -> list[Window] | None:
    """The times in which every condition holds, as sorted [(start, end)] in epoch seconds; None means any time.

    Readings are the unit's own, else those of the nearest unit above that has the kind, else those of all units
    below (then a time counts when any of them fits). A reading holds until the next one, at most an hour.
    """
    checked = check_conditions(list(conditions))
    start, end = period or (None, None)
    if not checked and start is None and end is None:
        return None
    windows: list[Window] = [(_epoch(start, -math.inf), _epoch(end, math.inf))]
    for condition in checked:
        windows = _common(windows, _windows_of_condition(unit, condition, windows[0][0], windows[-1][1]))
        if not windows:
            return []
    return windows


def _epoch(moment: datetime | None, default: float) -> float:
    return default if moment is None else moment.timestamp()


def _windows_of_condition(unit: Unit, condition: Mapping[str, Any], start: float, end: float) -> list[Window]:
    fits, limit = OPERATORS[condition["op"]], condition["value"]
    windows: list[Window] = []
    for series in _series_between(readings_for(unit, condition["kind"]), start, end):
        for (time, value), following in zip(series, [*(row[0] for row in series[1:]), math.inf], strict=True):
            if fits(value, limit):
                windows.append((time, min(following, time + READING_HOLDS_S)))
    return _merged(windows)


def readings_for(unit: Unit, kind: str) -> QuerySet[SensorReading]:
    """The readings of a kind that speak for a unit: its own, the nearest above's, or all below; else BadCondition."""
    source = source_of(unit, kind)
    readings = SensorReading.objects.filter(kind=kind)
    if source is not None:
        return readings.filter(unit=source)
    under = readings.filter(below([unit.path], "unit__path"))
    if not under.exists():
        raise BadCondition(
            _("Nobody measures %(kind)s in %(unit)s or around it. Leave this condition out.")
            % {"kind": SensorKind(kind).label, "unit": unit.name}
        )
    return under


def source_of(unit: Unit, kind: str) -> Unit | None:
    """The unit itself or the nearest one above that has readings of the kind."""
    paths = [*ancestor_paths(unit.path), unit.path]
    found = Unit.objects.filter(path__in=paths, readings__kind=kind).distinct().order_by("-path")
    return found.defer("polygon").first()


def _series_between(readings: QuerySet[SensorReading], start: float, end: float) -> list[list[tuple[float, float]]]:
    """One time-ordered [(epoch seconds, value)] per unit, with the reading that already held at the start."""
    if math.isfinite(start):
        readings = readings.filter(time__gte=_moment(start - READING_HOLDS_S))
    if math.isfinite(end):
        readings = readings.filter(time__lte=_moment(end))
    series: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for unit_id, time, value in readings.order_by("time").values_list("unit_id", "time", "value"):
        series[unit_id].append((time.timestamp(), value))
    return list(series.values())


def _moment(seconds: float) -> datetime:
    """The moment, or the first or last one that a datetime can hold."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError):
        return (datetime.min if seconds < 0 else datetime.max).replace(tzinfo=UTC)


def _merged(windows: Iterable[Window]) -> list[Window]:
    """Sorted windows without overlaps or shared borders."""
    merged: list[Window] = []
    for start, end in sorted(windows):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _common(first: Sequence[Window], second: Sequence[Window]) -> list[Window]:
    """The times that lie in both; both sorted and without overlaps."""
    common, i, j = [], 0, 0
    while i < len(first) and j < len(second):
        start, end = max(first[i][0], second[j][0]), min(first[i][1], second[j][1])
        if start < end:
            common.append((start, end))
        if first[i][1] < second[j][1]:
            i += 1
        else:
            j += 1
    return common


# What the page shows beside a unit.


def unit_details(units: Iterable[Unit]) -> list[dict[str, Any]]:
    """Each unit with its parent's id, name path, ancestors and number of cameras; three queries however many units."""
    units = list(units)
    counts = camera_counts(units)
    wanted = {path for unit in units for path in ancestor_paths(unit.path)}
    above = {row.path: row for row in Unit.objects.filter(path__in=wanted).defer("polygon")} if wanted else {}
    return [_detail(unit, [above[path] for path in ancestor_paths(unit.path)], counts[unit.pk]) for unit in units]


def _detail(unit: Unit, above: Sequence[Unit], cameras: int) -> dict[str, Any]:
    return {
        **unit_summary(unit), "free_code": unit.free_code, "retention_days": unit.retention_days,
        "parent": above[-1].pk if above else None, "path": " / ".join(row.name for row in [*above, unit]),
        "ancestors": [unit_summary(row) for row in above], "cameras": cameras,
    }  # fmt: skip


def unit_context(unit: Unit) -> dict[str, Any]:
    """Government data and sensor series of a unit, with where each comes from, for the page and the API."""
    return {
        "unit": unit_details([unit])[0],
        "children": [unit_summary(row) for row in children(unit).defer("polygon")],
        "cameras": _camera_states(unit),
        "indicators": _indicators(unit),
        "series": [series for kind in SensorKind.values if (series := sensor_series(unit, kind))],
    }


def _camera_states(unit: Unit) -> dict[str, int]:
    rows = cameras_under(unit).order_by().values("status").annotate(count=Count("id"))
    counts = dict.fromkeys(CameraStatus.values, 0) | {row["status"]: row["count"] for row in rows}
    return {"total": sum(counts.values()), **counts}


def _indicators(unit: Unit) -> list[dict[str, Any]]:
    fields = ("id", "indicator", "value", "unit_of_measure", "year", "source")
    return list(Indicator.objects.filter(unit=unit).order_by("indicator", "-year").values(*fields))


def sensor_series(unit: Unit, kind: str) -> dict[str, Any] | None:
    """The latest readings of a kind: kind, label, points [(time, value)], unit and unit_name of who measured.

    `mean` is True where they are the mean of the units below. None where nobody measures.
    """
    source = source_of(unit, kind)
    of_source = Q(unit=source) if source else below([unit.path], "unit__path")
    points = _latest_points(SensorReading.objects.filter(of_source, kind=kind))
    measured_by = source or unit
    return {
        "kind": kind, "label": str(SensorKind(kind).label), "unit": measured_by.pk, "unit_name": measured_by.name,
        "mean": source is None, "points": points,
    } if points else None  # fmt: skip


def _latest_points(readings: QuerySet[SensorReading]) -> list[tuple[datetime, float]]:
    """[(time, value)], oldest first: the last 400 times of the last week, the mean where several units measured."""
    newest = readings.order_by("-time").values_list("time", flat=True).first()
    if newest is None:
        return []
    values: dict[datetime, list[float]] = defaultdict(list)
    recent = readings.filter(time__gt=newest - timedelta(days=7)).order_by("time")
    for time, value in recent.values_list("time", "value"):
        values[time].append(value)
    return [(time, sum(at) / len(at)) for time, at in values.items()][-SERIES_POINTS:]
