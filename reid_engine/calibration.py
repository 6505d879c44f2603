"""From distance to likelihood: how many of 100 labelled pairs at this distance show the same person. numpy only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from reid_engine.errors import BadDataset, BundleCorrupt

from .messages import gettext_noop as _

PLATT, POWER, ISOTONIC, SITUATED = "platt", "power", "isotonic", "situated"
MAX_STEPS = 100
TOLERANCE = 1e-10
TINY = 1e-9
FARTHEST = 1e6  # stands for infinity, where a slope of 0 must not make it no number
NEAREST_STRANGERS = 10
LIKELIHOOD_RANGE = 500.0  # exponents beyond this are certainty in float64 as well
POWERS = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
SITUATED_POWER = 1.5  # of 1, 1.5 .. 3 the one whose likelihoods held best in galleries from 1/8 to 7 times the size

Floats = NDArray[np.float64]
Weights = NDArray[np.integer] | NDArray[np.floating] | None


@dataclass(frozen=True)
class Situation:
    """What a distance means depends on: the rows searched, and the query's mean distance to its nearest strangers.

    Among more rows more strangers are near, and a query in common clothes has strangers nearer than others. Either one
    number for all distances or an array of their shape.
    """

    rows: float | Floats
    strangers: float | Floats


@dataclass(frozen=True)
class Calibration:
    """likelihood = 1 / (1 + exp(a * distance ** power + b)) with a >= 0, power > 0: never rises with the distance.

    With power 1 it is Platt's (1999); with 2 it is Platt's of the cosine, for distance ** 2 = 2 - 2 cosine. A higher
    power levels the curve off where pairs are near and nearness says little more.
    """

    a: float
    b: float
    power: float = 1.0

    def __post_init__(self) -> None:
        if not (all(map(math.isfinite, (self.a, self.b, self.power))) and self.a >= 0 and self.power > 0):
            raise ValueError(f"a calibration needs a finite slope of 0 or more, offset and power above 0, got {self}")

    def likelihood(self, distances: NDArray[np.floating], situation: Situation | None = None) -> NDArray[np.float32]:
        """Distances (N,) -> probabilities (N,) float32 in 0..1 that both pictures show the same person."""
        return _sigmoid(-(self.a * _raised(distances, self.power) + self.b)).astype(np.float32)

    def as_dict(self) -> dict[str, object]:
        """What a bundle's manifest stores under `calibration`."""
        kept: dict[str, object] = {"kind": PLATT, "a": self.a, "b": self.b}
        return kept if self.power == 1 else kept | {"kind": POWER, "power": self.power}

    @classmethod
    def from_dict(cls, stored: Mapping[str, object]) -> Curve:
        """The inverse of `as_dict`, of every kind. Raises BundleCorrupt on anything else."""
        try:
            if stored["kind"] == ISOTONIC:
                return Isotonic(_numbers(stored["distances"]), _numbers(stored["likelihoods"]))
            if stored["kind"] == SITUATED:
                return Situated(*(float(str(stored[name])) for name in ("a", "b", "power", "rows", "strangers")))
            if stored["kind"] not in (PLATT, POWER):
                raise ValueError(f"unknown kind {stored['kind']!r}")
            names = ("a", "b", "power")[: 2 if stored["kind"] == PLATT else 3]
            return cls(*(float(str(stored[name])) for name in names))
        except (KeyError, ValueError, TypeError) as error:
            text = _("The calibration %(calibration)r cannot be used (%(error)s); write the bundle again.")
            raise BundleCorrupt(text, calibration=dict(stored), error=error) from error


@dataclass(frozen=True)
class Isotonic:
    """A falling line through (distance, likelihood) knots: straight between them, level beyond the ends."""

    distances: tuple[float, ...]
    likelihoods: tuple[float, ...]

    def __post_init__(self) -> None:
        knots, values = np.array(self.distances), np.array(self.likelihoods)
        whole = len(knots) == len(values) > 0 and np.isfinite(knots).all() and (np.diff(knots) > 0).all()
        if not (whole and values.min() >= 0 and values.max() <= 1 and (np.diff(values) <= 0).all()):
            raise ValueError("an isotonic calibration needs rising distances and falling likelihoods in 0..1")

    def likelihood(self, distances: NDArray[np.floating], situation: Situation | None = None) -> NDArray[np.float32]:
        """Distances (N,) -> probabilities (N,) float32 in 0..1 that both pictures show the same person."""
        return np.interp(np.asarray(distances, np.float64), self.distances, self.likelihoods).astype(np.float32)

    def as_dict(self) -> dict[str, object]:
        """What a bundle's manifest stores under `calibration`."""
        return {"kind": ISOTONIC, "distances": list(self.distances), "likelihoods": list(self.likelihoods)}


