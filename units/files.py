"""Reading the files that units and cameras are imported from: rows with their line, and what is wrong with them.

Nothing here looks at the database; whether a row fits the tree is the services' business.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from django.utils.translation import gettext_lazy as _

from citysearch.errors import ServiceError
from units.models import Level

UNIT_COLUMNS = ("code", "name", "level")
CAMERA_COLUMNS = ("code", "name", "longitude", "latitude")
CAMERA_NUMBERS = ("heading", "field_of_view", "view_radius_m", "clock_offset_s", "clock_uncertainty_s")
CAMERA_TEXTS = ("status", "coordinate_system")
LEVEL_NAMES = {level.name.lower(): int(level) for level in Level}
TRUE = ("1", "true", "yes", "y")

# A polygon of a large city is longer than the csv module's default limit of 128 kB for a field.
csv.field_size_limit(50_000_000)
# The areas of a province are some tens of megabytes; the whole file is held in memory.
MAX_BYTES = 200_000_000


class BadFile(ServiceError):
    """A file that cannot be read at all."""

    code = "bad_file"

    def __init__(self, message: object, **data: object) -> None:
        super().__init__(message, {"file": message}, **data)


@dataclass(frozen=True)
class Row:
    """A row of a file: its line (of a GeoJSON file: the number of the feature), its values, or its error."""

    line: int
    values: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def layout_of(name: str) -> str:
    """geojson or csv, by the ending of a file's name."""
    ending = name.rsplit(".", 1)[-1].lower()
    if ending in ("geojson", "json"):
        return "geojson"
    if ending == "csv":
        return "csv"
    raise BadFile(_("%(name)s is neither .geojson nor .csv.") % {"name": name})


def unit_rows(file: IO[bytes], layout: str) -> Iterator[Row]:
    """Rows of units: code, name, level (a number or city, district, ...), parent, free_code, polygon."""
    if layout not in ("geojson", "csv"):
        raise BadFile(_("The layout must be geojson or csv, not %(layout)s.") % {"layout": layout})
    rows = _features(file) if layout == "geojson" else _table(file, UNIT_COLUMNS)
    return (row if row.error else _unit(row) for row in rows)


def camera_rows(file: IO[bytes]) -> Iterator[Row]:
    """Rows of cameras: code, name, longitude, latitude, and any of the other fields of a camera."""
    return (row if row.error else _camera(row) for row in _table(file, CAMERA_COLUMNS))


def _unit(row: Row) -> Row:
    values = row.values
    level = LEVEL_NAMES.get(_text(values, "level").lower(), _text(values, "level"))
    if str(level) not in map(str, Level.values):
        message = _("The level %(level)s is not known.") % {"level": level}
        return Row(row.line, {"code": _text(values, "code")}, str(message))
    kept = {"code": _text(values, "code"), "name": _text(values, "name"), "level": int(level)}
    kept |= {"parent": _text(values, "parent") or None, "free_code": _text(values, "free_code").lower() in TRUE}
    return Row(row.line, {**kept, "polygon": values.get("polygon") or None})


def _camera(row: Row) -> Row:
    kept: dict[str, Any] = {name: _text(row.values, name) for name in CAMERA_COLUMNS}
    kept["free_code"] = _text(row.values, "free_code").lower() in TRUE
    kept |= {name: text.lower() for name in CAMERA_TEXTS if (text := _text(row.values, name))}
    for name in CAMERA_NUMBERS:
        text = _text(row.values, name)
        try:
            kept |= {name: float(text)} if text else {}
        except ValueError:
            message = _("%(name)s must be a number, not %(value)s.") % {"name": name, "value": text}
            return Row(row.line, kept, str(message))
    return Row(row.line, kept)


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return "" if value is None else str(value).strip()


def _table(file: IO[bytes], needed: tuple[str, ...]) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(_decoded(file.read(MAX_BYTES + 1)), newline=""))
    header = [name.strip().lower() for name in reader.fieldnames or []]
    missing = [name for name in needed if name not in header]
    if missing:
        raise BadFile(_("The first line must name the columns; missing: %(names)s.") % {"names": ", ".join(missing)})
    reader.fieldnames = header
    return _table_rows(reader)


def _table_rows(reader: csv.DictReader[str]) -> Iterator[Row]:
    try:
        for values in reader:
            if None in values:
                message = _("The line has more fields than columns.")
                yield Row(reader.line_num, {"code": _text(values, "code")}, str(message))
            elif any(_text(values, name) for name in values):
                yield Row(reader.line_num, dict(values))
    except csv.Error as error:
        yield Row(reader.line_num, {}, str(_("The line cannot be read: %(reason)s.") % {"reason": error}))


def _decoded(data: bytes) -> str:
    """Text of a file in UTF-8 (with or without a mark) or GB 18030, which Chinese spreadsheets write."""
    if len(data) > MAX_BYTES:
        raise BadFile(_("More than %(most)d bytes.") % {"most": MAX_BYTES})
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BadFile(_("The file is neither UTF-8 nor GB 18030 text."))


def _features(file: IO[bytes]) -> Iterator[Row]:
    try:
        data = json.loads(_decoded(file.read(MAX_BYTES + 1)))
    except ValueError as error:
        raise BadFile(_("The file is not JSON: %(reason)s.") % {"reason": error}) from error
    features = data.get("features") if isinstance(data, dict) else None
    if not isinstance(features, list):
        raise BadFile(_("The file is not a GeoJSON FeatureCollection."))
    return (_feature(line, feature) for line, feature in enumerate(features, start=1))


def _feature(line: int, feature: object) -> Row:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(feature, dict) or not isinstance(properties, dict):
        return Row(line, {}, str(_("The feature has no properties.")))
    missing = [name for name in UNIT_COLUMNS if not _text(properties, name)]
    if missing:
        message = _("The properties lack %(names)s.") % {"names": ", ".join(missing)}
        return Row(line, {"code": _text(properties, "code")}, str(message))
    return Row(line, {**properties, "polygon": feature.get("geometry")})
