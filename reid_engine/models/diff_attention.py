"""Diff attention: a map A over the feature, computed from a pair, that weighs both vectors before their distance.

d = T(g - q),  T in {sub: identity, squ: square, abs: absolute value}
f = w_d d + w_q q + w_g g + b
A = sigmoid(W2 relu(W1 f)),  W1 (h, p), W2 (p, h), no biases, h = p // ratio
D = distance(A*q, A*g), both L2-normalised
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..training.config import ACTIVATIONS, DISTANCES, TRANSFORMS, VARIANTS, require_one_of

PAIR_MEMORY = 128
LIVE_BLOCKS = 8
EPS = 1e-12


class DiffAttention(nn.Module):
    """The attention module over features of size `dim`; raw vectors go in; formulas above.

    `variant="paper"` is the paper's own: untied, trained on the features before the BNNeck and tested on those after it
    (`trained_on`). Otherwise both are those after it, and `tied=True` shares w_q and w_g, which makes the distance
    symmetric. Raises BadConfig on an unknown option.
    """

    def __init__(
        self,
        dim: int,
        ratio: int = 4,
        transform: str = "abs",
        tied: bool = True,
        activation: str = "sigmoid",
        distance: str = "euclidean",
        variant: str = "standard",
    ) -> None:
        super().__init__()
        require_one_of("transform", transform, TRANSFORMS)
        require_one_of("activation", activation, ACTIVATIONS)
        require_one_of("distance", distance, DISTANCES)
        require_one_of("variant", variant, VARIANTS)
        tied = tied and variant != "paper"
        self.dim, self.ratio, self.transform, self.tied = dim, ratio, transform, tied
        self.activation, self.metric, self.variant = activation, distance, variant
        self.aggregate = nn.Parameter(torch.empty(3 if tied else 4))
        self.reduce = nn.Linear(dim, max(1, dim // ratio), bias=False)
        self.expand = nn.Linear(max(1, dim // ratio), dim, bias=False)
        self.reset_parameters()

    @property
    def config(self) -> dict[str, object]:
        """The options a bundle needs to build the module again."""
        return {
            "ratio": self.ratio,
            "transform": self.transform,
            "tied": self.tied,
            "activation": self.activation,
            "distance": self.metric,
            "variant": self.variant,
        }

    @property
    def trained_on(self) -> Literal["pre", "post"]:
        """Which of the model's features a training gives the module: before or after the BNNeck."""
        return "pre" if self.variant == "paper" else "post"

    def reset_parameters(self) -> None:
        """Framework defaults: the aggregate is a 1x1 convolution of three channels, uniform within 1/sqrt(3)."""
        bound = 1 / math.sqrt(3)
        nn.init.uniform_(self.aggregate, -bound, bound)
        self.reduce.reset_parameters()
        self.expand.reset_parameters()

    def scalars(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(w_d, w_q, w_g, b)."""
        weights = self.aggregate
        return (weights[0], weights[1], weights[1], weights[2]) if self.tied else tuple(weights)  # type: ignore[return-value]

    def difference(self, q: Tensor, g: Tensor) -> Tensor:
        """T(g - q), broadcast over the leading dimensions; (..., D)."""
        gap = g - q
        if self.transform == "sub":
            return gap
        return gap.square() if self.transform == "squ" else gap.abs()

    def hidden(self, q: Tensor, g: Tensor) -> Tensor:
        """relu(W1 f), broadcast: (..., D), (..., D) -> (..., h)."""
        w_d, w_q, w_g, b = self.scalars()
        return torch.relu(self.reduce(w_d * self.difference(q, g) + w_q * q + w_g * g + b))

    def forward(self, q: Tensor, g: Tensor) -> Tensor:
        """The map: q (..., D), g (..., D), broadcast -> A (..., D)."""
        logits = self.expand(self.hidden(q, g))
        return torch.sigmoid(logits) if self.activation == "sigmoid" else logits

    def distance(self, q: Tensor, g: Tensor, normalise: bool = True) -> Tensor:
        """Distances of pairs: q (..., D), g (..., D), broadcast -> (...). Cosine is given as 1 - cos, 0..2."""
        attention = self(q, g)
        return pair_distance(attention * q, attention * g, self.metric, normalise)

    def distance_matrix(self, q: Tensor, g: Tensor, tile: int | None = None, normalise: bool = True) -> Tensor:
        """All pairs: q (Q, D), g (G, D) -> (Q, G), differentiable, in tiles of `tile` pairs (default by memory).

        Nothing of size (Q, G, D) exists beyond one tile: with gradients each of several tiles is computed again in the
        backward pass.
        """
        pairs = tile or pairs_within(PAIR_MEMORY, self.dim)
        if len(q) * len(g) <= pairs:
            return self.distance(q[:, None], g[None], normalise)
        columns = min(len(g), pairs)
        rows = max(1, pairs // columns)
        return torch.cat(
            [
                torch.cat([self._tile(part, piece, normalise) for piece in g.split(columns)], dim=1)
                for part in q.split(rows)
            ]
        )

    def dead_share(self, q: Tensor, g: Tensor) -> float:
        """Share of hidden units that fire for none of the pairs q (B, D), g (B, D); 1.0 is a dead module."""
        with torch.no_grad():
            return float((self.hidden(q, g) <= 0).flatten(0, -2).all(0).float().mean())

    def _tile(self, q: Tensor, g: Tensor, normalise: bool) -> Tensor:
        left, right = q[:, None], g[None]
        if not torch.is_grad_enabled():
            return self.distance(left, right, normalise)
        return checkpoint(self.distance, left, right, normalise, use_reentrant=False, preserve_rng_state=False)


def pairs_within(mebibytes: int, dim: int) -> int:
    """How many pairs a tile may hold: a step keeps some LIVE_BLOCKS float32 arrays of (pairs, dim) at once."""
    return max(1, (mebibytes << 20) // (4 * dim * LIVE_BLOCKS))


def pair_distance(q: Tensor, g: Tensor, metric: str = "euclidean", normalise: bool = True) -> Tensor:
    """Distance along the last dimension: (..., D), (..., D) -> (...). The root is safe for its gradient at zero."""
    if metric == "cosine":
        return 1 - F.cosine_similarity(q, g, dim=-1, eps=EPS)
    if normalise:
        q, g = F.normalize(q, dim=-1, eps=EPS), F.normalize(g, dim=-1, eps=EPS)
    square = (q - g).square().sum(-1)
    return torch.where(square > EPS, square.clamp_min(EPS).sqrt(), square * 0)
