"""Features of any extractor as a data set: .npy files with ids beside them. Nothing of it is a picture."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..messages import gettext_noop as _
from .records import PARTS, Dataset, Layout, Part, Record, checked, require_folder

LAYOUT = Layout(
    "features",
    "  train.npy    query.npy    gallery.npy        numbers (N, D), one row per crop, not normalised\n"
    "  train_ids.npy  query_ids.npy  gallery_ids.npy  whole numbers (N, 2): person, camera\n"
    "      (or train_ids.csv ... with a header person_id,camera_id and one line per row)",
)
COLUMNS = ("person_id", "camera_id")

Vectors = NDArray[np.float32]


def read(root: Path | str, needs: Iterable[Part] = PARTS) -> Dataset:
    """The features at `root` as records without pictures, their vectors beside them. Raises BadDataset."""
    folder, needs = require_folder(Path(root), LAYOUT), tuple(needs)
    there = [part for part in PARTS if part in needs or (folder / f"{part}.npy").is_file()]
    parts = {part: part_of(folder, part) for part in there}
    require_one_size(folder, {part: vectors for part, (vectors, _ids) in parts.items()})
    records = {part: tuple(_records(folder / f"{part}.npy", ids)) for part, (_vectors, ids) in parts.items()}
    vectors = {part: found for part, (found, _ids) in parts.items()}
    train, query, gallery = (records.get(part, ()) for part in PARTS)
    return checked(Dataset("features", train, query, gallery, vectors=vectors), needs, folder, LAYOUT)


def part_of(folder: Path, part: Part) -> tuple[Vectors, NDArray[np.int64]]:
    """Vectors (N, D) float32 and ids (N, 2) of one part. Raises BadDataset naming the file at fault."""
    vectors = _loaded(folder, f"{part}.npy")
    if vectors.ndim != 2 or not len(vectors) or not np.isfinite(vectors.astype(np.float64)).all():
        text = _("%(part)s.npy is %(shape)s; needed are finite numbers (N, D), N of 1 or more")
        raise LAYOUT.error(folder, text, part=part, shape=vectors.shape)
    table = folder / f"{part}_ids.csv"
    ids = _from_csv(folder, table) if table.is_file() else _loaded(folder, f"{part}_ids.npy")
    if ids.shape != (len(vectors), 2) or ids.dtype.kind not in "iu":
        wrong = _("the ids of %(part)s are %(shape)s %(dtype)s, needed is (%(vectors)s, 2) integers")
        raise LAYOUT.error(folder, wrong, part=part, shape=ids.shape, dtype=ids.dtype, vectors=len(vectors))
    return vectors.astype(np.float32), ids.astype(np.int64)


def require_one_size(folder: Path, parts: dict[Part, Vectors]) -> None:
    """Raises BadDataset where the parts' vectors are not of one size."""
    sizes = {part: vectors.shape[1] for part, vectors in parts.items()}
    if len(set(sizes.values())) > 1:
        raise LAYOUT.error(folder, _("the parts differ in their feature size: %(sizes)s"), sizes=sizes)


def _records(path: Path, ids: NDArray[np.int64]) -> Iterable[Record]:
    return (Record(Path(f"{path}#{row}"), int(person), int(camera)) for row, (person, camera) in enumerate(ids))


def _from_csv(folder: Path, table: Path) -> NDArray[np.generic]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = [[int(line[column]) for column in COLUMNS] for line in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        text = _("%(name)s needs the columns person_id,camera_id with whole numbers (%(error)s)")
        raise LAYOUT.error(folder, text, name=table.name, error=error) from error
    return np.array(rows, np.int64).reshape(-1, 2)


def _loaded(folder: Path, name: str) -> NDArray[np.generic]:
    try:
        found: NDArray[np.generic] = np.load(folder / name, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise LAYOUT.error(folder, _("%(name)s cannot be read (%(error)s)"), name=name, error=error) from error
    return found
