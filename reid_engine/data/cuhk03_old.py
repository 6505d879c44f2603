"""CUHK03 under the old protocol: 20 random splits of 100 test people each, single-shot, from cuhk-03.mat.

`testsets` of the .mat names the 100 people of each split (camera pair, person); everybody else trains. A test person is
searched for once, by one crop of the first view, among one crop of the second view of each of the 100; which crops is
drawn once per split. Figures are means over the splits. Give FOLDER for the detected boxes, FOLDER#labeled for the
labelled ones, FOLDER#labeled-7 for one split, the seventh: what a model trained on that split can be judged by.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..messages import gettext_noop as _
from . import cuhk03
from .records import PARTS, Dataset, Layout, Part, Record, checked, require_folder

SPLITS = 20
LAYOUT = Layout(
    "CUHK03, old protocol",
    "  cuhk-03.mat   (with its `testsets`)\n"
    "      FOLDER, FOLDER#labeled, or one split of the 20: FOLDER#detected-1 .. FOLDER#labeled-20",
)
_PLACE = re.compile(r"^(?P<folder>[^#]*)(?:#(?P<kind>detected|labeled)(?:-(?P<split>\d+))?)?$")
PEOPLE_A_PAIR = 10_000

Person = tuple[int, int]


def read(root: Path | str, needs: Iterable[Part] = PARTS) -> Dataset:
    """The split that `root` names, the first where it names none. Raises BadDataset showing the layout."""
    folder, kind, split = _place(root)
    return _split(folder, kind, split or 1, tuple(needs))


def splits(root: Path | str, needs: Iterable[Part] = PARTS) -> list[Dataset]:
    """All of the splits, or the one that `root` names. Raises BadDataset showing the layout."""
    folder, kind, split = _place(root)
    return [_split(folder, kind, number, tuple(needs)) for number in ([split] if split else range(1, SPLITS + 1))]


def _place(root: Path | str) -> tuple[Path, str, int | None]:
    found = _PLACE.match(str(root))
    split = int(found["split"]) if found and found["split"] else None
    if found is None or (split is not None and not 1 <= split <= SPLITS):
        raise LAYOUT.error(Path(root), _("what follows # is no kind and split, 1 to %(splits)s"), splits=SPLITS)
    return Path(found["folder"]), found["kind"] or "detected", split


def _split(folder: Path, kind: str, number: int, needs: tuple[Part, ...]) -> Dataset:
    store = require_folder(folder, LAYOUT) / "cuhk-03.mat"
    if not store.is_file():
        raise LAYOUT.error(folder, _("there is no cuhk-03.mat"))
    with cuhk03.optional("h5py").File(store, "r") as pictures:
        names, tested = cuhk03.picture_names(pictures, kind), _tested(pictures, number, folder)
    images = cuhk03.unpacked(folder, kind, names)
    people: dict[Person, list[Record]] = defaultdict(list)
    for name in names:
        person = cuhk03.person_of(name)
        people[person].append(Record(images / name, PEOPLE_A_PAIR * person[0] + person[1], cuhk03.camera_of(name)))
    train = [record for person in sorted(people.keys() - tested) for record in people[person]]
    query, gallery, skipped = _single_shot({person: people[person] for person in sorted(tested)}, number)
    dataset = Dataset(f"CUHK03 {kind}, old protocol, split {number} of {SPLITS}", tuple(train), query, gallery, skipped)
    return checked(dataset, needs, folder, LAYOUT)


def _tested(pictures: Any, number: int, folder: Path) -> set[Person]:
    """The people of one test set; MATLAB's (100, 2) arrive transposed."""
    if "testsets" not in pictures or len(pictures["testsets"][0]) < number:
        raise LAYOUT.error(folder, _("cuhk-03.mat has no test set %(number)s"), number=number)
    table = np.asarray(pictures[pictures["testsets"][0][number - 1]])
    return {(int(pair), int(person)) for pair, person in table.T}


def _single_shot(
    people: dict[Person, list[Record]], number: int
) -> tuple[tuple[Record, ...], tuple[Record, ...], dict[str, int]]:
    """One crop of each view of each person, and how many people were left out for having one view only."""
    rng = np.random.default_rng(number)
    drawn = []
    for records in people.values():
        views = [[record for record in records if record.camera_id == view] for view in (0, 1)]
        if all(views):
            drawn.append([view[rng.integers(len(view))] for view in views])
    alone = len(people) - len(drawn)
    query, gallery = (tuple(pair[view] for pair in drawn) for view in (0, 1))
    return query, gallery, {"people before one camera only": alone} if alone else {}
