"""Center loss: each person has a centre in feature space and pays for the distance to it (Wen et al., 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CenterLoss(nn.Module):
    """Mean over the batch of |x - c_y|^2 (clamped to 1e-12..1e12, as in BagTricks): (B, D), (B,) -> scalar."""

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.randn(classes, dim))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return (features - self.centers[labels]).square().sum(1).clamp(1e-12, 1e12).mean()
