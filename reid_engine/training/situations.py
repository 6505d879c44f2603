"""The likelihoods of a bundle: fitted on a validation part, on what an operator sees, in galleries of several sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import bundle
from ..calibration import Situated, strangeness
from ..evaluation.hits import Hits
from ..models.diff_attention import DiffAttention
from .frozen import Frozen
from .validate import Held, attended_distances

STRANGERS = 3000


def calibrated(query: Held, gallery: Held, attention: DiffAttention, strangers: NDArray[np.floating]) -> Situated:
    """The calibration of a bundle by its validation part; `strangers` (C, D), features of people not among them.

    Pairs of one person before one camera are left out, as in scoring. Raises BadDataset where no pair, or every pair,
    is of the same person.
    """
    table = attended_distances(query, gallery, attention)
    same = query.person_ids[:, None] == gallery.person_ids
    own = same & (query.camera_ids[:, None] == gallery.camera_ids)
    everybody = np.ones(len(same), bool)
    return Hits.of(table, same, ~own).fit(strangeness(query.vectors.numpy(), strangers), everybody)


def recalibrate(source: Path, target: Path, frozen: Frozen) -> Situated:
    """Writes the bundle `source` with a new calibration to `target`; `frozen` are its features of a data set.

    Query and gallery fit the calibration, the training part gives the strangers. Raises BadDataset, BundleCorrupt.
    """
    loaded = bundle.read(source)
    strangers = frozen.train.vectors.numpy()[some_rows(len(frozen.train.vectors))]
    model = loaded.model()
    found = calibrated(frozen.query, frozen.gallery, model.attention, strangers)
    bundle.write(target, model, {**loaded.manifest, "calibration": found.as_dict()}, strangers)
    return found


def some_rows(count: int) -> NDArray[np.int64]:
    """Which of a training part's `count` crops to keep as strangers: at most STRANGERS, evenly over its order."""
    return np.unique(np.linspace(0, count - 1, min(count, STRANGERS)).round().astype(np.int64))
