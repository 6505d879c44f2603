"""Data sets: one reader each, all giving the same Dataset of records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

from ..errors import BadConfig
from ..messages import gettext_noop as _
from .records import PARTS, Dataset, Part, Record

READERS = ("market1501", "cuhk03", "cuhk03_old", "msmt17", "folder", "synthetic", "features")

__all__ = ["PARTS", "READERS", "Dataset", "Part", "Record", "place_of", "read", "read_all"]


def read_all(name: str, root: Path | str, needs: Iterable[Part] = PARTS) -> list[Dataset]:
    """Every split of the data set, for figures that are means over them; most formats have one. Raises as `read`."""
    if name != "cuhk03_old":
        return [read(name, root, needs)]
    from .cuhk03_old import splits

    return splits(root, needs)


def place_of(root: Path | str) -> Path:
    """The file or folder that must be there: what comes before a # names it, what comes after a part of it."""
    return Path(str(root).partition("#")[0])


def read(name: str, root: Path | str, needs: Iterable[Part] = PARTS) -> Dataset:
    """The data set in the format `name` at `root`; parts outside `needs` may be missing.

    Raises BadConfig for an unknown format, BadDataset where the folder is not laid out as the format wants.
    A new format is a module here with `read(root, needs)` and its name in READERS.
    """
    if name not in READERS:
        raise BadConfig(
            _("data format is %(name)r; allowed: %(readers)s"),
            name=name,
            readers=", ".join(READERS),
            option="data_format",
        )
    reader: Callable[[Path | str, Iterable[Part]], Dataset] = import_module(f".{name}", __name__).read
    return reader(root, needs)
