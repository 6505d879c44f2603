"""The operator path in one place: photos -> features -> ranking -> sightings -> path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reid_engine.contracts import Hit, Place, Ranking, Sighting, Trajectory
from reid_engine.engine import Engine
from reid_engine.errors import EmptyGallery
from reid_engine.photo import load_photo
from reid_engine.sightings import collapse
from reid_engine.trajectory import GroundDistance, build

from .messages import gettext_noop as _

LIMIT = 1000


@dataclass(frozen=True)
class Gallery:
    """What is searched: N crops by id (N,), features (N, D), camera and clock-corrected time (N,), and the cameras.

    `places` and `clock_uncertainty` (seconds) are by camera; `ground_distance` is a road graph's, if there is one.
    """

    ids: NDArray[np.int64]
    features: NDArray[np.float16]
    camera_ids: NDArray[np.int64]
    seen_at: NDArray[np.float64]
    places: Mapping[int, Place]
    clock_uncertainty: Mapping[int, float] = field(default_factory=dict)
    ground_distance: GroundDistance | None = None


@dataclass(frozen=True)
class Answer:
    """The nearest crops, the sightings they make, likeliest first, and the path through them."""

    ranking: Ranking
    sightings: list[Sighting]
    trajectory: Trajectory


def search(engine: Engine, photos: Sequence[bytes], gallery: Gallery, limit: int = LIMIT) -> Answer:
    """Where and when was the person on the photos seen? Raises BadPhoto, EmptyGallery or BundleMismatch."""
    if not len(gallery.ids):
        raise EmptyGallery(_("There is no crop to search in; choose another unit or period."))
    query = engine.query_features([load_photo(data) for data in photos])
    ranking = engine.rank(query, gallery.features, gallery.ids, limit)
    sightings = collapse(hits_of(ranking, gallery), gallery.places, gallery.clock_uncertainty)
    return Answer(ranking, sightings, build(sightings, gallery.ground_distance))


def hits_of(ranking: Ranking, gallery: Gallery) -> list[Hit]:
    """The ranked crops with camera and time, in the ranking's order."""
    order = np.argsort(gallery.ids)
    rows = order[np.searchsorted(gallery.ids, ranking.ids, sorter=order)]
    columns = (ranking.ids, gallery.camera_ids[rows], gallery.seen_at[rows], ranking.distances, ranking.likelihoods)
    return [Hit(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
