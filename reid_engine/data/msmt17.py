"""MSMT17, V1 and V2: list files with their folders, or Market-1501's folders (method.md section 4).

Person 0 is a real person here, and the camera is two digits: 15 of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..messages import gettext_noop as _
from . import market1501
from .records import PARTS, Dataset, Layout, Part, Record, checked, require_folder

LAYOUT = Layout(
    "MSMT17",
    "  list_train.txt  list_val.txt  list_query.txt  list_gallery.txt\n"
    "      lines: 0000/0000_000_01_0303morning_0015_0.jpg 0      (picture, person; the third field is the camera)\n"
    "  train/0000/...jpg  test/0000/...jpg                       (V1)\n"
    "  mask_train_v2/0000/...jpg  mask_test_v2/0000/...jpg       (V2)\n"
    "or Market-1501's folders: bounding_box_train/0000_c14_0030.jpg  query/...  bounding_box_test/...",
)
RULES = market1501.Rules(LAYOUT, suffixes=(".jpg",), junk=market1501.JUNK, distractor=None)
VERSIONS = {"V1": ("train", "test"), "V2": ("mask_train_v2", "mask_test_v2")}
LISTS: dict[Part, tuple[str, ...]] = {
    "train": ("list_train.txt", "list_val.txt"),
    "query": ("list_query.txt",),
    "gallery": ("list_gallery.txt",),
}


def read(root: Path | str, needs: Iterable[Part] = PARTS) -> Dataset:
    """MSMT17 at `root`; the name of the result says V1 or V2. `train` is list_train followed by list_val.

    Raises BadDataset showing both layouts.
    """
    root, needs = require_folder(Path(root), LAYOUT), tuple(needs)
    if (root / market1501.FOLDERS["gallery"]).is_dir() or (root / market1501.FOLDERS["train"]).is_dir():
        return market1501.read_folders(root, needs, "MSMT17 (Market-1501 folders)", RULES)
    version = _version(root)
    parts = {part: tuple(_part(root, part, version, needed=part in needs)) for part in PARTS}
    dataset = Dataset(f"MSMT17 {version}", parts["train"], parts["query"], parts["gallery"])
    return checked(dataset, needs, root, LAYOUT)


def _version(root: Path) -> str:
    for version, folders in VERSIONS.items():
        if any((root / folder).is_dir() for folder in folders):
            return version
    raise LAYOUT.error(root, _("none of the folders train, test, mask_train_v2, mask_test_v2 is there"))


def _part(root: Path, part: Part, version: str, needed: bool) -> Iterator[Record]:
    folder = root / VERSIONS[version][0 if part == "train" else 1]
    for name in LISTS[part]:
        if (root / name).is_file():
            yield from _listed(root / name, folder)
        elif needed and name != "list_val.txt":
            raise LAYOUT.error(root, _("there is no %(name)s"), name=name)


def _listed(listing: Path, folder: Path) -> Iterator[Record]:
    for number, line in enumerate(listing.read_text().splitlines(), start=1):
        if line.strip():
            yield _record(line, folder, f"{listing.name}, line {number}")


def _record(line: str, folder: Path, where: str) -> Record:
    try:
        name, person = line.split()
        record = Record(folder / name, int(person), int(Path(name).name.split("_")[2]))
    except (ValueError, IndexError) as error:
        raise LAYOUT.error(
            folder.parent, _("%(where)s cannot be read: %(line)r"), where=where, line=line.strip()
        ) from error
    if not record.path.is_file():
        raise LAYOUT.error(
            folder.parent,
            _("%(where)s names %(name)s, which is not in %(folder)s"),
            where=where,
            name=name,
            folder=folder.name,
        )
    return record
