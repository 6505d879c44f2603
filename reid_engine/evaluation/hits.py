"""What an operator looks at: the nearest crops of each query, in galleries of several sizes and of half of the people.

The people are halved HALVINGS times. Calibrations that know the situation of a search are fitted and judged on these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..calibration import Situated, Situation, fit_situated
from .metrics import Identities
from .observe import FIRST_HITS, Bools, Floats, Halves, Ints

HALVINGS = 10
SHARES = (1.0, 1 / 2, 1 / 4, 1 / 8)
NEAR = 1024  # of half of the people an eighth: some 60 of them, three times FIRST_HITS


@dataclass(frozen=True)
class Hits:
    """The nearest FIRST_HITS of Q queries, in galleries thinned to each of SHARES (strangers' crops left out).

    distances (Q, S, H), infinite where there are fewer; same (Q, S, H); rows (Q, S), how large each gallery was.
    """

    distances: Floats
    same: Bools
    rows: Ints

    @classmethod
    def of(cls, distances: NDArray[np.floating], same: Bools, there: Bools) -> Hits:
        """Of the pairs `there`, all three (Q, G). Which crops are left out is the same for every query."""
        chance = np.random.default_rng(0).random(distances.shape[1])
        near = _columns(distances, NEAR)
        thinned = [_nearest(distances, same, there & (same | (chance < share)), near) for share in SHARES]
        return cls(*(np.stack(part, axis=1) for part in zip(*thinned, strict=True)))

    def __add__(self, other: Hits) -> Hits:
        pairs = zip((self.distances, self.same, self.rows), (other.distances, other.same, other.rows), strict=True)
        return Hits(*(np.concatenate(pair) for pair in pairs))

    def situation(self, strangers: Floats) -> Situation:
        """Of every hit (Q, S, H); strangers (Q,)."""
        rows, near = self.rows[..., None].astype(np.float64), strangers[:, None, None]
        return Situation(np.broadcast_to(rows, self.same.shape), np.broadcast_to(near, self.same.shape))

    def fit(self, strangers: Floats, chosen: Bools) -> Situated:
        """A calibration by the hits of the chosen queries (Q,); strangers (Q,). Raises BadDataset."""
        there, around = np.isfinite(self.distances) & chosen[:, None, None], self.situation(strangers)
        rows, near = (np.asarray(part, np.float64)[there] for part in (around.rows, around.strangers))
        return fit_situated(self.distances[there], self.same[there], Situation(rows, near))


@dataclass(frozen=True)
class Halving:
    """The hits of each query within its half of the people, and that half: `half` (Q,), 0 or 1."""

    hits: Hits
    half: Ints

    def __add__(self, other: Halving) -> Halving:
        return Halving(self.hits + other.hits, np.concatenate([self.half, other.half]))

    @property
    def usable(self) -> bool:
        """Whether the hits of each half hold pairs of the same and of different people."""
        there = np.isfinite(self.hits.distances)
        kinds = (there & self.hits.same, there & ~self.hits.same)
        return all(kind[self.half == half].any() for kind in kinds for half in (0, 1))

    def fits(self, strangers: Floats) -> tuple[Situated, Situated]:
        """The calibration of each half. Raises BadDataset where one holds pairs of one kind only."""
        first, second = (self.hits.fit(strangers, self.half == half) for half in (0, 1))
        return first, second


def halvings(queries: Identities, gallery: Identities) -> list[Halves]:
    """The people in two halves, HALVINGS times."""
    return [Halves.of(queries, gallery, turn) for turn in range(HALVINGS)]


def halved(
    distances: NDArray[np.floating], queries: Identities, gallery: Identities, halves: list[Halves]
) -> list[Halving]:
    """The hits of some queries, distances (T, G), in each of the halvings (of these queries, Halves.rows)."""
    same = gallery.person_ids == queries.person_ids[:, None]
    other = ~(same & (gallery.camera_ids == queries.camera_ids[:, None]))
    return [
        Halving(Hits.of(distances, same, other & (each.queries[:, None] == each.gallery)), each.queries)
        for each in halves
    ]


def _columns(distances: NDArray[np.floating], count: int) -> Ints:
    """The columns of the `count` smallest of each row, or all, in no order."""
    count = min(count, distances.shape[1])
    return np.asarray(np.argpartition(distances, count - 1, axis=1)[:, :count], np.int64)


def _nearest(distances: NDArray[np.floating], same: Bools, there: Bools, near: Ints) -> tuple[Floats, Bools, Ints]:
    """The nearest FIRST_HITS of the pairs `there`: distances and labels (Q, H), and how many there are (Q,).

    Looked for among the columns `near` (Q, M) of the smallest distances first, and everywhere where those are too few.
    """
    rows = np.asarray(there.sum(axis=1), np.int64)
    few = min(FIRST_HITS, distances.shape[1])
    if (np.take_along_axis(there, near, axis=1).sum(axis=1) < np.minimum(rows, few)).any():
        near = _columns(distances, distances.shape[1])
    values, labels = np.take_along_axis(distances, near, axis=1), np.take_along_axis(same, near, axis=1)
    kept = np.where(np.take_along_axis(there, near, axis=1), values, np.inf)
    first = _columns(kept, few)
    return np.take_along_axis(kept, first, axis=1).astype(np.float64), np.take_along_axis(labels, first, axis=1), rows
