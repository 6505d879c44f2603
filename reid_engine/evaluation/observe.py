"""What a report needs beyond the means, gathered tile by tile: memory does not grow with queries times gallery.

Of every tile of queries only this stays: the scores, the precision at each recall, counts of pairs by distance, the
nearest crops of each query, and the distances that decide whether a person is said to be present.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .metrics import Identities, Scores, gathered, match_ranks, precisions, scored

LEVELS = np.linspace(0, 1, 101)
NEAREST = 10
FIRST_HITS = 20
BINS = 4000
WIDEST = 2.0

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Counts (2, 2, BINS) of pairs by half of the people, different (0) or same (1) person, and distance 0..WIDEST.

    Only pairs within one half are counted, so that a calibration fitted on one half knows nobody of the other.
    `hits` (2, 2, BINS) are those among them that are one of the query's FIRST_HITS nearest. `whole` (2, 2, BINS) holds
    both for the whole gallery: all pairs, then hits, by different or same person.
    """

    counts: Ints
    hits: Ints
    whole: Ints

    @property
    def both_kinds(self) -> bool:
        """Whether each half of the people holds pairs of the same and of different people."""
        return bool(self.counts.sum(axis=2).all())

    def __add__(self, other: Pairs) -> Pairs:
        return Pairs(self.counts + other.counts, self.hits + other.hits, self.whole + other.whole)


@dataclass(frozen=True)
class Observed:
    """One distance over the queries: Q queries, V of them valid, in their order.

    `precision` (V, LEVELS) is the best precision at this recall or a higher one; `nearest` (Q, NEAREST) the gallery
    rows of the nearest crops, -1 where the gallery is smaller; `present` (Q, NEAREST) their distances, `absent`
    (Q, NEAREST) the smallest ones with the query's person taken out of the gallery, both filled up with infinity;
    `valid` (Q,) where a match exists; `half` (Q,) the half that the query's person, `people` (Q,), belongs to.
    """

    scores: Scores
    precision: Floats
    pairs: Pairs
    nearest: Ints
    present: Floats
    absent: Floats
    valid: Bools
    half: Ints
    people: Ints


@dataclass(frozen=True)
class Halves:
    """The people in two halves: those asked for take turns by number, crops of nobody asked for by their place."""

    queries: Ints
    gallery: Ints

    @classmethod
    def of(cls, queries: Identities, gallery: Identities, turn: int = 0) -> Halves:
        """The half of each query (Q,) and of each gallery crop (G,), 0 or 1; each turn after 0 halves at random."""
        asked = np.unique(queries.person_ids)
        side = np.arange(len(asked) + len(gallery)) % 2
        if turn:
            np.random.default_rng(turn).shuffle(side)
        place = np.searchsorted(asked, gallery.person_ids)
        known = asked[np.minimum(place, len(asked) - 1)] == gallery.person_ids
        nobody = len(asked) + np.arange(len(gallery))
        return cls(side[np.searchsorted(asked, queries.person_ids)], side[np.where(known, place, nobody)])

    def rows(self, start: int, stop: int) -> Halves:
        return Halves(self.queries[start:stop], self.gallery)


def observe(distances: NDArray[np.floating], queries: Identities, gallery: Identities, halves: Halves) -> Observed:
    """What stays of one tile: distances (T, G), T queries."""
    same = gallery.person_ids == queries.person_ids[:, None]
    own = same & (gallery.camera_ids == queries.camera_ids[:, None])
    others, ranks = np.where(own, np.inf, distances), match_ranks(distances, queries, gallery)
    found = [each for each in ranks if len(each)]
    return Observed(
        scored(ranks, queries),
        np.stack([_precision(each) for each in found]) if found else np.zeros((0, len(LEVELS))),
        _pairs(distances, same, own, halves),
        _nearest(others),
        _smallest(others),
        _smallest(np.where(same, np.inf, distances)),
        np.array([len(each) > 0 for each in ranks], bool),
        halves.queries,
        queries.person_ids,
    )


def joined(parts: list[Observed]) -> Observed:
    """One Observed from those of consecutive tiles; at least one."""
    pairs = parts[0].pairs
    for part in parts[1:]:
        pairs = pairs + part.pairs
    names = ("precision", "nearest", "present", "absent", "valid", "half", "people")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Observed(scores=gathered(part.scores for part in parts), pairs=pairs, **columns)


def _precision(ranks: Ints) -> Floats:
    """The ascending ranks (R,) of one query's matches -> interpolated precision (LEVELS,)."""
    best_from = np.maximum.accumulate(precisions(ranks)[::-1])[::-1]
    needed = np.maximum(np.ceil(LEVELS * len(ranks) - 1e-9), 1).astype(np.int64)
    return np.asarray(best_from[needed - 1], np.float64)


def _pairs(distances: NDArray[np.floating], same: Bools, own: Bools, halves: Halves) -> Pairs:
    bins = np.clip(distances * (BINS / WIDEST), 0, BINS - 1).astype(np.int64)
    key = (halves.queries[:, None] * 2 + same) * BINS + bins
    within = (halves.queries[:, None] == halves.gallery) & ~own
    every, first = _counted(key[~own]), _counted(_first(distances, ~own, key))
    whole = np.stack([every.sum(axis=0), first.sum(axis=0)])
    return Pairs(_counted(key[within]), _counted(_first(distances, within, key)), whole)


def _first(distances: NDArray[np.floating], within: Bools, key: Ints) -> Ints:
    """The keys of the FIRST_HITS nearest pairs of each query among those `within`."""
    kept = np.where(within, distances, np.inf)
    few = min(FIRST_HITS, kept.shape[1])
    columns = np.argpartition(kept, few - 1, axis=1)[:, :few]
    there = np.isfinite(np.take_along_axis(kept, columns, axis=1))
    return np.asarray(np.take_along_axis(key, columns, axis=1)[there])


def _counted(keys: Ints) -> Ints:
    return np.bincount(keys, minlength=4 * BINS).reshape(2, 2, BINS)


def _nearest(distances: Floats) -> Ints:
    """The NEAREST gallery rows of each query, equal ones in the gallery's order; -1 beyond the crops that count."""
    rows = np.full((len(distances), NEAREST), -1, np.int64)
    for row, place in zip(distances, rows, strict=True):
        near = nearest(row, NEAREST)
        place[: len(near)] = near
    return rows


def nearest(distances: NDArray[np.floating], count: int) -> Ints:
    """The columns of at most `count` smallest finite distances (G,), ascending, equal ones in the gallery's order."""
    few = min(count, len(distances))
    near = np.flatnonzero((distances <= np.partition(distances, few - 1)[few - 1]) & np.isfinite(distances))
    return np.asarray(near[np.argsort(distances[near], kind="stable")][:few], np.int64)


def _smallest(distances: Floats) -> Floats:
    few = min(NEAREST, distances.shape[1])
    rows = np.sort(np.partition(distances, few - 1, axis=1)[:, :few], axis=1)
    return np.pad(rows, ((0, 0), (0, NEAREST - few)), constant_values=np.inf).astype(np.float64)
