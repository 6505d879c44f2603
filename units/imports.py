"""Importing units and cameras from files: bad lines are reported, the rest goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Literal, NamedTuple

from django.db import models, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from citysearch.changes import change_tell
from citysearch.errors import ServiceError
from units import files, tree
from units.checks import CAMERA_FIELDS, camera_from
from units.codes import significant_prefix
from units.geo import SIDES, GridIndex, no_grid
from units.models import Camera, Level, Unit

CODES_TOLD = 100

Fate = Literal["refused", "changed", "added", "unchanged"]


class Change(NamedTuple):
    """A field of a known row that an import gives another value; areas are too long to be told."""

    field: str
    before: str
    after: str


@dataclass(frozen=True)
class Line:
    """What becomes of one line of a file. `geometry` is GeoJSON where the line has a place that could be read."""

    line: int
    code: str
    fate: Fate
    name: str = ""
    where: str = ""
    message: str = ""
    changes: tuple[Change, ...] = ()
    geometry: dict[str, Any] | None = None


@dataclass
class ImportReport:
    """What an import did, or (dry_run) would do, line by line."""

    dry_run: bool = False
    rows: list[Line] = field(default_factory=list)

    def note(self, row: files.Row, fate: Fate, **facts: Any) -> None:
        """Note what becomes of a row: facts are the other fields of a Line."""
        values = {"name": row.values.get("name", ""), **facts}
        self.rows.append(Line(row.line, str(row.values.get("code", "")), fate, **values))

    def refuse(self, row: files.Row, error: object, geometry: dict[str, Any] | None = None) -> None:
        """Note that a row was not taken, and why."""
        self.note(row, "refused", message=str(error), geometry=geometry)

    def count(self, fate: Fate) -> int:
        return sum(line.fate == fate for line in self.rows)

    @property
    def added(self) -> int:
        return self.count("added")

    @property
    def changed(self) -> int:
        return self.count("changed")

    @property
    def unchanged(self) -> int:
        return self.count("unchanged")

    @property
    def errors(self) -> list[tuple[int, str, str]]:
        """(line, code, message) of what was refused, by line."""
        return sorted((line.line, line.code, line.message) for line in self.rows if line.fate == "refused")

    @property
    def total(self) -> int:
        return len(self.rows)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: `lines` says what was refused: line, name and message."""
        lines = [{"line": line, "name": code, "message": message} for line, code, message in self.errors]
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
    _tell("unit", report)
    return report


@transaction.atomic
def cameras_import(file: IO[bytes], dry_run: bool = False, within: QuerySet[Unit] | None = None) -> ImportReport:
    """Import cameras from a CSV with a header; a known code is changed, another added; see docs of import_cameras."""
    report = ImportReport(dry_run)
    _CameraImport(report, within).run(list(_taken(files.camera_rows(file), report)))
    _tell("camera", report)
    return report


def _tell(subject: str, report: ImportReport) -> None:
    """One line for all of a file, which names the first codes."""
    codes = [line.code for line in report.rows if line.fate in ("added", "changed")]
    if codes and not report.dry_run:
        counts = {"added": report.added, "changed": report.changed, "refused": report.count("refused")}
        change_tell(subject, "import", codes=codes[:CODES_TOLD], **counts)


def _taken(rows: Iterable[files.Row], report: ImportReport) -> Iterator[files.Row]:
    """The rows that could be read, each code once; the others go to the report."""
    seen: dict[str, int] = {}
    for row in rows:
        code = row.values.get("code", "")
        if row.error:
            report.refuse(row, row.error)
        elif code in seen:
            report.refuse(row, _("The code is already in line %(line)d.") % {"line": seen[code]})
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
                self.report.refuse(row, error.message)
        if not self.report.dry_run:
            tree.units_add_bulk(list(self.new.values()))

    def _take(self, row: files.Row) -> None:
        known = self.units.get(row.values["code"])
        if known is not None and known.pk:
            self._change(known, row)
        else:
            self._add(row)

    def _add(self, row: files.Row) -> None:
        given = row.values
        parent = self._parent(given)
        values = {"free_code": False, "polygon": None, **given}
        values.pop("parent", None)
        unit = tree.unit_from(values, parent)
        self._know(unit)
        if self.within is not None:
            self.within.add(unit.code)
        parent_key = parent.code if parent else None
        self.new[unit.code] = {**values, "polygon": unit.polygon, "key": unit.code, "parent_key": parent_key}
        self.report.note(row, "added", where=parent.name if parent else "", geometry=unit.polygon)

    def _change(self, unit: Unit, row: files.Row) -> None:
        values = row.values
        self._refuse_outside(unit)
        if values["level"] != unit.level:
            raise tree.BadTree(_("The unit exists and is a %(level)s.") % {"level": Level(unit.level).label})
        before = (unit.name, unit.polygon)
        unit.name = values["name"]
        if values.get("polygon"):
            tree.polygon_set(unit, values["polygon"])
        if before == (unit.name, unit.polygon):
            self.report.note(row, "unchanged", geometry=unit.polygon)
            return
        changes = _changes(unit, {"name": before[0], "polygon": before[1]})
        self.report.note(row, "changed", changes=changes, geometry=unit.polygon)
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

    def _take(self, row: files.Row) -> Camera | None:
        """The camera of a row, when it is a new one."""
        camera = None
        try:
            camera = camera_from(row.values)
            self._place(camera)
            known = self.known.get(camera.code)
            if known is not None:
                self._change(known, camera, row)
                return None
        except ServiceError as error:
            self.report.refuse(row, error.message, _point(camera))
            return None
        self.report.note(row, "added", where=str(camera.unit), geometry=_point(camera))
        return camera

    def _place(self, camera: Camera) -> None:
        place = (camera.longitude, camera.latitude)
        grid = self.grids.at([place])[0]
        if grid is None or (self.within is not None and grid.pk not in self.within):
            raise no_grid(*place)
        camera.unit = grid

    def _change(self, known: Camera, camera: Camera, row: files.Row) -> None:
        if self.within is not None and known.unit_id not in self.within:
            raise ServiceError(_("The code %(code)s is taken.") % {"code": known.code})
        names = [name for name in (*CAMERA_FIELDS, "longitude", "latitude") if name in row.values]
        before = {name: getattr(known, name) for name in names}
        for name in (*names, "unit"):
            setattr(known, name, getattr(camera, name))
        changes = _changes(known, before)
        facts = {"where": str(camera.unit), "changes": changes, "geometry": _point(camera)}
        self.report.note(row, "changed" if changes else "unchanged", **facts)
        if changes and not self.report.dry_run:
            known.save()


def _changes(row: models.Model, before: Mapping[str, Any]) -> tuple[Change, ...]:
    """What differs between the fields of a row and what they were before."""
    pairs = [(name, before[name], getattr(row, name)) for name in before]
    return tuple(Change(name, _short(old), _short(new)) for name, old, new in pairs if old != new)


def _short(value: object) -> str:
    if value is None or isinstance(value, dict):
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _point(camera: Camera | None) -> dict[str, Any] | None:
    if camera is None:
        return None
    return {"type": "Point", "coordinates": [camera.longitude, camera.latitude]}
