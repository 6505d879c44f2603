"""Is the person in the gallery at all? How often an absent one is said to be absent, at which rate of false alarms.

A person is said to be absent where even the nearest crop is farther than a threshold. A false alarm is a person who is
there and is said to be absent. For the absent, the query's own person is taken out of the gallery.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .observe import Bools, Floats, Ints, Observed

FALSE_ALARMS = 0.05
RATES = np.linspace(0, 1, 201)


@dataclass(frozen=True)
class OpenSet:
    """`detected` of the absent at `false_alarms` of the present, the threshold set on the other half of the people.

    `curve` (RATES,) is the share of the absent detected at each rate of false alarms, thresholds set on everybody;
    `threshold` is that of FALSE_ALARMS on everybody.
    """

    detected: float
    false_alarms: float
    threshold: float
    curve: Floats


def open_set(observed: Observed) -> OpenSet | None:
    """From the nearest crop of each query; None where a half of the people has no query with a match."""
    return detection(observed.present[:, 0], observed.absent[:, 0], observed.valid, observed.half)


def detection(present: Floats, absent: Floats, valid: Bools, half: Ints) -> OpenSet | None:
    """present, absent (Q,): evidence of absence with and without the person; `valid` (Q,) where the person is there.

    A query without a match in the gallery counts among the absent alone.
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
    )
