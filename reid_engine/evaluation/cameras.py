"""Which pairs of cameras are hard: the figures of each query camera against each gallery camera."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..contracts import CameraPair
from .metrics import Identities, Scores, gathered, score

Cell = tuple[int, int]


def camera_scores(distances: NDArray[np.floating], queries: Identities, gallery: Identities) -> dict[Cell, Scores]:
    """Scores of one tile (T, G) by (query camera, gallery camera): the gallery holds that one camera alone."""
    found: dict[Cell, Scores] = {}
    seen = {int(camera): np.flatnonzero(gallery.camera_ids == camera) for camera in np.unique(gallery.camera_ids)}
    for camera in map(int, np.unique(queries.camera_ids)):
        asked = np.flatnonzero(queries.camera_ids == camera)
        for other, columns in seen.items():
            if other != camera:
                cell = distances[np.ix_(asked, columns)]
                found[camera, other] = score(cell, _only(queries, asked), _only(gallery, columns))
    return found


def camera_pairs(tiles: Iterable[dict[Cell, Scores]]) -> tuple[CameraPair, ...]:
    """The figures over all tiles, ordered by query camera, then gallery camera; pairs without a match are left out."""
    parts: dict[Cell, list[Scores]] = {}
    for tile in tiles:
        for cell, scores in tile.items():
            parts.setdefault(cell, []).append(scores)
    whole = {cell: gathered(scores) for cell, scores in sorted(parts.items())}
    return tuple(
        CameraPair(*cell, len(scores.ap), scores.cmc(1), scores.mean_ap)
        for cell, scores in whole.items()
        if len(scores.ap)
    )


def _only(crops: Identities, chosen: NDArray[np.int64]) -> Identities:
    return Identities(crops.person_ids[chosen], crops.camera_ids[chosen])
