"""Is the person in the gallery at all? How often an absent one is said to be absent, at which rate of false alarms.

A person is said to be absent where the evidence of it is above a threshold: the distance of the nearest crop or, where
the bundle knows strangers, what reid_engine.absence says. A false alarm is a person who is there and is said to be
absent. For the absent, the query's own person is taken out of the gallery.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..absence import LOOKED_AT
from .observe import Bools, Floats, Ints, Observed, nearest

FALSE_ALARMS = 0.05
ROUNDS = 300
RATES = np.linspace(0, 1, 201)

Evidence = Callable[[NDArray[np.float32], NDArray[np.floating]], float | None]


@dataclass(frozen=True)
class OpenSet:
    """`detected` of the absent at `false_alarms` of the present, the threshold set on the other half of the people.

    `curve` (RATES,) is the share of the absent detected at each rate of false alarms, thresholds set on everybody;
    `threshold` is that of FALSE_ALARMS on everybody. `low` and `high` are the ends of the 95% interval of what is
    detected by such a threshold (people drawn with replacement, the threshold set on those drawn).
    """

    detected: float
    false_alarms: float
    threshold: float
    curve: Floats
    low: float
    high: float


def open_set(observed: Observed) -> OpenSet | None:
    """By the nearest crop's distance; None where a half of the people has no query with a match."""
    present, absent = observed.present[:, 0], observed.absent[:, 0]
    return detection(present, absent, observed.valid, observed.half, observed.people)


def open_set_by_absence(observed: Observed, evidence: Floats, halves: Sequence[Ints]) -> OpenSet | None:
    """By evidence (Q, 2) with the person in the gallery and without; the mean over the halvings, each (Q,)."""
    present, absent = evidence.T
    found = [one for half in halves if (one := _halved(present, absent, observed.valid, half)) is not None]
    every = detection(present, absent, observed.valid, observed.half, observed.people)
    if not found or every is None:
        return None
    detected, alarms = (float(np.mean(part)) for part in zip(*found, strict=True))
    return replace(every, detected=detected, false_alarms=alarms)


def absences(
    evidence: Evidence,
    features: tuple[NDArray[np.float32], NDArray[np.floating]],
    distances: NDArray[np.floating],
    labels: tuple[Bools, Bools],
) -> Floats:
    """What `evidence(query, hits)` says of queries (T, D) in a gallery (G, D) as it is, and without the person: (T, 2).

    `labels` (T, G) tell which crops show the same person, and which of those before the query's camera; these are left
    out. Infinite where no crop is left, or nothing is known.
    """
    queries, gallery = features
    found = [
        [_evidence(evidence, query, gallery, np.where(left_out, np.inf, row)) for left_out in (own, same)]
        for query, row, same, own in zip(queries, distances, *labels, strict=True)
    ]
    return np.array(found, np.float64).reshape(-1, 2)


def _evidence(
    evidence: Evidence, query: NDArray[np.float32], gallery: NDArray[np.floating], distances: NDArray[np.floating]
) -> float:
    found = evidence(query, gallery[nearest(distances, LOOKED_AT)])
    return np.inf if found is None else found


def limit_of(present: Floats) -> float:
    """The evidence that FALSE_ALARMS of further people who are there will exceed; present (N,) are N of their kind.

    The quantile is Weibull's, k / (N + 1): a half of the validation people would make the plain one alarm too often.
    """
    return float(np.quantile(present, 1 - FALSE_ALARMS, method="weibull"))


def _halved(present: Floats, absent: Floats, valid: Bools, half: Ints) -> tuple[float, float] | None:
    """(detected, false alarms) with thresholds from the other half; None where a half has nobody who is there."""
    if any(not (valid & (half == side)).any() for side in (0, 1)):
        return None
    limit = np.array([limit_of(present[valid & (half != side)]) for side in (0, 1)])[half]
    return float((absent > limit).mean()), float((present > limit)[valid].mean())


def detection(present: Floats, absent: Floats, valid: Bools, half: Ints, people: Ints | None = None) -> OpenSet | None:
    """present, absent (Q,): evidence of absence with and without the person; `valid` (Q,) where the person is there.

    A query without a match in the gallery counts among the absent alone. `people` (Q,) tells who is asked for.
    """
    found = _halved(present, absent, valid, half)
    if found is None:
        return None
    bounds = np.quantile(present[valid], 1 - RATES)
    return OpenSet(
        *found,
        limit_of(present[valid]),
        (absent[:, None] > bounds).mean(axis=0),
        *_interval(present, absent, valid, np.arange(len(half)) if people is None else people),
    )


def _interval(present: Floats, absent: Floats, valid: Bools, people: Ints) -> tuple[float, float]:
    """95% of what is detected when the people are others of their kind."""
    rng, rows_of = np.random.default_rng(0), [np.flatnonzero(people == person) for person in np.unique(people)]
    found = []
    for draw in rng.integers(0, len(rows_of), (ROUNDS, len(rows_of))):
        rows = np.concatenate([rows_of[person] for person in draw])
        if valid[rows].any():
            found.append((absent[rows] > limit_of(present[rows][valid[rows]])).mean())
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)
