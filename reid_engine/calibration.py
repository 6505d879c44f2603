"""From distance to likelihood: how many of 100 labelled pairs at this distance show the same person. numpy only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid_engine.errors import BadDataset, BundleCorrupt

KIND = "platt"
MAX_STEPS = 100
TOLERANCE = 1e-10
LIKELIHOOD_RANGE = 500.0  # exponents beyond this are certainty in float64 as well

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """likelihood = 1 / (1 + exp(a * distance + b)) with a >= 0: never rises with the distance (Platt, 1999)."""

    a: float
    b: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.a) and math.isfinite(self.b) and self.a >= 0):
            raise ValueError(f"a calibration needs a finite slope of 0 or more and a finite offset, got {self}")

    def likelihood(self, distances: NDArray[np.floating]) -> NDArray[np.float32]:
        """Distances (N,) -> probabilities (N,) float32 in 0..1 that both pictures show the same person."""
        return _sigmoid(-(self.a * np.asarray(distances, dtype=np.float64) + self.b)).astype(np.float32)

    def as_dict(self) -> dict[str, object]:
        """What a bundle's manifest stores under `calibration`."""
        return {"kind": KIND, "a": self.a, "b": self.b}

    @classmethod
    def from_dict(cls, stored: Mapping[str, object]) -> Calibration:
        """The inverse of `as_dict`. Raises BundleCorrupt on anything else."""
        try:
            if stored["kind"] != KIND:
                raise ValueError(f"unknown kind {stored['kind']!r}")
            return cls(float(str(stored["a"])), float(str(stored["b"])))
        except (KeyError, ValueError) as error:
            message = f"The calibration {dict(stored)!r} cannot be used ({error}); write the bundle again."
            raise BundleCorrupt(message, calibration=dict(stored)) from error


def fit_platt(distances: NDArray[np.floating], same: NDArray[np.bool_]) -> Calibration:
    """Fit a and b to labelled pairs: distances (N,), same (N,) True where both pictures show one person.

    Newton's method on the cross entropy with Platt's smoothed targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2), which keep
    the fit finite on separable pairs. The share of same pairs is taken as given: give pairs as a search meets them.
    Where distance says nothing, or the wrong thing, the slope is 0. Raises BadDataset unless both kinds are present.
    """
    wide, labels = np.asarray(distances, dtype=np.float64), np.asarray(same, dtype=bool)
    if labels.all() or not labels.any():
        raise BadDataset("A calibration needs pairs of the same person and of different people.", pairs=len(labels))
    targets = _targets(labels)
    centre, scale = float(wide.mean()), float(wide.std()) or 1.0
    slope, offset = _newton((wide - centre) / scale, targets)
    if slope <= 0:
        return Calibration(0.0, _log_odds(1 - float(targets.mean())))
    return Calibration(slope / scale, offset - slope * centre / scale)


def expected_calibration_error(likelihoods: NDArray[np.floating], same: NDArray[np.bool_], bins: int = 15) -> float:
    """Mean gap, weighted by pairs, between likelihood and share of same pairs within bins of equal width; 0..1."""
    wide, labels = np.asarray(likelihoods, dtype=np.float64), np.asarray(same, dtype=np.float64)
    if not len(wide):
        return 0.0
    bin_of = np.minimum((wide * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(bin_of, weights=wide - labels, minlength=bins)
    return float(np.abs(gaps).sum() / len(wide))


def _targets(same: NDArray[np.bool_]) -> Floats:
    positive, negative = int(same.sum()), int((~same).sum())
    return np.asarray(np.where(same, (positive + 1) / (positive + 2), 1 / (negative + 2)), np.float64)


def _newton(x: Floats, targets: Floats) -> tuple[float, float]:
    """Slope and offset that minimise the cross entropy of 1 / (1 + exp(slope * x + offset)); the loss is convex."""
    weights = np.array([0.0, _log_odds(1 - float(targets.mean()))])
    design = np.stack([x, np.ones_like(x)], axis=1)
    loss = _loss(design @ weights, targets)
    for _ in range(MAX_STEPS):
        step = _newton_step(design, weights, targets)
        weights, before, loss = _line_search(design, weights, step, targets, loss)
        if before - loss <= TOLERANCE * len(x):
            break
    return float(weights[0]), float(weights[1])


def _newton_step(design: Floats, weights: Floats, targets: Floats) -> Floats:
    likelihood = _sigmoid(-(design @ weights))
    gradient = design.T @ (targets - likelihood)
    curvature = (design * (likelihood * (1 - likelihood))[:, None]).T @ design
    return np.asarray(np.linalg.solve(curvature + 1e-12 * np.eye(2), gradient), np.float64)


def _line_search(
    design: Floats, weights: Floats, step: Floats, targets: Floats, loss: float
) -> tuple[Floats, float, float]:
    """The first of full, half, quarter ... step that lowers the loss; the weights as they were when none does."""
    for halvings in range(30):
        tried = weights - step / 2**halvings
        found = _loss(design @ tried, targets)
        if found < loss:
            return tried, loss, found
    return weights, loss, loss


def _loss(exponents: Floats, targets: Floats) -> float:
    """Cross entropy of 1 / (1 + exp(z)) against the targets, stable for large z."""
    return float((np.logaddexp(0.0, exponents) - (1 - targets) * exponents).sum())


def _sigmoid(z: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(z, -LIKELIHOOD_RANGE, LIKELIHOOD_RANGE))))


def _log_odds(share: float) -> float:
    return math.log(share / (1 - share))
