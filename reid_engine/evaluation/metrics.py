"""CMC, mean average precision and mean inverse negative penalty, as method.md section 5 defines them.

Single query: the gallery crops of the query's own person under its own camera are dropped; a query without a match
left is skipped and counted; equal distances keep the gallery's order. Per query, with R matches left:
AP = mean over the matches of (matches so far / rank); INP = R / rank of the last match; CMC at k = 1 if the first match
has a rank of at most k. All figures are means over the queries that were not skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

RANKS = (1, 5, 10, 20)
FIGURES = ("rank1", "mean_ap", "mean_inp")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Identities:
    """Who and where: person_ids and camera_ids of n crops, both (n,) integers."""

    person_ids: NDArray[np.int64]
    camera_ids: NDArray[np.int64]

    @classmethod
    def of(cls, person_ids: ArrayLike, camera_ids: ArrayLike) -> Identities:
        """From any two sequences. Raises ValueError when their lengths differ."""
        people, cameras = np.asarray(person_ids, np.int64), np.asarray(camera_ids, np.int64)
        if people.ndim != 1 or people.shape != cameras.shape:
            raise ValueError(f"one person and one camera per crop are needed, got {people.shape} and {cameras.shape}")
        return cls(people, cameras)

    def __len__(self) -> int:
        return len(self.person_ids)

    def rows(self, start: int, stop: int) -> Identities:
        """The crops from `start` up to `stop`."""
        return Identities(self.person_ids[start:stop], self.camera_ids[start:stop])


@dataclass(frozen=True)
class Scores:
    """Per valid query (V,): first_rank (1 = best), average precision, inverse negative penalty, and who was asked for.

    `skipped` counts the queries without any match in the gallery; they are in none of the arrays.
    """

    first_rank: NDArray[np.int64]
    ap: Floats
    inp: Floats
    person_ids: NDArray[np.int64]
    skipped: int

    def cmc(self, rank: int) -> float:
        """Share of the valid queries whose first match has at most this rank."""
        return float(np.mean(self.first_rank <= rank)) if len(self.first_rank) else 0.0

    @property
    def mean_ap(self) -> float:
        return float(self.ap.mean()) if len(self.ap) else 0.0

    @property
    def mean_inp(self) -> float:
        return float(self.inp.mean()) if len(self.inp) else 0.0


@dataclass(frozen=True)
class Figures:
    """The means of one run: cmc by rank, mean_ap, mean_inp (0..1), and the number of queries skipped."""

    cmc: dict[int, float]
    mean_ap: float
    mean_inp: float
    skipped_queries: int


def cmc_map_minp(
    distances: ArrayLike,
    q_pids: ArrayLike,
    g_pids: ArrayLike,
    q_cams: ArrayLike,
    g_cams: ArrayLike,
) -> Figures:
    """Figures of a (Q, G) matrix of distances (smaller is closer) between Q queries and G gallery crops.

    Raises ValueError where the shapes do not fit or a distance is no number.
    """
    return figures(score(np.asarray(distances), Identities.of(q_pids, q_cams), Identities.of(g_pids, g_cams)))


def figures(scores: Scores) -> Figures:
    """The means of `scores`; all zero where every query was skipped."""
    return Figures({rank: scores.cmc(rank) for rank in RANKS}, scores.mean_ap, scores.mean_inp, scores.skipped)


def score(distances: NDArray[np.floating], queries: Identities, gallery: Identities) -> Scores:
    """Scores of every query of a (Q, G) matrix; one row at a time, so that little is made beside the matrix.

    Raises ValueError where the shapes do not fit or a distance is no number.
    """
    return scored(match_ranks(distances, queries, gallery), queries)


def match_ranks(distances: NDArray[np.floating], queries: Identities, gallery: Identities) -> list[Ints]:
    """The ascending ranks (1 = best) of each query's matches among the crops that count. Errors as `score`."""
    if distances.shape != (len(queries), len(gallery)):
        raise ValueError(f"distances are {distances.shape} for {len(queries)} queries and {len(gallery)} crops")
    if np.isnan(distances).any():
        raise ValueError("a distance is not a number")
    found = []
    for row, person, camera in zip(distances, queries.person_ids, queries.camera_ids, strict=True):
        same = gallery.person_ids == person
        counts = ~(same & (gallery.camera_ids == camera))
        found.append(_ranks(row[counts], np.flatnonzero(same[counts])))
    return found


