"""Market-1501, and every set that was put into its folders and names (method.md section 4)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..messages import Message
from ..messages import gettext_noop as _
from .records import PARTS, Dataset, Layout, Part, Record, checked, require_folder

FOLDERS: dict[Part, str] = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
JUNK = -1
DISTRACTOR = 0
LAYOUT = Layout(
    "Market-1501",
    "  bounding_box_train/0002_c1s1_000451_03.jpg   (person, camera, sequence, frame, box)\n"
    "  query/0001_c1s1_001051_00.jpg\n"
    "  bounding_box_test/0000_c1s1_000151_01.jpg    (0000: distractor, -1: junk)",
)
_NAME = re.compile(r"^(?P<person>-?\d+)_c(?P<camera>\d+)(?:s(?P<sequence>\d+)_(?P<frame>\d+))?(?:_\w+)?\.\w+$")


@dataclass(frozen=True)
class CropName:
    """What a Market-1501 file name says; `sequence` and `frame` are 0 where the name has none."""

    person_id: int
    camera_id: int
    sequence: int
    frame: int


@dataclass(frozen=True)
class Rules:
    """How one set uses the Market-1501 names: which endings count, and which person numbers are not people."""

    layout: Layout = LAYOUT
    suffixes: Collection[str] = (".jpg",)
    junk: int | None = JUNK
    distractor: int | None = DISTRACTOR
    camera_shift: int = 0


def parse_name(name: str) -> CropName | None:
    """The fields of a name like 0002_c1s1_000451_03.jpg or 0002_c14_0030.jpg; None where it is no such name."""
    match = _NAME.match(name)
    if match is None:
        return None
    number = match.groupdict("0")
    return CropName(int(number["person"]), int(number["camera"]), int(number["sequence"]), int(number["frame"]))


def read(root: Path | str, needs: Iterable[Part] = PARTS) -> Dataset:
    """Market-1501 at `root`. Person -1 is skipped; person 0 stays in the gallery and never matches.

    Parts outside `needs` may be missing. Raises BadDataset showing the layout.
    """
    return read_folders(Path(root), tuple(needs), "Market-1501", Rules())


def read_folders(root: Path, needs: tuple[Part, ...], name: str, rules: Rules) -> Dataset:
    """Any set in Market-1501's three folders, under the rules given."""
    require_folder(root, rules.layout)
    for part in needs:
        if not (root / FOLDERS[part]).is_dir():
            raise rules.layout.error(
                root, _("there is no folder %(folder)s%(hint)s"), folder=FOLDERS[part], hint=_hint(root, part)
            )
    skipped: Counter[str] = Counter()
    train, query, gallery = (tuple(_records(root / FOLDERS[part], part, rules, skipped)) for part in PARTS)
    return checked(Dataset(name, train, query, gallery, dict(skipped)), needs, root, rules.layout)


def _records(folder: Path, part: Part, rules: Rules, skipped: Counter[str]) -> Iterator[Record]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        crop = parse_name(path.name) if path.suffix.lower() in rules.suffixes else None
        reason = _why_skip(crop, part, rules)
        if reason:
            skipped[reason] += 1
        elif crop is not None:
            yield Record(path, crop.person_id, crop.camera_id + rules.camera_shift)


def _why_skip(crop: CropName | None, part: Part, rules: Rules) -> str:
    if crop is None:
        return _("files of another name")
    if crop.person_id == rules.junk:
        return _("junk crops (person -1)")
    if crop.person_id == rules.distractor and part != "gallery":
        return _("distractors outside the gallery")
    return ""


def _hint(root: Path, part: Part) -> Message | str:
    inner = [path for path in sorted(root.iterdir()) if (path / FOLDERS[part]).is_dir()]
    return Message(_(" (but %(folder)s has one: did you mean that?)"), folder=inner[0]) if inner else ""