@dataclass(frozen=True)
class Situated:
    """likelihood = 1 / (1 + exp(a d^power + b + rows ln(rows searched) - strangers s)), a >= 0; see Situation for s.

    For one query in one gallery it falls with the distance d. With rows = 1 it would be Bayes' rule for people who are
    seen as often in a large gallery as in a small one.
    """

    a: float
    b: float
    power: float
    rows: float
    strangers: float

    def __post_init__(self) -> None:
        numbers = (self.a, self.b, self.power, self.rows, self.strangers)
        if not (all(map(math.isfinite, numbers)) and self.a >= 0 and self.power > 0):
            raise ValueError(
                f"a situated calibration needs finite numbers, a slope of 0 or more, a power above 0: {self}"
            )

    def doubt(self, distances: NDArray[np.floating], situation: Situation | None) -> Floats:
        """Log-odds (N,) against the same person. Raises ValueError without a situation."""
        if situation is None:
            raise ValueError("this calibration needs the situation of the search")
        known = self.b + self.rows * np.log(np.maximum(situation.rows, 1)) - self.strangers * situation.strangers
        return np.asarray(self.a * np.minimum(_raised(distances, self.power), FARTHEST) + known, np.float64)

    def likelihood(self, distances: NDArray[np.floating], situation: Situation | None = None) -> NDArray[np.float32]:
        """Distances (N,) -> probabilities (N,) float32 in 0..1 that both pictures show the same person."""
        return _sigmoid(-self.doubt(distances, situation)).astype(np.float32)

    def as_dict(self) -> dict[str, object]:
        """What a bundle's manifest stores under `calibration`."""
        return {"kind": SITUATED, **asdict(self)}


Curve = Calibration | Isotonic | Situated


def fit_platt(distances: NDArray[np.floating], same: NDArray[np.bool_], weights: Weights = None) -> Calibration:
    """Fit a and b to labelled pairs: distances (N,), same (N,) True where both pictures show one person.

    Newton's method on the cross entropy with Platt's smoothed targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2), which keep
    the fit finite on separable pairs. `weights` (N,) says how often each pair occurs (default: once). The share of same
    pairs is taken as given: give pairs as a search meets them. Where distance says nothing, or the wrong thing, the
    slope is 0. Raises BadDataset unless both kinds are present.
    """
    return _logistic(*_checked(distances, same, weights))[0]


def fit_power(distances: NDArray[np.floating], same: NDArray[np.bool_], weights: Weights = None) -> Calibration:
    """As `fit_platt`, of the power of the distance (one of POWERS) that fits the pairs best."""
    wide, labels, counts = _checked(distances, same, weights)
    fits = [(_logistic(np.maximum(wide, 0) ** power, labels, counts), power) for power in POWERS]
    (line, _), power = min(fits, key=lambda fit: fit[0][1])
    return Calibration(line.a, line.b, power if line.a else 1.0)


def fit_situated(
    distances: NDArray[np.floating], same: NDArray[np.bool_], situation: Situation, power: float = SITUATED_POWER
) -> Situated:
    """As `fit_platt`, of pairs (N,) met in several situations: arrays (N,) too, with galleries of several sizes.

    Give the pairs a person looks at, the nearest of each query. Where distance says nothing, the plain share is left.
    """
    wide, labels, counts = _checked(distances, same, None)
    columns = (_raised(wide, power), np.log(np.maximum(situation.rows, 1)), -np.asarray(situation.strangers))
    values = np.stack([np.broadcast_to(column, wide.shape) for column in columns], axis=1)
    centres, scales = values.mean(axis=0), values.std(axis=0)
    scales = np.where(scales > TINY, scales, np.inf)  # what never varies says nothing
    targets = _targets(labels, counts)
    (*slopes, offset), _ = _newton((values - centres) / scales, targets, counts)
    a, rows, strangers = np.array(slopes) / scales
    if a <= 0:
        return Situated(0.0, _log_odds(1 - float(targets.mean())), power, 0.0, 0.0)
    return Situated(float(a), float(offset - (a, rows, strangers) @ centres), power, float(rows), float(strangers))


