"""Row b: exact diff attention at r = 512, where the work per element counts and memory is the ceiling."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import galleries
from benchmarks.exact import DIM, figure
from benchmarks.figure import Figure, either
from benchmarks.timing import bytes_per_second

PAIRS_PER_SECOND = 1_000_000


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Pairs per second of one query, beside one pass over the same rows."""
    count = either(quick, 512, 100_000, rows)
    found = figure(
        "b",
        f"exact diff attention, one query, p = {DIM}, r = 512",
        512,
        count,
        lambda: bytes_per_second(galleries.mapped(count, DIM)) / (2 * DIM),
        "one pass over the rows in memory",
    )
    return replace(found, target=PAIRS_PER_SECOND)
