"""How a search's time and memory grow with the rows, and what a second core brings."""

from __future__ import annotations

import os
import tracemalloc
from functools import partial

import numpy as np

from benchmarks import galleries
from benchmarks.figure import Figure, Plot, either, progress
from benchmarks.timing import Work, seconds
from reid_engine.bundle import SHIPPED, read
from reid_engine.calibration import Calibration
from reid_engine.ranking import Attention, Ranker
from reid_engine.stack import Stack
from reid_engine.workers import Workers

ON_DISK = 1_000_000
HITS = 100

Points = list[tuple[float, float]]


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Seconds from features to ranked hits, and the memory taken on the way, from a thousand rows to ten million."""
    most = either(quick, 10_000, 10_000_000, rows)
    sizes = [10**power for power in range(3, 8) if 10**power <= most]
    attention = read(SHIPPED).attention
    ranker, query = _ranker(attention, None), galleries.query(attention.dim)
    times: Points = []
    memory: Points = []
    for size in sizes:
        progress(f"{size:,} rows")
        features, ids = repeated(size, min(ON_DISK, most), attention.dim), np.arange(size)
        search = partial(ranker.rank, query, features, ids, HITS)
        times.append((size, seconds(search, 3)))
        memory.append((size, peak_bytes(search) / 1e6))
    return Figure(
        "growth",
        f"a search of {sizes[-1]:,} rows, p = {attention.dim}, features in, {HITS} hits out",
        "s",
        times[-1][1],
        more_is_better=False,
        text=TEXT,
        details={f"MB beside the map, {size:,} rows": megabytes for size, megabytes in memory},
        plots=(
            Plot("seconds", "Seconds of a search", "rows", "s", {"features in, ranked hits out": times}),
            Plot("memory", "Memory of a search beside the mapped rows", "rows", "MB", {"at its most": memory}),
            Plot("workers", "Rows per second by worker threads", "threads", "rows/s", by_workers(attention, most),
                 ("linear", "log")),
        ),
    )  # fmt: skip


TEXT = f"""
Up to {ON_DISK:,} rows each row is its own; beyond, that file of made rows is stacked as often as needed, which takes
the same time as other rows in memory would (a million of them are thirty times the last cache) but not the time of a
disk. Steps in the curve: from scoring every row to the coarse stage. Memory is what numpy and Python hold at the most
while a search runs; the rows themselves are pages of mapped files, which the system takes back when it needs them.
"""


def repeated(total: int, on_disk: int, dim: int) -> Stack:
    """`total` rows: those on disk, one after the other, again and again."""
    rows = galleries.mapped(on_disk, dim)
    whole, rest = divmod(total, on_disk)
    return Stack([rows] * whole + [rows[:rest]], dim)


def peak_bytes(search: Work) -> int:
    """What one search allocates at the most."""
    tracemalloc.start()
    try:
        search()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def by_workers(attention: Attention, most: int) -> dict[str, Points]:
    """Rows per second of the exact stage and of the coarse one by threads."""
    query, rows = galleries.query(attention.dim), galleries.mapped(min(ON_DISK, most), attention.dim)
    few = rows[: len(rows) // 10]
    exact: Points = []
    coarse: Points = []
    for count in range(1, len(os.sched_getaffinity(0)) + 1):
        ranker = _ranker(attention, count)
        exact.append((count, len(few) / seconds(partial(ranker.distances, query, few), 3)))
        coarse.append((count, len(rows) / seconds(partial(ranker.most_alike, query, rows, HITS), 3)))
    return {"diff attention": exact, "coarse cosine": coarse}


def _ranker(attention: Attention, threads: int | None) -> Ranker:
    return Ranker(attention, Calibration(6.0, -4.0), workers=Workers(threads))
