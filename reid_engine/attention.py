"""The weights of diff attention as plain tensors, and the distance that follows from three sums over its map."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from reid_engine.models.diff_attention import DiffAttention

EPS = 1e-12


@dataclass(frozen=True, eq=False)
class Attention:
    """The weights of diff attention as plain tensors: w1 (h, D), w2 (D, h), four scalars, three options.

    f = w_d T(g - q) + w_q q + w_g g + b;  A = activation(w2 relu(w1 f));  D(A*q, A*g), both normalised (method.md, 1).
    """

    w1: Tensor
    w2: Tensor
    w_d: float
    w_q: float
    w_g: float
    b: float
    transform: str = "abs"
    activation: str = "sigmoid"
    metric: str = "euclidean"
    _packed: dict[tuple[torch.dtype, int], tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, module: DiffAttention) -> Attention:
        """The weights of a trained module, float32, on the module's device."""
        w_d, w_q, w_g, b = (float(scalar.detach()) for scalar in module.scalars())
        w1, w2 = (layer.weight.detach().float() for layer in (module.reduce, module.expand))
        return cls(w1, w2, w_d, w_q, w_g, b, module.transform, module.activation, module.metric)

    @property
    def dim(self) -> int:
        return self.w1.shape[1]

    @property
    def hidden(self) -> int:
        return self.w1.shape[0]

    @cached_property
    def columns(self) -> tuple[Tensor, Tensor]:
        """w1 and w2 transposed and contiguous, as the products over rows need them."""
        return self.w1.t().contiguous(), self.w2.t().contiguous()

    def packed(self, dtype: torch.dtype, tile: int) -> tuple[Tensor, Tensor]:
        """w1 and w2 in the order in which oneDNN's products over tiles of that many rows read them, kept."""
        if (dtype, tile) not in self._packed:
            reorder = torch.ops.mkldnn._reorder_linear_weight
            self._packed[dtype, tile] = reorder(self.w1.to(dtype), tile), reorder(self.w2.to(dtype), tile)
        return self._packed[dtype, tile]

    @property
    def scalars(self) -> tuple[float, float, float]:
        """(w_abs, w_squ, w_row): what of f depends on the row is w_abs |g - q| + w_squ (g - q)^2 + w_row g."""
        if self.transform == "sub":
            return 0.0, 0.0, self.w_g + self.w_d
        return (self.w_d, 0.0, self.w_g) if self.transform == "abs" else (0.0, self.w_d, self.w_g)

    def constant(self, query: Tensor) -> Tensor:
        """What every row's hidden units share, (h,): w1 times what of f depends on the query (D,) alone."""
        w_query = self.w_q - self.w_d if self.transform == "sub" else self.w_q
        return self.w1 @ (w_query * query + self.b)

    def distances(self, sums: Tensor) -> Tensor:
        """(n, 3) sums |Aq|^2, |Ag|^2, |A(g - q)|^2 -> (n,) distance of the two directions.

        |u - v|^2 = (|a - b|^2 - (|a| - |b|)^2) / (|a| |b|) for u = a/|a|, v = b/|b|: unlike 2 - 2 cos it does not
        cancel where the two are near. A zero vector has no direction; it stays zero, as in the training code.
        """
        a, b = sums[:, 0].sqrt(), sums[:, 1].sqrt()
        chord_square = ((sums[:, 2] - (a - b).square()) / (a * b).clamp_min(EPS * EPS)).clamp_(0.0, 4.0)
        nothing = (a <= EPS) | (b <= EPS)
        if self.metric == "cosine":
            return torch.where(nothing, torch.ones_like(a), chord_square / 2)
        alone = ((a > EPS) | (b > EPS)).float()
        return torch.where(nothing, alone, chord_square.sqrt())
