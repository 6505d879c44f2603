"""Every write to units, cameras and their data. Rules are checked here, so page, API, admin and import share them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import ProtectedError, QuerySet
from django.utils.translation import gettext_lazy as _

from citysearch.changes import change_tell, differences
from citysearch.errors import Conflict, ServiceError
from units import tree
from units.checks import CAMERA_FIELDS, camera_from, rounded
from units.geo import SIDES, BadPlace, GridIndex, bounding_box, cells, check_place, check_polygon, grid_at, no_grid
from units.imports import ImportReport, cameras_import, units_import
from units.models import (
    Camera,
    CoordinateSystem,
    Indicator,
    Landmark,
    Level,
    Membership,
    Road,
    Role,
    SensorKind,
    SensorReading,
    Unit,
)
from units.projection import haversine
from units.queries import cameras_under
from units.tree import parent_of

UNIT_FIELDS = ("name", "code", "free_code", "retention_days")
AREA_FIELDS = ("polygon", *SIDES)

# Units


@transaction.atomic
def unit_create(parent: Unit | None, **fields: Any) -> Unit:
    """Add a unit below `parent` (None: a city). Raises BadTree, BadCode, BadPolygon or ServiceError."""
    unit = tree.unit_add(parent, **fields)
    change_tell("unit", "add", unit=unit.code, name=unit.name, retention_days=unit.retention_days)
    return unit


@transaction.atomic
def unit_update(unit: Unit, **fields: Any) -> Unit:
    """Change name, code, free_code, polygon, retention_days or parent; every rule holds afterwards, below as well."""
    parent = fields.pop("parent", None) or parent_of(unit)
    before, code = {name: getattr(unit, name) for name in UNIT_FIELDS}, unit.code
    for name in UNIT_FIELDS:
        setattr(unit, name, fields.get(name, getattr(unit, name)))
    _refuse_taken(Unit, unit)
    area_changed = "polygon" in fields and fields["polygon"] != unit.polygon
    if area_changed:
        tree.polygon_set(unit, fields["polygon"])
    tree.check_unit(unit, parent)
    # Never the tree's own columns: somebody may have moved the unit since it was read.
    unit.save(update_fields=[*UNIT_FIELDS, *AREA_FIELDS])
    _check_children_fit(unit)
    changes = differences(before, {name: getattr(unit, name) for name in UNIT_FIELDS})
    if area_changed and unit.level == Level.GRID:
        cameras_replace(cameras_under(unit))
    if changes or area_changed:
        change_tell("unit", "change", unit=code, changes=changes, area=area_changed)
    if parent is not None and not unit.is_child_of(parent):
        unit_move(unit, parent)
    return unit


@transaction.atomic
def unit_move(unit: Unit, parent: Unit | None, before: Unit | None = None) -> Unit:
    """Move a unit with all below it; see tree.unit_move."""
    moved = tree.unit_move(unit, parent, before)
    change_tell("unit", "move", unit=moved.code, below=parent and parent.code, before=before and before.code)
    return moved


@transaction.atomic
def unit_delete(unit: Unit) -> int:
    """Delete a unit and all below it; returns how many. Conflict while cameras or searches still hang on them."""
    cameras = cameras_under(unit).count()
    if cameras:
        values = {"unit": unit, "count": cameras}
        raise Conflict(_("%(unit)s still holds %(count)d cameras. Move or delete them first.") % values)
    count = tree.subtree(unit).count()
    try:
        tree.subtree(unit).delete()
    except ProtectedError as error:
        kinds = sorted({str(row._meta.verbose_name_plural) for row in error.protected_objects})
        values = {"unit": unit, "kinds": ", ".join(kinds)}
        raise Conflict(_("%(unit)s is still used by: %(kinds)s.") % values) from error
    change_tell("unit", "delete", unit=unit.code, name=unit.name, count=count)
    return count


def _check_children_fit(unit: Unit) -> None:
    for child in tree.children(unit).defer("polygon"):
        tree.check_unit(child, unit)


def _refuse_taken(model: type[Unit] | type[Camera], row: Unit | Camera) -> None:
    if model._default_manager.filter(code=row.code).exclude(pk=row.pk).exists():
        message = _("The code %(code)s is taken.") % {"code": row.code}
        raise ServiceError(message, {"code": message})


@transaction.atomic
def grid_generate(region: Unit, cell_m: float, dry_run: bool = False) -> list[Unit]:
    """Lay a grid over a region: cells of `cell_m` metres clipped to its area, codes that continue the region's.

    Units that are only planned (dry_run) are not saved and have no id.
    """
    if region.level != Level.REGION or not region.polygon:
        raise ServiceError(_("A grid is laid over a region that has an area; %(unit)s is not one.") % {"unit": region})
    if tree.children(region).exists():
        raise Conflict(_("%(region)s already has grids. Delete them first.") % {"region": region})
    rows = list(_cell_rows(region, cells(region.polygon, cell_m)))
    if dry_run:
        return [Unit(**{key: row[key] for key in ("name", "level", "code", "polygon", "free_code")}) for row in rows]
    change_tell("unit", "lay a grid", unit=region.code, cell_m=cell_m, count=len(rows))
    return list(tree.units_add_bulk(rows).values())


def _cell_rows(region: Unit, areas: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    digits = 2 if len(areas) < 100 else 3
    if not region.free_code and len(areas) > 999:
        raise ServiceError(
            _("%(count)d cells are more than the 999 codes below a region. Choose larger cells.")
            % {"count": len(areas)}
        )
    for number, area in enumerate(areas, start=1):
        code = f"{region.code}{'-' if region.free_code else ''}{number:0{digits}d}"
        yield {
            "key": code, "parent_key": region.code, "code": code, "free_code": region.free_code,
            "level": int(Level.GRID), "name": f"{region.name} {number:0{digits}d}", "polygon": area,
        }  # fmt: skip


# Cameras


@transaction.atomic
def camera_create(within: QuerySet[Unit] | None = None, **fields: Any) -> Camera:
    """Add a camera; its grid (among `within`) is computed from its place. Raises BadCode, BadPlace or ServiceError."""
    camera = camera_from(fields)
    _refuse_taken(Camera, camera)
    camera.unit = _grid_or_refuse(camera, within)
    camera.save()
    change_tell("camera", "add", camera=camera.code, unit=camera.unit.code)
    return camera


@transaction.atomic
def camera_update(camera: Camera, within: QuerySet[Unit] | None = None, **fields: Any) -> Camera:
    """Change a camera. A new place is read in `coordinate_system`; an unchanged one is not converted twice."""
    before, code = _camera_facts(camera), camera.code
    given = {name: fields.get(name, getattr(camera, name)) for name in (*CAMERA_FIELDS, "longitude", "latitude")}
    keep_place = _same_place(camera, given)
    changed = camera_from({**given, "coordinate_system": CoordinateSystem.WGS84} if keep_place else given)
    for name in (*CAMERA_FIELDS, "longitude", "latitude"):
        setattr(camera, name, getattr(changed, name))
    camera.coordinate_system = given["coordinate_system"]
    _refuse_taken(Camera, camera)
    camera.unit = _grid_or_refuse(camera, within)
    camera.save()
    if changes := differences(before, _camera_facts(camera)):
        change_tell("camera", "change", camera=code, changes=changes)
    return camera


def _camera_facts(camera: Camera) -> dict[str, Any]:
    return {name: getattr(camera, name) for name in (*CAMERA_FIELDS, "longitude", "latitude")}


@transaction.atomic
def camera_delete(camera: Camera) -> None:
    """Delete a camera. Conflict while pictures hang on it: their files and features are erased by the gallery first."""
    for relation in camera._meta.related_objects:
        count = relation.related_model._default_manager.filter(**{relation.field.name: camera}).count()
        if count:
            values = {"camera": camera, "count": count, "kind": relation.related_model._meta.verbose_name_plural}
            raise Conflict(_("%(camera)s still holds %(count)d %(kind)s. Erase them first.") % values)
    camera.delete()
    change_tell("camera", "delete", camera=camera.code, unit=camera.unit.code)


@transaction.atomic
def cameras_add_bulk(rows: Iterable[Mapping[str, Any]]) -> list[Camera]:
    """Add many cameras at once, placed by one STRtree over the grids. All or none; the first bad row is named."""
    cameras = [camera_from(row) for row in rows]
    found = GridIndex().at([(camera.longitude, camera.latitude) for camera in cameras])
    for camera, grid in zip(cameras, found, strict=True):
        if grid is None:
            raise no_grid(camera.longitude, camera.latitude)
        camera.unit = grid
    added = Camera.objects.bulk_create(cameras, batch_size=500)
    change_tell("camera", "add many", count=len(added))
    return added


def cameras_replace(cameras: QuerySet[Camera]) -> int:
    """Compute the grid of cameras anew after areas changed; returns how many moved. BadPlace if one lost it."""
    moved = []
    for camera in cameras.select_related("unit"):
        grid = _grid_or_refuse(camera)
        if grid.pk != camera.unit_id:
            camera.unit = grid
            moved.append(camera)
    return Camera.objects.bulk_update(moved, ["unit"]) if moved else 0


def _same_place(camera: Camera, given: Mapping[str, Any]) -> bool:
    place = check_place(given["longitude"], given["latitude"])
    unchanged = rounded(place) == rounded((camera.longitude, camera.latitude))
    return unchanged and given["coordinate_system"] in (camera.coordinate_system, CoordinateSystem.WGS84)


def _grid_or_refuse(camera: Camera, within: QuerySet[Unit] | None = None) -> Unit:
    grid = grid_at(camera.longitude, camera.latitude, within)
    if grid is None:
        raise no_grid(camera.longitude, camera.latitude)
    return grid


# The base map


@transaction.atomic
def roads_replace(rows: Iterable[Mapping[str, Any]]) -> int:
    """Replace the street graph. A row holds line ([[lon, lat], ...]) and may hold name, kind; lengths are computed."""
    roads = [_road(row) for row in rows]
    Road.objects.all().delete()
    return len(Road.objects.bulk_create(roads, batch_size=500))


def _road(row: Mapping[str, Any]) -> Road:
    line = [check_place(*point) for point in row["line"]]
    if len(line) < 2:
        raise ServiceError(_("A road needs at least two points."))
    lons, lats = [point[0] for point in line], [point[1] for point in line]
    return Road(
        name=row.get("name", ""), kind=row.get("kind", "street"), line=[list(point) for point in line],
        length_m=sum(haversine(a, b) for a, b in zip(line, line[1:], strict=False)),
        west=min(lons), south=min(lats), east=max(lons), north=max(lats),
    )  # fmt: skip


@transaction.atomic
def landmarks_replace(rows: Iterable[Mapping[str, Any]]) -> int:
    """Replace the landmarks. A row holds kind, polygon and may hold name."""
    landmarks = [
        Landmark(name=row.get("name", ""), kind=row["kind"], polygon=area, **bounding_box(area))
        for row in rows
        for area in [check_polygon(row["polygon"])]
    ]
    Landmark.objects.all().delete()
    return len(Landmark.objects.bulk_create(landmarks, batch_size=500))


# Data of a unit


def readings_add_bulk(rows: Iterable[Mapping[str, Any]]) -> int:
    """Add sensor readings (unit, kind, value, time); one that is there already takes the new value."""
    readings = [SensorReading(**row) for row in rows]
    for reading in readings:
        _check_finite(reading)
        if reading.kind not in SensorKind.values:
            message = _("%(kind)s is no kind of sensor.") % {"kind": reading.kind}
            raise ServiceError(message, {"kind": message})
    return _upsert(SensorReading, readings, ["unit", "kind", "time"], ["value"])


def indicators_add_bulk(rows: Iterable[Mapping[str, Any]]) -> int:
    """Add government data (unit, indicator, value, unit_of_measure, year, source); one per year, the last counts."""
    indicators = [Indicator(**row) for row in rows]
    for indicator in indicators:
        _check_finite(indicator)
    return _upsert(Indicator, indicators, ["unit", "indicator", "year"], ["value", "unit_of_measure", "source"])


def _check_finite(row: SensorReading | Indicator) -> None:
    if not math.isfinite(row.value):
        message = _("The value must be a number, not %(value)s.") % {"value": row.value}
        raise ServiceError(message, {"value": message})


def _upsert(model: Any, rows: Sequence[Any], unique: list[str], updated: list[str]) -> int:
    # The last of two rows with one key counts: PostgreSQL refuses to touch a row twice in one statement.
    latest = {tuple(getattr(row, f"{name}_id" if name == "unit" else name) for name in unique): row for row in rows}
    model.objects.bulk_create(
        latest.values(), batch_size=500, update_conflicts=True, unique_fields=unique, update_fields=updated
    )
    return len(latest)


@transaction.atomic
def membership_add(
    user: AbstractBaseUser, role: str, unit: Unit, granted_by: AbstractBaseUser | None = None
) -> Membership:
    """Give a user a role in a unit and everything below. Nobody but a superuser grants himself one."""
    if role not in Role.values:
        raise ServiceError(_("%(role)s is no role.") % {"role": role}, {"role": _("Choose one of the roles.")})
    if granted_by is not None and granted_by.pk == user.pk and not getattr(granted_by, "is_superuser", False):
        raise ServiceError(_("You cannot grant yourself a role."), {"user": _("You cannot grant yourself a role.")})
    membership, created = Membership.objects.get_or_create(user_id=user.pk, role=role, unit=unit)
    if created:
        change_tell("membership", "give", person=user.get_username(), role=role, unit=unit.code)
    return membership


@transaction.atomic
def membership_remove(membership: Membership) -> None:
    """Take a role back."""
    membership.delete()
    facts = {"person": membership.user.get_username(), "role": membership.role, "unit": membership.unit.code}
    change_tell("membership", "take back", **facts)


__all__ = [
    "BadPlace", "ImportReport", "camera_create", "camera_delete", "camera_update", "cameras_add_bulk",
    "cameras_import", "cameras_replace", "grid_generate", "indicators_add_bulk", "landmarks_replace", "membership_add",
    "membership_remove", "readings_add_bulk", "roads_replace", "unit_create", "unit_delete", "unit_move", "unit_update",
    "units_import",
]  # fmt: skip
