"""The weights of diff attention as plain arrays, and the distance that follows from three sums over its map; numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from reid_engine.models.diff_attention import DiffAttention

EPS = 1e-12
WEIGHTS = ("aggregate", "reduce.weight", "expand.weight")  # as the module names them

Vector = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Attention:
    """The weights of diff attention: w1 (h, D), w2 (D, h) float32, four scalars, three options.

    f = w_d T(g - q) + w_q q + w_g g + b;  A = activation(w2 relu(w1 f));  D(A*q, A*g), both normalised (method.md, 1).
    `device` is where rows are scored: "cpu", or a GPU as torch names it.
    """

    w1: Vector
    w2: Vector
    w_d: float
    w_q: float
    w_g: float
    b: float
    transform: str = "abs"
    activation: str = "sigmoid"
    metric: str = "euclidean"
    device: str = "cpu"

    @classmethod
    def of(cls, module: DiffAttention) -> Attention:
        """The weights of a trained module, on the module's device."""
        weights = {name: module.get_parameter(name).detach().float().cpu().numpy() for name in WEIGHTS}
        return cls.from_weights(weights, module.config, str(module.aggregate.device))

    @classmethod
    def from_weights(cls, weights: Mapping[str, Any], config: Mapping[str, Any], device: str = "cpu") -> Attention:
        """From arrays named as WEIGHTS and the module's configuration; three numbers of `aggregate` are tied ones."""
        aggregate, w1, w2 = (np.asarray(weights[name], np.float32) for name in WEIGHTS)
        w_d, w_q, *w_g, b = aggregate.tolist()
        named = {"transform": "abs", "activation": "sigmoid", "distance": "euclidean"}
        transform, activation, metric = (str(config.get(name, default)) for name, default in named.items())
        return cls(w1, w2, w_d, w_q, w_g[0] if w_g else w_q, b, transform, activation, metric, device)

    @property
    def dim(self) -> int:
        return int(self.w1.shape[1])

    @property
    def hidden(self) -> int:
        return int(self.w1.shape[0])

    @property
    def scalars(self) -> tuple[float, float, float]:
        """(w_abs, w_squ, w_row): what of f depends on the row is w_abs |g - q| + w_squ (g - q)^2 + w_row g."""
        if self.transform == "sub":
            return 0.0, 0.0, self.w_g + self.w_d
        return (self.w_d, 0.0, self.w_g) if self.transform == "abs" else (0.0, self.w_d, self.w_g)

    def alone(self, query: Any) -> Any:
        """What of f depends on the query (..., D) alone: the same shape, numpy's or torch's array."""
        return (self.w_q - self.w_d if self.transform == "sub" else self.w_q) * query + self.b

    def constant(self, query: Vector) -> Vector:
        """What every row's hidden units share, (h,): w1 times what of f depends on the query (D,) alone.

        Not by `@`, whose threads wait for more work for 80 ms afterwards, each on a core that the rows need.
        """
        return np.asarray(np.einsum("hd,d->h", self.w1, self.alone(query)), np.float32)

    def distances(self, sums: Any, library: Any = np) -> Any:
        """(n, 3) sums |Aq|^2, |Ag|^2, |A(g - q)|^2 -> (n,) distance of the two directions; numpy's or torch's arrays.

        |u - v|^2 = (|a - b|^2 - (|a| - |b|)^2) / (|a| |b|) for u = a/|a|, v = b/|b|: unlike 2 - 2 cos it does not
        cancel where the two are near. A zero vector has no direction; it stays zero, as in the training code.
        """
        a, b = library.sqrt(sums[:, 0]), library.sqrt(sums[:, 1])
        chord_square = library.clip((sums[:, 2] - (a - b) ** 2) / library.clip(a * b, EPS * EPS, None), 0.0, 4.0)
        nothing = (a <= EPS) | (b <= EPS)
        if self.metric == "cosine":
            return library.where(nothing, library.ones_like(a), chord_square / 2)
        return library.where(nothing, (a > EPS) | (b > EPS), library.sqrt(chord_square))
