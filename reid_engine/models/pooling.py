"""From a feature map to a vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GeM(nn.Module):
    """Generalised mean over the map, its power learnt: (B, C, H, W) -> (B, C); 1 is the average, large the maximum."""

    def __init__(self, power: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(power))
        self.eps = eps

    def forward(self, images: Tensor) -> Tensor:
        return images.clamp_min(self.eps).pow(self.power).mean(dim=(2, 3)).pow(1 / self.power)