def fit_isotonic(distances: NDArray[np.floating], same: NDArray[np.bool_], weights: Weights = None) -> Isotonic:
    """The falling step function nearest to the labels (pool adjacent violators), as a line through its steps' middles.

    The line keeps near pairs apart where steps would make them equal. Arguments and errors as `fit_platt`.
    """
    wide, labels, counts = _checked(distances, same, weights)
    order = np.argsort(wide, kind="stable")
    blocks = _pooled(wide[order], labels[order].astype(np.float64), counts[order])
    return Isotonic(tuple(centre for centre, _, _ in blocks), tuple(share for _, share, _ in blocks))


def strangeness(queries: NDArray[np.floating], strangers: NDArray[np.float32]) -> Floats:
    """Mean distance sqrt(2 - 2 cosine) of each query (Q, D) to its nearest strangers (C, D), NEAREST_STRANGERS of them.

    It needs no gallery: it says how common a look is. Strangers are given as `directions`, made once for all queries.
    """
    few = min(NEAREST_STRANGERS, len(strangers))
    cosines = np.einsum("qd,cd->qc", directions(queries), strangers)  # not by `@`: see Attention.constant
    nearest = -np.partition(-cosines, few - 1, axis=1)[:, :few]
    return np.asarray(np.sqrt(np.maximum(2 - 2 * nearest, 0)).mean(axis=1), np.float64)


