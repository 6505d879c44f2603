"""Is the person in the gallery at all? How far the best hit is, measured by how far strangers are. numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reid_engine.calibration import TINY, directions, strangeness

LOOKED_AT = 100
ALIKE = 3
ALIKE_WITHIN = 0.9


def absence(query: NDArray[np.floating], hits: NDArray[np.floating], strangers: NDArray[np.float32]) -> float | None:
    """Distance of the query (D,) from the look of its best hit, over how far both are from their nearest strangers.

    `hits` (N, D) are the features of the nearest crops, the best first; those after LOOKED_AT make no difference, and
    without any there is no answer. `strangers` (C, D) are directions of people in no gallery: at 1 they are as near as
    the hit is. Distances are plain, sqrt(2 - 2 cosine). That both sides are measured against strangers is the adaptive
    symmetric normalisation of speaker verification (Matejka et al., Interspeech 2017).
    """
    if not len(hits):
        return None
    photo, look = directions(query[None])[0], _look(directions(hits[:LOOKED_AT]))
    apart = float(np.linalg.norm(photo - look))
    return apart / max(float(strangeness(np.stack([photo, look]), strangers).mean()), TINY)


def _look(hits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean direction (D,) of the best hit and of the ALIKE nearest to it, where near: other sides of one person."""
    apart = np.linalg.norm(hits - hits[0], axis=1)
    near = np.argsort(apart, kind="stable")[: 1 + ALIKE]
    mean = hits[near[apart[near] <= ALIKE_WITHIN]].mean(axis=0, keepdims=True)
    return np.asarray(directions(mean)[0])
