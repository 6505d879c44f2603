"""k-reciprocal re-ranking (Zhong et al., 2017): crops that have each other among their neighbours move together.

With d the squared distance over the largest of its row, R(i) the k1-reciprocal neighbours of i, expanded by the
k1/2-reciprocal sets of its members that share two thirds with it:

    V_i = exp(-d(i, .)) on R(i), summing to 1;  then the mean of V over i's k2 nearest
    J(i, j) = 1 - sum min(V_i, V_j) / sum max(V_i, V_j)
    final = (1 - weight) J + weight d

It looks at all queries and all crops at once, which no search of a single photo can: figures made with it are marked.
Rows are asked for a few at a time and kept sparse: nothing of size (N, N) is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Rows = Callable[[Ints], Floats]
Sparse = tuple[Ints, Floats]

TILE_CELLS = 4_000_000


@dataclass(frozen=True)
class Reranking:
    """The published settings: neighbours k1, averaged over k2, and the weight of the first distance."""

    k1: int = 20
    k2: int = 6
    weight: float = 0.3


def rerank(
    rows: Rows,
    queries: int,
    count: int,
    options: Reranking = Reranking(),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[Ints, Floats]]:
    """Yields (query numbers (T,), final distances (T, count - queries)) for the queries in order.

    `rows(numbers (T,)) -> (T, count)` gives distances to everything; numbers below `queries` are queries, the others
    gallery crops. It is called twice for each of the `count` numbers and once more for the queries.
    """
    told = _Told(progress, 2 * count + queries)
    most = max(options.k1 + 1, options.k2)
    neighbours = np.concatenate([_neighbours(rows(tile), most, told) for tile in _tiles(count, count)])
    weights: list[Sparse] = []
    for tile in _tiles(count, count):
        for number, row in zip(tile, _scaled(rows(tile)), strict=True):
            weights.append(_weights(int(number), row, neighbours, options.k1))
        told(len(tile))
    averaged = [_averaged([weights[near] for near in neighbours[i, : options.k2]]) for i in range(count)]
    index = _Inverted(averaged[queries:], count)
    for tile in _tiles(queries, count):
        first = _scaled(rows(tile))[:, queries:]
        overlap = np.stack([index.overlap(averaged[number]) for number in tile])
        yield tile, (1 - options.weight) * (1 - overlap / (2 - overlap)) + options.weight * first
        told(len(tile))


class _Told:
    """Counts rows for a progress callback."""

    def __init__(self, progress: Callable[[int, int], None], total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def __call__(self, count: int) -> None:
        self.done += count
        self.progress(self.done, self.total)


def _tiles(stop: int, width: int) -> Iterator[Ints]:
    step = max(1, TILE_CELLS // max(1, width))
    for start in range(0, stop, step):
        yield np.arange(start, min(stop, start + step))


def _scaled(distances: Floats) -> Floats:
    """Squared, over the largest of the row: (T, N)."""
    square = np.square(np.asarray(distances, np.float32))
    scaled: Floats = square / np.maximum(square.max(axis=1, keepdims=True), np.float32(1e-12))
    return scaled


def _neighbours(distances: Floats, most: int, told: _Told) -> Ints:
    """(T, most) the nearest of each row, nearest first, equal ones in order of number; itself among them."""
    told(len(distances))
    return np.argsort(distances, axis=1, kind="stable")[:, :most]


def _reciprocal(number: int, neighbours: Ints, k: int) -> Ints:
    """Those among the k nearest of `number` that have it among their own k nearest."""
    near = neighbours[number, : k + 1]
    return np.asarray(near[(neighbours[near, : k + 1] == number).any(axis=1)])


def _expanded(number: int, neighbours: Ints, k1: int) -> Ints:
    """The k1-reciprocal neighbours, and the k1/2-reciprocal ones of each of them that mostly shares them."""
    core = _reciprocal(number, neighbours, k1)
    grown = [core]
    for candidate in core:
        others = _reciprocal(int(candidate), neighbours, round(k1 / 2))
        if len(np.intersect1d(others, core)) > 2 / 3 * len(others):
            grown.append(others)
    return np.unique(np.concatenate(grown))


def _weights(number: int, row: Floats, neighbours: Ints, k1: int) -> Sparse:
    """V of one number: (members (M,), weights (M,) that sum to 1)."""
    members = _expanded(number, neighbours, k1)
    value = np.exp(-row[members])
    return members, np.asarray(value / max(float(value.sum()), 1e-12), np.float32)


def _averaged(parts: list[Sparse]) -> Sparse:
    """The mean of sparse rows, as one."""
    members, place = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    sums = np.bincount(place, np.concatenate([part[1] for part in parts]), len(members))
    return members, (sums / len(parts)).astype(np.float32)


class _Inverted:
    """For every number, which gallery rows hold it and how much: sum min(V_q, V_g) without the zeros."""

    def __init__(self, gallery: list[Sparse], count: int) -> None:
        members = np.concatenate([np.empty(0, np.int64), *(row[0] for row in gallery)])
        order = np.argsort(members, kind="stable")
        owners = np.repeat(np.arange(len(gallery)), [len(row[0]) for row in gallery])
        self.size, self.owners = len(gallery), owners[order]
        self.values = np.concatenate([np.empty(0, np.float32), *(row[1] for row in gallery)])[order]
        self.starts = np.searchsorted(members[order], np.arange(count + 1))

    def overlap(self, query: Sparse) -> Floats:
        """(G,) sums of the smaller of both weights."""
        found = np.zeros(self.size, np.float32)
        for member, value in zip(*query, strict=True):
            held = slice(self.starts[member], self.starts[member + 1])
            found[self.owners[held]] += np.minimum(self.values[held], value)
        return found
