"""Importing units and cameras from files: bad lines are reported, the rest goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from citysearch.errors import ServiceError
from units import files, tree
from units.checks import CAMERA_FIELDS, camera_from
from units.codes import significant_prefix
from units.geo import SIDES, GridIndex, no_grid
from units.models import Camera, Level, Unit


@dataclass
class ImportReport:
    """What an import did, or (dry_run) would do. `errors` holds (line, name, message) of what was refused."""

    dry_run: bool = False
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    errors: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.added + self.changed + self.unchanged + len(self.errors)

    def refuse(self, line: int, name: object, error: object) -> None:
        """Note that a line was not taken, and why."""
        self.errors.append((line, str(name), str(error)))

    def as_dict(self) -> dict[str, Any]:
        """For JSON: `lines` says what was refused: line, name and message."""
        lines = [{"line": line, "name": name, "message": message} for line, name, message in sorted(self.errors)]
        return {
            "dry_run": self.dry_run, "total": self.total, "added": self.added, "changed": self.changed,
            "unchanged": self.unchanged, "refused": len(lines), "lines": lines,
        }  # fmt: skip


@transaction.atomic
def units_import(
    file: IO[bytes], layout: str, dry_run: bool = False, within: QuerySet[Unit] | None = None
) -> ImportReport:
    """Import units from a GeoJSON FeatureCollection (`geojson`) or a table (`csv`); see docs of import_units.

    A unit whose code is known is changed, another one added. `within` are the units the caller administers: what lies
    outside is refused line by line. The unit above is named by `parent`, or found by the code.
    """
    report = ImportReport(dry_run)
    rows = sorted(_taken(files.unit_rows(file, layout), report), key=lambda row: row.values["level"])
    _UnitImport(report, within).run(rows)
    return report


@transaction.atomic
def cameras_import(file: IO[bytes], dry_run: bool = False, within: QuerySet[Unit] | None = None) -> ImportReport:
    """Import cameras from a CSV with a header; a known code is changed, another added; see docs of import_cameras."""
    report = ImportReport(dry_run)
    _CameraImport(report, within).run(list(_taken(files.camera_rows(file), report)))
    return report


def _taken(rows: Iterable[files.Row], report: ImportReport) -> Iterator[files.Row]:
    """The rows that could be read, each code once; the others go to the report."""
    seen: dict[str, int] = {}
    for row in rows:
        code = row.values.get("code", "")
        if row.error:
            report.refuse(row.line, code, row.error)
        elif code in seen:
            report.refuse(row.line, code, _("The code is already in line %(line)d.") % {"line": seen[code]})
        else:
            seen[code] = row.line
            yield row


class _UnitImport:
    """Checks rows against units that exist and rows taken before, then writes the new ones in bulk."""

    def __init__(self, report: ImportReport, within: QuerySet[Unit] | None) -> None:
        self.report = report
        self.units: dict[str, Unit] = {}
        self.by_prefix: dict[tuple[int, str], Unit] = {}
        for unit in Unit.objects.all():
            self._know(unit)
        self.within = None if within is None else set(within.values_list("code", flat=True))
        self.new: dict[str, dict[str, Any]] = {}

    def run(self, rows: Sequence[files.Row]) -> None:
        for row in rows:
            try:
                self._take(row)
            except ServiceError as error:
                self.report.refuse(row.line, row.values["code"], error.message)
        if not self.report.dry_run:
            tree.units_add_bulk(list(self.new.values()))
        self.report.added = len(self.new)

    def _take(self, row: files.Row) -> None:
        known = self.units.get(row.values["code"])
        if known is not None and known.pk:
            self._change(known, row.values)
        else:
            self._add(row.values)

    def _add(self, given: Mapping[str, Any]) -> None:
        parent = self._parent(given)
        values = {"free_code": False, "polygon": None, **given}
        values.pop("parent", None)
        unit = tree.unit_from(values, parent)
        self._know(unit)
        if self.within is not None:
            self.within.add(unit.code)
        parent_key = parent.code if parent else None
        self.new[unit.code] = {**values, "polygon": unit.polygon, "key": unit.code, "parent_key": parent_key}

    def _change(self, unit: Unit, values: Mapping[str, Any]) -> None:
        self._refuse_outside(unit)
        if values["level"] != unit.level:
            raise tree.BadTree(_("The unit exists and is a %(level)s.") % {"level": Level(unit.level).label})
        before = (unit.name, unit.polygon)
        unit.name = values["name"]
        if values.get("polygon"):
            tree.polygon_set(unit, values["polygon"])
        if before == (unit.name, unit.polygon):
            self.report.unchanged += 1
            return
        self.report.changed += 1
        if not self.report.dry_run:
            unit.save(update_fields=["name", "polygon", *SIDES])

    def _parent(self, values: Mapping[str, Any]) -> Unit | None:
        if values["level"] == Level.CITY:
            if self.within is not None:
                raise tree.BadTree(_("Only a superuser adds a city."))
            return None
        parent = self.units.get(values["parent"]) if values.get("parent") else self._parent_by_code(values)
        if parent is None:
            named = values.get("parent") or _("a unit whose code is the beginning of this one")
            raise tree.BadTree(_("The unit above is not there: %(parent)s.") % {"parent": named})
        self._refuse_outside(parent)
        return parent

    def _parent_by_code(self, values: Mapping[str, Any]) -> Unit | None:
        """The unit one level above whose significant prefix is the longest beginning of the code."""
        code, level = values["code"], values["level"] - 1
        starts = (code[:length] for length in range(len(code), 1, -1))
        return next((self.by_prefix[level, start] for start in starts if (level, start) in self.by_prefix), None)

    def _know(self, unit: Unit) -> None:
        self.units[unit.code] = unit
        if not unit.free_code:
            self.by_prefix[unit.level, significant_prefix(unit.level, unit.code)] = unit

    def _refuse_outside(self, unit: Unit) -> None:
        if self.within is not None and unit.code not in self.within:
            raise tree.BadTree(_("The unit above is not there: %(parent)s.") % {"parent": unit.code})


class _CameraImport:
    """Checks rows one by one, places them by one STRtree, then writes new ones in bulk and changed ones each."""

    def __init__(self, report: ImportReport, within: QuerySet[Unit] | None) -> None:
        self.report = report
        self.grids = GridIndex()
        self.within = None if within is None else set(within.values_list("pk", flat=True))
        self.known = {camera.code: camera for camera in Camera.objects.all()}

    def run(self, rows: Sequence[files.Row]) -> None:
        new = [camera for row in rows if (camera := self._take(row)) is not None]
        if not self.report.dry_run:
            Camera.objects.bulk_create(new, batch_size=500)
        self.report.added = len(new)

    def _take(self, row: files.Row) -> Camera | None:
        try:
            known = self.known.get(row.values["code"])
            camera = self._placed(row.values)
            if known is None:
                return camera
            self._change(known, camera, row.values)
        except ServiceError as error:
            self.report.refuse(row.line, row.values["code"], error.message)
        return None

    def _placed(self, values: Mapping[str, Any]) -> Camera:
        camera = camera_from(values)
        place = (camera.longitude, camera.latitude)
        grid = self.grids.at([place])[0]
        if grid is None or (self.within is not None and grid.pk not in self.within):
            raise no_grid(*place)
        camera.unit = grid
        return camera

    def _change(self, known: Camera, camera: Camera, values: Mapping[str, Any]) -> None:
        if self.within is not None and known.unit_id not in self.within:
            raise ServiceError(_("The code %(code)s is taken.") % {"code": known.code})
        names = [name for name in (*CAMERA_FIELDS, "longitude", "latitude") if name in values]
        if all(getattr(known, name) == getattr(camera, name) for name in names):
            self.report.unchanged += 1
            return
        for name in (*names, "unit"):
            setattr(known, name, getattr(camera, name))
        self.report.changed += 1
        if not self.report.dry_run:
            known.save()
