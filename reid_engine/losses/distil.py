"""Self-distillation: what the averaged weights hold to be alike, the weights in training shall hold to be alike."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 0.1


def likeness_loss(vectors: Tensor, taught: Tensor) -> Tensor:
    """Mean divergence of each crop's softmaxed cosines to the others: vectors, taught (B, D), B of 2 or more."""
    said, wanted = (_log_likeness(part) for part in (vectors, taught))
    return F.kl_div(said, wanted, reduction="batchmean", log_target=True)


def _log_likeness(vectors: Tensor) -> Tensor:
    """(B, D) -> (B, B - 1) log shares, each row without the crop itself."""
    unit = F.normalize(vectors, dim=1)
    others = ~torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    cosines = (unit @ unit.T)[others].view(len(unit), -1)
    return F.log_softmax(cosines / TEMPERATURE, dim=1)