def directions(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows (N, D) at length 1; a zero row stays zero."""
    wide = np.asarray(rows, np.float32)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), TINY), np.float32)


def expected_calibration_error(
    likelihoods: NDArray[np.floating], same: NDArray[np.bool_], bins: int = 15, weights: Weights = None
) -> float:
    """Mean gap, weighted by pairs, between likelihood and share of same pairs within bins of equal width; 0..1."""
    return reliability(likelihoods, same, bins, weights).error


@dataclass(frozen=True)
class Reliability:
    """Per bin of likelihood (equal width): mean likelihood, share of same pairs (both 0 where empty), and pairs."""

    likelihood: Floats
    share: Floats
    pairs: Floats

    @property
    def error(self) -> float:
        """The expected calibration error; 0 without pairs."""
        total = float(self.pairs.sum())
        return float((self.pairs * np.abs(self.likelihood - self.share)).sum() / total) if total else 0.0


def reliability(
    likelihoods: NDArray[np.floating], same: NDArray[np.bool_], bins: int = 15, weights: Weights = None
) -> Reliability:
    """What was said beside what was so: likelihoods (N,), same (N,), weights (N,) how often each pair occurs."""
    said, labels = np.asarray(likelihoods, dtype=np.float64), np.asarray(same, dtype=np.float64)
    counts = np.ones(len(said)) if weights is None else np.asarray(weights, np.float64)
    bin_of = np.minimum((said * bins).astype(np.int64), bins - 1)
    pairs, claimed, so = (
        np.asarray(np.bincount(bin_of, counts * what, bins), np.float64) for what in (np.ones(len(said)), said, labels)
    )
    return Reliability(claimed / np.maximum(pairs, 1e-12), so / np.maximum(pairs, 1e-12), pairs)


def _checked(
    distances: NDArray[np.floating], same: NDArray[np.bool_], weights: Weights
) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Pairs as float64 and bool, those of weight 0 left out. Raises BadDataset unless both kinds are left."""
    counts = np.ones(len(distances)) if weights is None else np.asarray(weights, np.float64)
    there = counts > 0
    wide, labels, counts = np.asarray(distances, np.float64)[there], np.asarray(same, bool)[there], counts[there]
    if labels.all() or not labels.any():
        raise BadDataset(_("A calibration needs pairs of the same person and of different people."), pairs=len(labels))
    return wide, labels, counts


def _logistic(values: Floats, same: NDArray[np.bool_], counts: Floats) -> tuple[Calibration, float]:
    """The fit over these values of the distance, and its cross entropy; slope 0 where they say the wrong thing."""
    targets = _targets(same, counts)
    centre = float(np.average(values, weights=counts))
    scale = math.sqrt(float(np.average((values - centre) ** 2, weights=counts))) or 1.0
    (slope, offset), loss = _newton(((values - centre) / scale)[:, None], targets, counts)
    if slope <= 0:
        return Calibration(0.0, _log_odds(1 - float(np.average(targets, weights=counts)))), math.inf
    return Calibration(slope / scale, offset - slope * centre / scale), loss


def _targets(same: NDArray[np.bool_], counts: Floats) -> Floats:
    positive, negative = float(counts[same].sum()), float(counts[~same].sum())
    return np.asarray(np.where(same, (positive + 1) / (positive + 2), 1 / (negative + 2)), np.float64)


def _newton(x: Floats, targets: Floats, counts: Floats) -> tuple[list[float], float]:
    """Slopes and offset that minimise the cross entropy of 1 / (1 + exp(x @ slopes + offset)), and it; x (N, k).

    It is convex.
    """
    weights = np.array([0.0] * x.shape[1] + [_log_odds(1 - float(np.average(targets, weights=counts)))])
    design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    loss = _loss(design @ weights, targets, counts)
    for _step in range(MAX_STEPS):
        step = _newton_step(design, weights, targets, counts)
        weights, before, loss = _line_search(design, weights, step, targets, counts, loss)
        if before - loss <= TOLERANCE * counts.sum():
            break
    return weights.tolist(), loss


def _newton_step(design: Floats, weights: Floats, targets: Floats, counts: Floats) -> Floats:
    likelihood = _sigmoid(-(design @ weights))
    gradient = design.T @ (counts * (targets - likelihood))
    curvature = (design * (counts * likelihood * (1 - likelihood))[:, None]).T @ design
    return np.asarray(np.linalg.solve(curvature + 1e-12 * np.eye(len(weights)), gradient), np.float64)


def _line_search(
    design: Floats, weights: Floats, step: Floats, targets: Floats, counts: Floats, loss: float
) -> tuple[Floats, float, float]:
    """The first of full, half, quarter ... step that lowers the loss; the weights as they were when none does."""
    for halvings in range(30):
        tried = weights - step / 2**halvings
        found = _loss(design @ tried, targets, counts)
        if found < loss:
            return tried, loss, found
    return weights, loss, loss


def _loss(exponents: Floats, targets: Floats, counts: Floats) -> float:
    """Cross entropy of 1 / (1 + exp(z)) against the targets, stable for large z."""
    return float((counts * (np.logaddexp(0.0, exponents) - (1 - targets) * exponents)).sum())


def _pooled(distances: Floats, values: Floats, counts: Floats) -> list[tuple[float, float, float]]:
    """Blocks (mean distance, share of same pairs, pairs) whose share falls from one to the next, distances rising."""
    blocks: list[tuple[float, float, float]] = []
    for new in _levels(distances, values, counts):
        while blocks and blocks[-1][1] <= new[1]:
            new = _merged(blocks.pop(), new)
        blocks.append(new)
    return blocks


def _levels(distances: Floats, values: Floats, counts: Floats) -> list[tuple[float, float, float]]:
    """One block per distance that occurs: equal distances have one likelihood."""
    levels, place = np.unique(distances, return_inverse=True)
    pairs, same = np.bincount(place, counts), np.bincount(place, counts * values)
    return list(zip(levels.tolist(), (same / pairs).tolist(), pairs.tolist(), strict=True))


def _merged(first: tuple[float, float, float], second: tuple[float, float, float]) -> tuple[float, float, float]:
    pairs = first[2] + second[2]
    distance, share = ((first[at] * first[2] + second[at] * second[2]) / pairs for at in (0, 1))
    return distance, min(1.0, share), pairs


def _numbers(stored: object) -> tuple[float, ...]:
    if not isinstance(stored, Sequence) or isinstance(stored, str):
        raise ValueError("knots must be a list of numbers")
    return tuple(float(str(value)) for value in stored)


def _sigmoid(z: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(z, -LIKELIHOOD_RANGE, LIKELIHOOD_RANGE))))


def _raised(distances: NDArray[np.floating], power: float) -> Floats:
    wide = np.asarray(distances, dtype=np.float64)
    return wide if power == 1 else np.asarray(np.maximum(wide, 0) ** power, np.float64)


def _log_odds(share: float) -> float:
    return math.log(share / (1 - share))
