"""The frozen values that cross the border between reid_engine and its callers.

Only numpy and the standard library: the web process imports this module and must never load torch.
Times are seconds since the epoch (UTC, corrected for the camera's clock); distances on the ground are metres.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["confirmed", "rejected", "undecided"]


@dataclass(frozen=True)
class Ranking:
    """Gallery rows in ascending order of distance.

    ids (K,) int64, unique; distances (K,) float32, ascending; cosine (K,) float32 plain similarity of the same rows;
    likelihoods (K,) float32 in 0..1. `scanned` counts the rows looked at; `exact` is True when every one of them
    was scored by diff attention, not only a coarse shortlist.
    """

    ids: NDArray[np.int64]
    distances: NDArray[np.float32]
    cosine: NDArray[np.float32]
    likelihoods: NDArray[np.float32]
    scanned: int
    exact: bool

    def __post_init__(self) -> None:
        sizes = {len(self.ids), len(self.distances), len(self.cosine), len(self.likelihoods)}
        if len(sizes) != 1:
            raise ValueError(f"a ranking needs one distance, cosine and likelihood per id, got lengths {sorted(sizes)}")
        ordered = np.sort(self.ids)  # a tenth of what np.unique takes
        if np.any(ordered[1:] == ordered[:-1]):
            raise ValueError("a ranking holds each id once")
        if np.any(np.diff(self.distances) < 0):
            raise ValueError("a ranking is ordered by ascending distance")


@dataclass(frozen=True)
class Place:
    """A camera's position: degrees WGS-84, and the radius in metres within which it sees people."""

    longitude: float
    latitude: float
    view_radius_m: float = 0.0


@dataclass(frozen=True)
class Hit:
    """One ranked crop before it is collapsed into a sighting; `seen_at` is already clock-corrected."""

    crop_id: int
    camera_id: int
    seen_at: float
    distance: float
    likelihood: float


@dataclass(frozen=True)
class Sighting:
    """One stay of a person before one camera: crops close in time and alike, best crop first."""

    id: int
    camera_id: int
    start: float
    end: float
    likelihood: float
    crop_ids: tuple[int, ...]
    place: Place
    clock_uncertainty_s: float = 0.0
    verdict: Verdict = "undecided"


@dataclass(frozen=True)
class Stop:
    """A sighting on the path, with the marginal probability that the person was there."""

    sighting_id: int
    confidence: float


@dataclass(frozen=True)
class Leg:
    """The way between two consecutive stops; `needed_speed` in m/s, `route` the (lon, lat) points of a road graph."""

    from_id: int
    to_id: int
    distance_m: float
    seconds: float
    needed_speed: float
    confidence: float
    route: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Conflict:
    """Two confirmed sightings that cannot both be true, and why."""

    first_id: int
    second_id: int
    distance_m: float
    seconds: float


@dataclass(frozen=True)
class Trajectory:
    """The maximum-weight chain of sightings in time order (product.md, "Hits to sightings to path")."""

    stops: tuple[Stop, ...]
    legs: tuple[Leg, ...]
    weight: float
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True)
class PhotoQuality:
    """What is measured on a query photo before it is used, and the reasons it may be poor (keys, not sentences)."""

    width: int
    height: int
    sharpness: float
    brightness: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvalRow:
    """One line of an evaluation table. `cmc` maps rank to share; every figure is 0..1."""

    name: str
    cmc: dict[int, float]
    mean_ap: float
    mean_inp: float


@dataclass(frozen=True)
class CameraPair:
    """Figures 0..1 of the queries of one camera with a match before another, against that other's crops alone."""

    query_camera: int
    gallery_camera: int
    queries: int
    rank1: float
    mean_ap: float


@dataclass(frozen=True)
class EvalReport:
    """Figures of one bundle on one data set: diff attention beside plain cosine, and what was skipped.

    `extra` holds single figures by name (intervals, calibration, open set), `cameras` the first row's camera pairs.
    """

    dataset: str
    queries: int
    gallery: int
    skipped_queries: int
    rows: tuple[EvalRow, ...]
    extra: dict[str, float] = field(default_factory=dict)
    cameras: tuple[CameraPair, ...] = ()
