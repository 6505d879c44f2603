"""The likelihoods of a bundle: fitted on a validation part, on what an operator sees, in galleries of several sizes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import bundle
from ..absence import absence
from ..calibration import Situated, directions, strangeness
from ..evaluation.hits import Hits
from ..evaluation.openset import absences, limit_of
from ..models.diff_attention import DiffAttention
from .frozen import Frozen
from .validate import Held, attended_distances

STRANGERS = 3000


@dataclass(frozen=True)
class Fitted:
    """A bundle's calibration, and where it says that a person is not in the gallery.

    Of the people the calibration was fitted on, FALSE_ALARMS of those who are there are more absent (absence.absence)
    than `absent_above`, and `absent_found` of those who are not.
    """

    calibration: Situated
    absent_above: float
    absent_found: float

    @property
    def metrics(self) -> dict[str, float]:
        """What a bundle's manifest keeps among its metrics."""
        return {"absent_above": self.absent_above, "absent_found": self.absent_found}


def calibrated(query: Held, gallery: Held, attention: DiffAttention, strangers: NDArray[np.floating]) -> Fitted:
    """The calibration of a bundle by its validation part; `strangers` (C, D), features of people not among them.

    Pairs of one person before one camera are left out, as in scoring. Raises BadDataset where no pair, or every pair,
    is of the same person.
    """
    table = attended_distances(query, gallery, attention)
    same = query.person_ids[:, None] == gallery.person_ids
    other = ~(same & (query.camera_ids[:, None] == gallery.camera_ids))
    around = directions(strangers)
    near = strangeness(query.vectors.numpy(), around)
    found = Hits.of(table, same, other).fit(near, np.ones(len(same), bool))
    features = query.vectors.numpy(), gallery.vectors.numpy()
    evidence = absences(partial(absence, strangers=around), features, table, (same, ~other))
    above = limit_of(evidence[(same & other).any(axis=1), 0])
    return Fitted(found, above, float((evidence[:, 1] > above).mean()))


def recalibrate(source: Path, target: Path, frozen: Frozen) -> Fitted:
    """Writes the bundle `source` with a new calibration to `target`; `frozen` are its features of a data set.

    Query and gallery fit the calibration, the training part gives the strangers; what an older calibration said of
    absent people goes. Raises BadDataset, BundleCorrupt.
    """
    loaded = bundle.read(source)
    strangers = frozen.train.vectors.numpy()[some_rows(len(frozen.train.vectors))]
    model = loaded.model()
    found = calibrated(frozen.query, frozen.gallery, model.attention, strangers)
    kept = {name: value for name, value in loaded.manifest["metrics"].items() if not name.startswith("absent_")}
    facts = {"calibration": found.calibration.as_dict(), "metrics": kept | found.metrics}
    bundle.write(target, model, {**loaded.manifest, **facts}, strangers)
    return found


def some_rows(count: int) -> NDArray[np.int64]:
    """Which of a training part's `count` crops to keep as strangers: at most STRANGERS, evenly over its order."""
    return np.unique(np.linspace(0, count - 1, min(count, STRANGERS)).round().astype(np.int64))
