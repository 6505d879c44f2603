"""Frozen features for separate training: extracted once by a bundle, or brought along as .npy files with ids.

Both lie on disk in the same form, so what was extracted once is also what another extractor has to deliver.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ..bundle import SHIPPED
from ..data import read
from ..data.features import LAYOUT, part_of, require_one_size
from ..data.loaders import photo_of
from ..data.records import PARTS, Dataset, Part, Record, require_folder
from ..errors import ReportUnwritten
from ..evaluation.evaluate import gallery_features
from ..messages import gettext_noop as _
from .validate import Held

if TYPE_CHECKING:
    from ..engine import Engine

SOURCE = "source.json"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Source:
    """Where features come from: a `folder` of .npy files, or a data set `data` in a `format` through a `bundle`.

    No bundle means the shipped one.
    """

    folder: Path | None
    data: str | None
    format: str
    bundle: Path | None
    device: str = "cpu"
    threads: int | None = None

    def frozen(self, kept: Path, progress: Progress = lambda done, total: None) -> Frozen:
        """The features; those of a data set are kept below `kept`, and found there the next time."""
        if self.folder is not None:
            return read_frozen(self.folder)
        dataset = read(self.format, str(self.data))
        from ..engine import Engine

        engine = Engine(self.bundle or SHIPPED, device=self.device, threads=self.threads)
        return extract_frozen(kept / "features", engine, dataset, progress)


@dataclass(frozen=True)
class Frozen:
    """The three parts' features and ids; training labels are numbered from 0. `source` says where they come from."""

    train: Held
    query: Held
    gallery: Held
    source: dict[str, str]

    @property
    def dim(self) -> int:
        """D."""
        return self.train.vectors.shape[1]

    @property
    def labels(self) -> torch.Tensor:
        """(N,) int64, 0..people-1, of the training crops."""
        return torch.from_numpy(np.unique(self.train.person_ids, return_inverse=True)[1].astype(np.int64))


def read_frozen(folder: Path) -> Frozen:
    """The features in `folder`. Raises BadDataset showing the layout and naming the file at fault."""
    require_folder(folder, LAYOUT)
    parts = {part: _part(folder, part) for part in PARTS}
    require_one_size(folder, {part: held.vectors.numpy() for part, held in parts.items()})
    if len(np.unique(parts["train"].person_ids)) < 2:
        raise LAYOUT.error(folder, _("train_ids.npy names fewer than two people"))
    source = folder / SOURCE
    known = json.loads(source.read_text()) if source.is_file() else {"features": folder.resolve().name}
    return Frozen(parts["train"], parts["query"], parts["gallery"], known)


def extract_frozen(folder: Path, engine: Engine, dataset: Dataset, progress: Progress) -> Frozen:
    """The features of a data set's three parts, kept in `folder`; what lies there of the same bundle is taken as it is.

    As in a search: crops as the store keeps them (float16), each query alone through `query_features`. `progress(done,
    total)` counts pictures. Raises BadDataset for a broken picture, ReportUnwritten where `folder` cannot be written.
    """
    source = {
        "data set": dataset.name,
        "crops": " / ".join(str(len(dataset.part(part))) for part in PARTS),
        "bundle": str(engine.manifest["name"]),
        "sha256": engine.bundle_sha,
    }
    kept = folder / SOURCE
    if not (kept.is_file() and json.loads(kept.read_text()) == source):
        _extract(folder, engine, dataset, progress)
        _write(kept, lambda path: path.write_text(json.dumps(source, indent=1)))
    return read_frozen(folder)


def _extract(folder: Path, engine: Engine, dataset: Dataset, progress: Progress) -> None:
    (folder / SOURCE).unlink(missing_ok=True)
    total, before = sum(len(dataset.part(part)) for part in PARTS), 0
    for part in PARTS:
        records = dataset.part(part)
        said = _from(before, total, progress)
        vectors = _queries(engine, records, said) if part == "query" else gallery_features(engine, records, said)
        ids = np.array([(record.person_id, record.camera_id) for record in records], np.int64)
        _save(folder / f"{part}.npy", vectors)
        _save(folder / f"{part}_ids.npy", ids)
        before += len(records)


def _from(before: int, total: int, progress: Progress) -> Callable[[int], None]:
    return lambda done: progress(before + done, total)


def _queries(engine: Engine, records: Sequence[Record], said: Callable[[int], None]) -> NDArray[np.float32]:
    rows = []
    for done, record in enumerate(records, start=1):
        rows.append(engine.query_features([photo_of(record)]))
        said(done)
    return np.stack(rows)


def _part(folder: Path, part: Part) -> Held:
    vectors, ids = part_of(folder, part)
    people, cameras = ids.T
    return Held(torch.from_numpy(vectors), people, cameras)


def _save(path: Path, values: NDArray[np.generic]) -> None:
    def written(partial: Path) -> None:
        with partial.open("wb") as file:
            np.save(file, values)

    _write(path, written)


def _write(path: Path, work: Callable[[Path], object]) -> None:
    """Beside the target, then renamed. Raises ReportUnwritten."""
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        work(partial)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ReportUnwritten(
            _("%(path)s cannot be written: %(reason)s"), reason=error.strerror or error, path=str(path)
        ) from error
