"""How far likelihoods can be believed, on people the calibration has never seen.

The people are halved: a curve is fitted on the pairs within one half and judged on the pairs within the other, and the
other way round. Distances come as counts per bin, fine enough (0.0005) to stand for themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..calibration import Curve, Reliability, fit_isotonic, fit_platt, fit_power, reliability
from .names import OWN
from .observe import BINS, WIDEST, Bools, Floats, Ints, Pairs

FITS: dict[str, Callable[..., Curve]] = {"platt": fit_platt, "power": fit_power, "isotonic": fit_isotonic}
CENTRES = (np.arange(BINS) + 0.5) * (WIDEST / BINS)
SEEN_FROM = 0.05


@dataclass(frozen=True)
class Believed:
    """What one kind of calibration said of people it was not fitted on, beside what was so.

    `every` takes every pair a search scores; nearly all of them are far apart and easy. `likely` takes those said to be
    the same person with at least SEEN_FROM, `hits` the nearest crops of each query (observe.FIRST_HITS): what a person
    looks at.
    """

    every: Reliability
    likely: Reliability
    hits: Reliability


def cross_fitted(pairs: Pairs, own: Curve | None = None) -> dict[str, Believed]:
    """Every kind of calibration by its name, and `own`, a bundle's, as it is (under OWN) over the whole gallery.

    {} where a half of the people holds pairs of one kind only.
    """
    if not pairs.counts.sum(axis=2).all():
        return {}
    found = {name: _believed(fit, pairs) for name, fit in FITS.items()}
    if own is None:
        return found
    every, hits = pairs.whole
    return {OWN: _judging(every, hits, own.likelihood(CENTRES)), **found}


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
