"""Threads that each compute on one core of their own.

torch's own threads meet after every operation, so on a machine that also serves pages or trains, everyone waits for
the slowest. Independent pieces of work meet once, at the end, and their results do not depend on how many there are.
Seen on two cores shared with a training: 168,000 pairs/s ranked by one thread, 19,000 by two of torch's own; 350
crops/s extracted by one, 57 by two.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Workers:
    """`count` threads of one core each (None: as many as the process may use). Torch's own setting stays as it is."""

    def __init__(self, count: int | None = None) -> None:
        self.count = count or len(os.sched_getaffinity(0))
        torch = sys.modules.get("torch")  # a worker that searches on a CPU never loads it
        before = torch.get_num_threads() if torch else 0
        self._pool = ThreadPoolExecutor(self.count, "reid", initializer=_take_one_core)
        started = Barrier(self.count)
        list(self._pool.map(lambda _: started.wait(), range(self.count)))
        if torch:  # the setting is each thread's own, but new threads take over the last one made
            torch.set_num_threads(before)

    def map(self, work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> list[Result]:
        """The results of `work` on every piece, in order; the first error is raised here."""
        return list(self._pool.map(work, pieces))


def _take_one_core() -> None:
    """A thread takes over the common setting when it first asks torch for it; only after that its own one lasts."""
    if torch := sys.modules.get("torch"):
        torch.get_num_threads()
        torch.set_num_threads(1)
