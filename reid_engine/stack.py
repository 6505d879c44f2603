"""Feature rows of many mapped segments, used as one array that never exists as a whole. numpy only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

Features = NDArray[np.float16]
Numbers = NDArray[np.int64]


class Stack:
    """Blocks (n_i, D) float16 one after the other, read as (N, D).

    A slice is a Stack again, of views; nothing is read from the disk before rows are taken: by number, or with
    `np.array(stack)`, which copies. So a scan by slices touches each page once and holds one slice in memory.
    """

    dtype = np.dtype(np.float16)

    def __init__(self, blocks: Iterable[Features], dim: int) -> None:
        self.blocks = [block for block in blocks if len(block)]
        self._starts = np.cumsum([0, *(len(block) for block in self.blocks)])
        self.shape = (int(self._starts[-1]), dim)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[np.float16]]:
        return (row for block in self.blocks for row in block)

    @overload
    def __getitem__(self, rows: slice) -> Stack: ...
    @overload
    def __getitem__(self, rows: Numbers) -> Features: ...
    def __getitem__(self, rows: slice | Numbers) -> Stack | Features:
        return self._sliced(*rows.indices(len(self))[:2]) if isinstance(rows, slice) else self._taken(rows)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[np.generic]:
        if not self.blocks:
            return np.empty(self.shape, dtype or self.dtype)
        whole = self.blocks[0] if len(self.blocks) == 1 else np.concatenate(self.blocks)
        return np.array(whole, dtype=dtype, copy=None if len(self.blocks) > 1 else copy)

    def _sliced(self, start: int, stop: int) -> Stack:
        """Rows start..stop; slices have no step."""
        if start >= stop:
            return Stack([], self.shape[1])
        first, last = np.searchsorted(self._starts, [start, stop - 1], "right") - 1
        blocks = self.blocks[first : last + 1]
        blocks[-1] = blocks[-1][: stop - int(self._starts[last])]
        blocks[0] = blocks[0][start - int(self._starts[first]) :]
        return Stack(blocks, self.shape[1])

    def _taken(self, rows: Numbers) -> Features:
        """(R, D) copies of the rows with these numbers, in their order; only the blocks that hold them are touched."""
        taken = np.empty((len(rows), self.shape[1]), self.dtype)
        holder = np.searchsorted(self._starts, rows, "right") - 1
        order = np.argsort(holder, kind="stable")
        inside = (rows - self._starts[holder])[order]
        numbers, first = np.unique(holder[order], return_index=True)
        for number, start, stop in zip(
            numbers.tolist(), first.tolist(), [*first[1:].tolist(), len(rows)], strict=False
        ):
            taken[order[start:stop]] = self.blocks[number][inside[start:stop]]
        return taken


def stacked(stacks: Iterable[Stack], dim: int) -> Stack:
    """The rows of several stacks as one."""
    return Stack((block for stack in stacks for block in stack.blocks), dim)
