"""Row c: the coarse scan for four query photos at once; they share each visit to a row."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks import exact, galleries
from benchmarks.coarse import COUNT
from benchmarks.figure import Figure, either, progress
from benchmarks.timing import interleaved

PHOTOS = 4

TEXT = """
One photo waits for memory. Four share a visit, four rows at a time, so that sixteen products and the rows' lengths stay
in registers, and ask for the beginning of the next rows early; then a thread chooses the rows of each photo.
"""


def measure(quick: bool, rows: int | None = None) -> Figure:
    """The time for four photos as a multiple of the time for one."""
    total, dim = either(quick, 5_000, 100_000, rows), exact.DIM
    features = galleries.mapped(total, dim)
    queries = np.stack([galleries.query(dim, seed) for seed in range(PHOTOS)])
    ranker, count = exact.ranker(galleries.attention(dim, 512)), min(COUNT, total // 2)
    progress(f"{PHOTOS} photos over {total:,} rows of {dim}")
    best = interleaved(
        {
            "one": partial(ranker.most_alike, queries[0], features, count),
            "four": partial(ranker.most_alike_each, queries, features, count),
            "by turns": lambda: [ranker.most_alike(query, features, count) for query in queries],
        },
        1 if quick else exact.ROUNDS,
    )
    return Figure(
        "c",
        f"coarse scan for four photos at once, {total:,} rows, p = {dim}",
        "times one photo's time",
        best["four"] / best["one"],
        target=2.0,
        peers={"one at a time": best["by turns"] / best["one"]},
        more_is_better=False,
        text=TEXT,
        details={"seconds for one": best["one"], "seconds for four": best["four"]},
    )