def _ranks(distances: NDArray[np.floating], columns: Ints) -> Ints:
    """The ascending ranks of some columns of distances (G,); of equal distances the first column has the first rank.

    One sort of the values and a look at the few columns asked for cost a fifth of sorting the columns.
    """
    ordered, values = np.sort(distances), distances[columns]
    before, upto = np.searchsorted(ordered, values), np.searchsorted(ordered, values, "right")
    ranks = before + 1
    for at in np.flatnonzero(upto - before > 1):
        ranks[at] += np.count_nonzero(distances[: columns[at]] == values[at])
    return np.sort(ranks)


def scored(ranks: list[Ints], queries: Identities) -> Scores:
    """Scores from the ascending ranks of each query's matches."""
    valid = np.array([len(each) > 0 for each in ranks], bool)
    found = [each for each in ranks if len(each)]
    return Scores(
        np.array([each[0] for each in found], np.int64),
        np.array([precisions(each).mean() for each in found], np.float64),
        np.array([len(each) / each[-1] for each in found], np.float64),
        queries.person_ids[valid],
        int((~valid).sum()),
    )


def precisions(ranks: Ints) -> Floats:
    """The precision at each match: (R,) ascending ranks -> (R,)."""
    return np.asarray(np.arange(1, len(ranks) + 1) / ranks, np.float64)


def gathered(tiles: Iterable[Scores]) -> Scores:
    """One Scores from those of consecutive tiles of queries."""
    parts = list(tiles)
    join = np.concatenate
    return Scores(
        join([np.empty(0, np.int64), *(part.first_rank for part in parts)]),
        join([np.empty(0), *(part.ap for part in parts)]),
        join([np.empty(0), *(part.inp for part in parts)]),
        join([np.empty(0, np.int64), *(part.person_ids for part in parts)]),
        sum(part.skipped for part in parts),
    )


def intervals(scores: Scores, rounds: int = 1000, seed: int = 0) -> dict[str, tuple[float, float]]:
    """95% bootstrap intervals of rank1, mean_ap and mean_inp.

    People are drawn with replacement, not queries: the queries of one person succeed or fail together.
    """
    if not len(scores.ap):
        return {}
    draws = _person_draws(_values(scores), scores.person_ids, np.random.default_rng(seed), rounds)
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    return {name: (float(low[column]), float(high[column])) for column, name in enumerate(FIGURES)}


def paired_intervals(
    first: Scores,
    second: Scores,
    rounds: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float, float]]:
    """(difference, low, high) of `first` minus `second` for rank1, mean_ap and mean_inp, 95% bootstrap.

    The same people are drawn for both, so what is hard about a person cancels. Raises ValueError where the two are not
    scores of the same queries.
    """
    if not np.array_equal(first.person_ids, second.person_ids):
        raise ValueError("only two scores of the same queries can be compared")
    if not len(first.ap):
        return {}
    gaps = _values(first) - _values(second)
    draws = _person_draws(gaps, first.person_ids, np.random.default_rng(seed), rounds)
    columns = (gaps.mean(axis=0), *np.percentile(draws, [2.5, 97.5], axis=0))
    return {name: tuple(float(column[at]) for column in columns) for at, name in enumerate(FIGURES)}  # type: ignore[misc]


def _values(scores: Scores) -> Floats:
    """(V, 3) per query: whether the first hit is right, average precision, inverse negative penalty."""
    return np.stack([scores.first_rank == 1, scores.ap, scores.inp], axis=1).astype(np.float64)


def _person_draws(values: Floats, people: NDArray[np.int64], rng: np.random.Generator, rounds: int) -> Floats:
    """Means (rounds, 3) over people drawn with replacement; each brings all of their queries."""
    _, person = np.unique(people, return_inverse=True)
    count = np.bincount(person).astype(np.float64)
    sums = np.stack([np.bincount(person, column) for column in values.T], axis=1)
    weights = rng.multinomial(len(count), np.full(len(count), 1 / len(count)), size=rounds)
    means: Floats = (weights @ sums) / (weights @ count)[:, None]
    return means
