"""What a data set is: records (one crop of one person by one camera) in parts, and the checks every reader shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import BadDataset
from ..messages import Message, gettext
from ..messages import gettext_noop as _

Part = Literal["train", "query", "gallery"]
PARTS: tuple[Part, ...] = ("train", "query", "gallery")


@dataclass(frozen=True)
class Record:
    """One crop on disk. `captured_at` is seconds since the epoch on the camera's clock, or None where unknown."""

    path: Path
    person_id: int
    camera_id: int
    captured_at: float | None = None


@dataclass(frozen=True)
class Dataset:
    """The parts of a data set, each sorted as read. `skipped` counts by reason what was left out on purpose.

    `vectors` (N, D) by part stand in for pictures where there are none.
    """

    name: str
    train: tuple[Record, ...] = ()
    query: tuple[Record, ...] = ()
    gallery: tuple[Record, ...] = ()
    skipped: dict[str, int] = field(default_factory=dict)
    vectors: dict[Part, NDArray[np.float32]] | None = field(default=None, compare=False, repr=False)

    def part(self, name: Part) -> tuple[Record, ...]:
        """The records of one part."""
        return {"train": self.train, "query": self.query, "gallery": self.gallery}[name]

    def summary(self) -> list[str]:
        """Lines a person reads: crops, people, cameras of each part; single-crop people; what was skipped."""
        lines = [self.name, *(_part_line(name, self.part(name)) for name in PARTS if self.part(name))]
        return lines + [f"skipped: {count} {reason}" for reason, count in sorted(self.skipped.items())]


@dataclass(frozen=True)
class Layout:
    """How a data set must lie on disk: `sketch` is shown in every error about it."""

    name: str
    sketch: str

    def error(self, root: Path, template: str, /, **data: object) -> BadDataset:
        """A BadDataset that says what was found at `root` and shows the layout expected."""
        text = _("%(path)s: %(finding)s. Expected layout of %(layout)s:\n%(sketch)s")
        finding = Message(template, **data)
        return BadDataset(text, path=str(root), finding=finding, layout=self.name, sketch=self.sketch)


def people(records: Iterable[Record]) -> int:
    """How many different people the records show."""
    return len({record.person_id for record in records})


def cameras(records: Iterable[Record]) -> int:
    """How many different cameras took the records."""
    return len({record.camera_id for record in records})


def single_people(records: Iterable[Record]) -> int:
    """How many people have one crop only: they give no positive pair."""
    return sum(1 for count in Counter(record.person_id for record in records).values() if count == 1)


def require_folder(root: Path, layout: Layout) -> Path:
    """`root` when it is a folder. Raises BadDataset otherwise."""
    if not root.exists():
        raise layout.error(root, _("there is no such folder"))
    if not root.is_dir():
        raise layout.error(root, _("this is a file, not a folder"))
    return root


def checked(dataset: Dataset, needs: Iterable[Part], root: Path, layout: Layout) -> Dataset:
    """The data set, when the parts in `needs` hold crops and more than one camera took them.

    Raises BadDataset: a needed part is empty, or every crop comes from one camera (a query drops the gallery crops
    of its own camera, so nothing could ever match).
    """
    for name in needs:
        if not dataset.part(name):
            raise layout.error(
                root,
                _("no crop was found for the part %(name)r%(skipped_note)s"),
                name=name,
                skipped_note=_skipped_note(dataset),
            )
    seen = {record.camera_id for name in PARTS for record in dataset.part(name)}
    if len(seen) == 1:
        text = _("every crop is from one camera (%(camera)s); at least two are needed")
        raise layout.error(root, text, camera=seen.pop())
    return dataset


def numbering(names: Iterable[str]) -> Callable[[str], int]:
    """Numbers for names: their own value when all are numbers without clash, else their place in sorted order."""
    unique = sorted(set(names))
    numbers = {int(name) for name in unique if name.isdecimal()}
    if len(numbers) == len(unique):
        return int
    return {name: number for number, name in enumerate(unique)}.__getitem__


def _part_line(name: str, records: tuple[Record, ...]) -> str:
    line = f"{name}: {len(records)} crops, {people(records)} people, {cameras(records)} cameras"
    singles = single_people(records)
    return f"{line}, {singles} people with a single crop" if singles else line


def _skipped_note(dataset: Dataset) -> Message | str:
    reasons = ", ".join(f"{count} {gettext(reason)}" for reason, count in sorted(dataset.skipped.items()))
    return Message(_(" (skipped: %(reasons)s)"), reasons=reasons) if reasons else ""
