"""Seconds and bytes, measured so that the contenders of one figure see the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid_engine.workers import Workers

READ_WORDS = 1 << 22
Work = Callable[[], object]


def seconds(work: Work, rounds: int = 5) -> float:
    """The shortest of several runs after one that warms up."""
    return interleaved({"": work}, rounds)[""]


def interleaved(works: Mapping[str, Work], rounds: int = 5) -> dict[str, float]:
    """The shortest run of each, taking turns, so that whatever else the machine does falls on all of them alike."""
    for work in works.values():
        work()
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            best[name] = min(best[name], _once(work))
    return best


def resident_bytes(pid: int | str = "self") -> dict[str, int]:
    """Memory of a process from the kernel's books: RssAnon (its own) and RssFile (pages of mapped files)."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines if line[0].startswith(("Rss", "VmHWM", "VmRSS"))}


def _once(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def reading(rows: NDArray[np.float16]) -> Work:
    """One pass over an array by all cores together, adding up its words: the ceiling of any scan."""
    workers, words = Workers(), rows.reshape(-1).view(np.int64)
    pieces = range(0, len(words), READ_WORDS)
    return lambda: workers.map(lambda start: words[start : start + READ_WORDS].sum(), pieces)
