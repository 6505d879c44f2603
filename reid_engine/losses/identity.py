"""Identity loss: cross entropy over the training people, with label smoothing."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def identity_loss(logits: Tensor, labels: Tensor, smoothing: float = 0.1) -> Tensor:
    """Mean over the batch: logits (B, N), labels (B,) in 0..N-1 -> scalar.

    Target: (1 - s) one-hot + s / N, as in BagTricks.
    """
    log_probabilities = F.log_softmax(logits, dim=1)
    hit = log_probabilities.gather(1, labels[:, None])[:, 0]
    return -((1 - smoothing) * hit + smoothing * log_probabilities.mean(1)).mean()
