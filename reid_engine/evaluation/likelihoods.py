"""How far likelihoods can be believed, on people the calibration has never seen.

The people are halved: a curve is fitted on the pairs within one half and judged on the pairs within the other, and the
other way round. Distances come as counts per bin, fine enough (0.0005) to stand for themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..calibration import (
    Curve,
    Reliability,
    fit_isotonic,
    fit_platt,
    fit_power,
    reliability,
)
from .hits import Halving
from .names import OWN
from .observe import BINS, FIRST_HITS, WIDEST, Bools, Floats, Ints, Pairs

FITS: dict[str, Callable[..., Curve]] = {"platt": fit_platt, "power": fit_power, "isotonic": fit_isotonic}
CENTRES = (np.arange(BINS) + 0.5) * (WIDEST / BINS)
SEEN_FROM = 0.05
BELIEF_BINS = 15


@dataclass(frozen=True)
class Believed:
    """What one kind of calibration said of people it was not fitted on, beside what was so.

    `every` takes every pair a search scores; nearly all of them are far apart and easy. `likely` takes those said to be
    the same person with at least SEEN_FROM, `hits` the nearest crops of each query (observe.FIRST_HITS): what a person
    looks at. A situated calibration is judged on those alone: its `every` is None, its `likely` are among the hits.
    """

    every: Reliability | None
    likely: Reliability
    hits: Reliability


@dataclass(frozen=True)
class Said:
    """Sums (3, 3, BELIEF_BINS) over the pairs of whole galleries by bin of what a search said of them.

    First axis: every pair, those said with at least SEEN_FROM, the query's first hits; second: pairs, said, same.
    """

    sums: Floats

    @classmethod
    def of(cls, said: NDArray[np.floating], distances: NDArray[np.floating], same: Bools, there: Bools) -> Said:
        """Likelihoods said of pairs; all (T, G), `there` where a pair counts."""
        few = min(FIRST_HITS, there.shape[1])
        last = np.partition(np.where(there, distances, np.inf), few - 1, axis=1)[:, few - 1 : few]
        kinds = (there, there & (said >= SEEN_FROM), there & (distances <= last))
        return cls(np.stack([_sums(said[kind], same[kind]) for kind in kinds]))

    def __add__(self, other: Said) -> Said:
        return Said(self.sums + other.sums)

    @property
    def believed(self) -> Believed:
        """As the other kinds are given."""
        return Believed(*(_reliability(*kind) for kind in self.sums))


def _sums(said: NDArray[np.floating], same: Bools) -> Floats:
    place = np.minimum((said.astype(np.float64) * BELIEF_BINS).astype(np.int64), BELIEF_BINS - 1)
    return np.stack([np.bincount(place, what, BELIEF_BINS) for what in (np.ones(len(said)), said, same)])


def _reliability(pairs: Floats, said: Floats, same: Floats) -> Reliability:
    return Reliability(said / np.maximum(pairs, 1e-12), same / np.maximum(pairs, 1e-12), pairs)


def cross_fitted(pairs: Pairs, own: Said | None = None) -> dict[str, Believed]:
    """Every kind of calibration by the distance alone, by its name, and under OWN what the searches themselves said.

    {} where a half of the people holds pairs of one kind only.
    """
    if not pairs.both_kinds:
        return {}
    found = {} if own is None else {OWN: own.believed}
    return found | {name: _believed(fit, pairs) for name, fit in FITS.items()}


def by_situation(turns: Sequence[Halving], strangers: Floats) -> Believed:
    """The first hits of every query, each half judged by the fit of the other, every halving with bins of its own.

    So its errors are the means over the halvings. strangers (Q,). Raises BadDataset, see Halving.fits.
    """
    told = [_told(turn, strangers) for turn in turns]
    likely = [(said[said >= SEEN_FROM], same[said >= SEEN_FROM]) for said, same in told]
    return Believed(None, *(_side_by_side([reliability(*pair) for pair in pairs]) for pairs in (likely, told)))


def _told(turn: Halving, strangers: Floats) -> tuple[NDArray[np.float32], Bools]:
    """What was said of the hits in the whole half by the fit of the other, and what was so."""
    fits, around = turn.fits(strangers), turn.hits.situation(strangers)
    by_fit = [fit.likelihood(turn.hits.distances, around)[:, 0] for fit in fits]
    there = np.isfinite(turn.hits.distances[:, 0])
    return np.where(turn.half[:, None] == 0, by_fit[1], by_fit[0])[there], turn.hits.same[:, 0][there]


def _side_by_side(found: Sequence[Reliability]) -> Reliability:
    parts = zip(*((each.likelihood, each.share, each.pairs) for each in found), strict=True)
    return Reliability(*(np.concatenate(part) for part in parts))


def fitted(fit: Callable[..., Curve], counts: Ints) -> Curve:
    """The curve of counts (2, BINS) of pairs: different and same person, by distance."""
    return fit(*_labelled(), weights=counts.ravel())


def _believed(fit: Callable[..., Curve], pairs: Pairs) -> Believed:
    """Both halves, each judged by the curve of the other, as one."""
    said = [fitted(fit, pairs.counts[1 - half]).likelihood(CENTRES) for half in (0, 1)]
    return _judging(pairs.counts, pairs.hits, np.stack(said)[:, None])


def _judging(counts: Ints, hits: Ints, said: NDArray[np.float32]) -> Believed:
    """counts, hits (..., 2, BINS): different and same person; said broadcasts to them: likelihoods by distance."""
    return Believed(_judged(said, counts), _judged(said, counts * (said >= SEEN_FROM)), _judged(said, hits))


def _judged(said: NDArray[np.float32], counts: Ints) -> Reliability:
    same = np.broadcast_to(np.array([[False], [True]]), counts.shape)
    return reliability(np.broadcast_to(said, counts.shape).ravel(), same.ravel(), weights=counts.ravel())


def _labelled() -> tuple[Floats, Bools]:
    return np.tile(CENTRES, 2), np.repeat(np.array([False, True]), BINS)
