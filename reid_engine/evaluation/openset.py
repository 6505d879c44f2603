"""Is the person in the gallery at all? How often an absent one is said to be absent, at which rate of false alarms.

A person is said to be absent where the evidence of it is above a threshold: the distance of the nearest crop or, with a
calibration that knows the situation, how far from likely that crop is. A false alarm is a person who is there and is
said to be absent. For the absent, the query's own person is taken out of the gallery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..calibration import Situated, Situation
from .hits import Halving
from .observe import Bools, Floats, Ints, Observed

FALSE_ALARMS = 0.05
ROUNDS = 300
RATES = np.linspace(0, 1, 201)


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


def open_set_by_situation(observed: Observed, turns: Sequence[Halving], strangers: Floats) -> OpenSet | None:
    """By doubt of the nearest crop, the mean over halvings; calibration and threshold of each half from the other.

    strangers (Q,). `curve` and the rest are those of a calibration by everybody.
    """
    found = [one for turn in turns if (one := _of_turn(observed, turn, strangers)) is not None]
    whole = _doubted(observed, turns[0].hits.fit(strangers, np.ones(len(strangers), bool)), strangers)
    every = detection(*whole, observed.valid, observed.half, observed.people)
    if not found or every is None:
        return None
    detected, alarms = (float(np.mean(part)) for part in zip(*found, strict=True))
    return replace(every, detected=detected, false_alarms=alarms)


def _of_turn(observed: Observed, turn: Halving, strangers: Floats) -> tuple[float, float] | None:
    """(detected, false alarms) with what is judged and what judges exchanged."""
    said, alarms = np.zeros(len(strangers), bool), np.zeros(len(strangers), bool)
    for half, fit in enumerate(turn.fits(strangers)):
        present, absent = _doubted(observed, fit, strangers)
        known = observed.valid & (turn.half == half)
        if not known.any():
            return None
        limit = np.quantile(present[known], 1 - FALSE_ALARMS)
        other = turn.half != half
        said[other], alarms[other] = absent[other] > limit, present[other] > limit
    return float(said.mean()), float(alarms[observed.valid].mean())


def _doubted(observed: Observed, fit: Situated, strangers: Floats) -> tuple[Floats, Floats]:
    """Doubt of the nearest crop with the person in the gallery, and without, (Q,) each; a gallery of one row."""
    around = Situation(1, strangers)
    return fit.doubt(observed.present[:, 0], around), fit.doubt(observed.absent[:, 0], around)


def detection(present: Floats, absent: Floats, valid: Bools, half: Ints, people: Ints | None = None) -> OpenSet | None:
    """present, absent (Q,): evidence of absence with and without the person; `valid` (Q,) where the person is there.

    A query without a match in the gallery counts among the absent alone. `people` (Q,) tells who is asked for.
    """
    if any(not (valid & (half == side)).any() for side in (0, 1)):
        return None
    limit = np.array([np.quantile(present[valid & (half != side)], 1 - FALSE_ALARMS) for side in (0, 1)])[half]
    bounds = np.quantile(present[valid], 1 - RATES)
    return OpenSet(
        float((absent > limit).mean()),
        float((present > limit)[valid].mean()),
        float(np.quantile(present[valid], 1 - FALSE_ALARMS)),
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
            found.append((absent[rows] > np.quantile(present[rows][valid[rows]], 1 - FALSE_ALARMS)).mean())
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)
