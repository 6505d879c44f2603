"""Row b: exact diff attention at r = 512, where the work per element counts and memory is the ceiling."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import exact, galleries
from benchmarks.figure import Figure, either
from benchmarks.timing import reading

PAIRS_PER_SECOND = 1_000_000

TEXT = """
Four hidden units stay in registers: one compiled visit to each row, two rows at a time, twice over their coordinates,
all in float32. A pair costs some 45 vector instructions for each sixteen coordinates, which is why memory is not what
limits it.
"""


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Pairs per second of one query, beside one pass over the same rows."""
    features = galleries.mapped(either(quick, 512, 65_536, rows), exact.DIM)
    of = "one pass over the rows in memory"
    found = exact.figure("b", 512, features, reading(features), of, "float32", quick)
    return replace(found, target=PAIRS_PER_SECOND, text=TEXT)
