"""Which module measures which row; each has `measure(quick, rows) -> Figure`."""

from __future__ import annotations

import importlib

from benchmarks.figure import Figure, Measure

MODULES = {
    "a": "exact_wide",
    "b": "exact_narrow",
    "c": "four_photos",
    "d": "coarse",
    "e": "whole_search",
    "f": "recall",
    "g": "unit_search",
    "h": "crop_features",
    "i": "imports",
    "j": "memory",
    "k": "page",
    "l": "path",
    "growth": "growth",
    "workers": "workers",
}
# Built around a whole made city with a database, in a process of its own.
IN_A_CITY = ("g", "i", "j", "k", "workers")
# Needs what not every machine has: not part of `all`.
APART = {"gpu": "gpu"}


def measure(letter: str, quick: bool, rows: int | None) -> Figure:
    """Measure one row. Raises KeyError for a letter there is not."""
    module = importlib.import_module(f"benchmarks.{(MODULES | APART)[letter]}")
    work: Measure = module.measure
    return work(quick, rows)
