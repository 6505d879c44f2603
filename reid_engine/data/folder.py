"""Users' own crops: a folder with one directory per person, or a CSV `path,person_id,camera_id[,captured_at]`.

Either may come in three parts (train/, query/, gallery/ or train.csv, query.csv, gallery.csv). A set in one piece is
split by person: every second person trains; of the others, the first crop before each camera is a query and every
crop is in the gallery (a query never meets the crops of its own camera, so it cannot find itself).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..messages import gettext_noop as _
from .records import PARTS, Dataset, Layout, Part, Record, checked, numbering

LAYOUT = Layout(
    "folder",
    "  anna/c1_0001.jpg  anna/c2_0007.jpg  bob/c2_0003.jpg   (a directory per person; camera after the letter c)\n"
    "  anna/1/0001.jpg   anna/2/0007.jpg   bob/2/0003.jpg    (or a directory per camera inside it)\n"
    "  the same below train/, query/ and gallery/, where the parts are fixed\n"
    "or crops.csv (or train.csv, query.csv, gallery.csv) with a header line:\n"
    "  path,person_id,camera_id,captured_at\n"
    "  anna/0001.jpg,anna,1,2024-05-01T08:30:00+08:00        (captured_at may be left out)",
)
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
COLUMNS = ("path", "person_id", "camera_id")
_CAMERA = re.compile(r"(?:^|_)c(?:am)?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """A crop before people and cameras have numbers."""

    path: Path
    person: str
    camera: str
    captured_at: float | None = None


def read(root: Path | str, needs: Iterable[Part] = PARTS) -> Dataset:
    """The crops at `root`: a folder, or the path of one CSV. Raises BadDataset with the line or file at fault."""
    root, needs = Path(root), tuple(needs)
    if not root.exists():
        raise LAYOUT.error(root, _("there is no such folder or file"))
    skipped: Counter[str] = Counter()
    parts = _parts(root, skipped)
    rows = [row for part in parts.values() for row in part]
    person, camera = numbering(row.person for row in rows), numbering(row.camera for row in rows)
    records = {
        name: [Record(row.path, person(row.person), camera(row.camera), row.captured_at) for row in part]
        for name, part in parts.items()
    }
    halves = _split(records["all"]) if "all" in records else records
    train, query, gallery = (tuple(halves.get(part, ())) for part in PARTS)
    dataset = Dataset(root.stem, train, query, gallery, dict(skipped))
    return checked(dataset, needs, root, LAYOUT)


def _parts(root: Path, skipped: Counter[str]) -> dict[str, list[Row]]:
    """Rows by part name, or all of them under "all" where the set comes in one piece."""
    if root.is_file():
        return {"all": list(_csv_rows(root))}
    for suffix, rows_of in ((".csv", _csv_rows), ("", lambda path: _folder_rows(path, skipped))):
        found = [part for part in PARTS if (root / f"{part}{suffix}").exists()]
        if found:
            return {part: list(rows_of(root / f"{part}{suffix}")) for part in found}
    if (root / "crops.csv").is_file():
        return {"all": list(_csv_rows(root / "crops.csv"))}
    return {"all": list(_folder_rows(root, skipped))}


def _csv_rows(table: Path) -> Iterator[Row]:
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as lines:
        reader = csv.DictReader(lines)
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise LAYOUT.error(table, _("the header line lacks the column %(missing)s"), missing=missing[0])
        for line in reader:
            yield _csv_row(table, reader.line_num, line)


def _csv_row(table: Path, number: int, line: dict[str, str | None]) -> Row:
    path, person, camera = ((line[column] or "").strip() for column in COLUMNS)
    if not (path and person and camera):
        raise LAYOUT.error(table, _("line %(number)s needs a path, a person_id and a camera_id"), number=number)
    if not (table.parent / path).is_file():
        raise LAYOUT.error(
            table, _("line %(number)s names %(path)s, and there is no such file"), number=number, path=path
        )
    try:
        return Row(table.parent / path, person, camera, _seconds((line.get("captured_at") or "").strip()))
    except ValueError as error:
        raise LAYOUT.error(
            table,
            _("line %(number)s: captured_at is no time: %(captured_at)r"),
            number=number,
            captured_at=line["captured_at"],
        ) from error


def _seconds(text: str) -> float | None:
    """Seconds since the epoch from ISO 8601 (UTC where it names no zone) or from a plain number; None from nothing."""
    if not text:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _folder_rows(folder: Path, skipped: Counter[str]) -> Iterator[Row]:
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        inside = path.relative_to(folder).parts
        if path.suffix.lower() in SUFFIXES and len(inside) in (2, 3):
            yield Row(path, inside[0], _camera(folder, inside))
        else:
            skipped[_("files that are no crop of a person's directory")] += 1


def _camera(folder: Path, inside: tuple[str, ...]) -> str:
    if len(inside) == 3:
        return inside[1]
    match = _CAMERA.search(inside[-1])
    if match is None:
        raise LAYOUT.error(folder, _("%(inside)s does not say its camera"), inside="/".join(inside))
    return str(int(match.group(1)))


def _split(records: list[Record]) -> dict[str, list[Record]]:
    people = sorted({record.person_id for record in records})
    training = set(people[::2])
    test = [record for record in records if record.person_id not in training]
    first = {(record.person_id, record.camera_id): record for record in reversed(test)}
    return {
        "train": [record for record in records if record.person_id in training],
        "query": [record for record in test if first[record.person_id, record.camera_id] is record],
        "gallery": test,
    }
