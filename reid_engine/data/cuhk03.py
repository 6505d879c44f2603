"""CUHK03 under the new protocol (767 people to train, 700 to test), from its .mat files or from folders.

`cuhk-03.mat` holds the pictures (HDF5) and `cuhk03_new_protocol_config_*.mat` the split. The pictures are unpacked
once, as images_detected/1_001_1_01.png beside the .mat: camera pair, person, view, picture; camera = view - 1.
Reading .mat files needs h5py and scipy; the rest of the engine needs neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import BadDataset
from ..messages import gettext_noop as _
from . import market1501
from .records import PARTS, Dataset, Layout, Part, Record, checked

LAYOUT = Layout(
    "CUHK03",
    "  cuhk-03.mat  cuhk03_new_protocol_config_detected.mat  cuhk03_new_protocol_config_labeled.mat\n"
    "      (give the folder for the detected boxes, or the path of the ..._labeled.mat for the labelled ones)\n"
    "or Market-1501's folders, here or in detected/: bounding_box_train/0003_c1_21.png  query  bounding_box_test",
)
RULES = market1501.Rules(LAYOUT, suffixes=(".png", ".jpg"), junk=market1501.JUNK, distractor=None, camera_shift=-1)
SPLIT = "cuhk03_new_protocol_config_{kind}.mat"
VIEW_PICTURES = 5
PICTURE_DIMENSIONS = 3


def read(root: Path | str, needs: Iterable[Part] = PARTS) -> Dataset:
    """CUHK03 at `root`: a folder (detected boxes by default) or the path of one split file.

    Raises BadDataset: another layout, or .mat files without h5py and scipy installed.
    """
    root, needs = Path(root), tuple(needs)
    if not root.exists():
        raise LAYOUT.error(root, _("there is no such folder or file"))
    split = root if root.is_file() else root / SPLIT.format(kind="detected")
    if split.is_file():
        return checked(_from_mat(split), needs, root, LAYOUT)
    inner = root / "detected"
    return market1501.read_folders(inner if inner.is_dir() else root, needs, "CUHK03 (folders)", RULES)


def _from_mat(split: Path) -> Dataset:
    kind = split.stem.rsplit("_", 1)[-1]
    table = optional("scipy.io").loadmat(split)
    names = [str(np.ravel(cell)[0]) for cell in np.ravel(table["filelist"])]
    labels = np.ravel(table["labels"]).astype(int)
    folder = unpacked(split.parent, kind, names)
    parts = {part: np.ravel(table[f"{part}_idx"]).astype(int) - 1 for part in PARTS}
    records = {part: tuple(_records(folder, names, labels, rows)) for part, rows in parts.items()}
    return Dataset(f"CUHK03 {kind}", records["train"], records["query"], records["gallery"])


def _records(folder: Path, names: list[str], labels: Any, rows: Any) -> Iterator[Record]:
    for row in rows:
        yield Record(folder / names[row], int(labels[row]), camera_of(names[row]))


def camera_of(name: str) -> int:
    """0 or 1, from a name like 1_001_2_06.png."""
    return int(name.split("_")[2]) - 1


def person_of(name: str) -> tuple[int, int]:
    """(camera pair, person) from such a name."""
    pair, person = name.split("_")[:2]
    return int(pair), int(person)


def picture_names(store: Any, kind: str) -> list[str]:
    """The names of every picture in an open cuhk-03.mat, without reading one."""
    return [name for name, cell in _cells(store, kind) if cell.ndim == PICTURE_DIMENSIONS]


def unpacked(root: Path, kind: str, names: Sequence[str]) -> Path:
    """The folder of single pictures, filled from cuhk-03.mat the first time."""
    folder = root / f"images_{kind}"
    if all((folder / name).is_file() for name in names):
        return folder
    store = root / "cuhk-03.mat"
    if not store.is_file():
        raise LAYOUT.error(root, _("there is no cuhk-03.mat to take the pictures from"))
    folder.mkdir(exist_ok=True)
    with optional("h5py").File(store, "r") as pictures:
        for name, pixels in _pictures(pictures, kind):
            Image.fromarray(pixels).save(folder / name)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise LAYOUT.error(
            root,
            _("cuhk-03.mat lacks %(missing)s pictures of the split, first %(first)s"),
            missing=len(missing),
            first=missing[0],
        )
    return folder


def _pictures(store: Any, kind: str) -> Iterator[tuple[str, Any]]:
    """(name, pixels (H, W, 3) uint8) of every picture; MATLAB's arrays arrive transposed, empty cells flat."""
    for name, cell in _cells(store, kind):
        if cell.ndim == PICTURE_DIMENSIONS:
            yield name, np.ascontiguousarray(cell[:].T)


def _cells(store: Any, kind: str) -> Iterator[tuple[str, Any]]:
    """(name, unread cell) of every place for a picture."""
    for pair, pair_ref in enumerate(store[kind][0]):
        for person, cells in enumerate(store[pair_ref][:].T):
            for number, cell in enumerate(cells):
                view = 1 if number < VIEW_PICTURES else 2
                yield f"{pair + 1}_{person + 1:03d}_{view}_{number + 1:02d}.png", store[cell]


def optional(module: str) -> Any:
    """A module that only .mat files need. Raises BadDataset saying what to install."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise BadDataset(
            _(
                "CUHK03's .mat files need %(package)s, which is not installed: pip install h5py scipy, "
                "or give the set as folders.\n%(sketch)s"
            ),
            sketch=LAYOUT.sketch,
            package=package,
            layout=LAYOUT.name,
        ) from error
