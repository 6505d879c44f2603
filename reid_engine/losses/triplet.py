"""Triplet losses over a (B, B) distance matrix, so that any distance can be trained: plain or diff attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def plain_distances(features: Tensor) -> Tensor:
    """Euclidean distances of every pair: (B, D) -> (B, B), with a gradient that is finite at zero."""
    square = features.square().sum(1)
    squared = square[:, None] + square[None] - 2 * features @ features.T
    return squared.clamp_min(1e-12).sqrt()


def batch_hard(distances: Tensor, labels: Tensor, margin: float = 0.3, soft: bool = False) -> Tensor:
    """Hardest positive against hardest negative of each anchor: (B, B), (B,) -> scalar.

    Hinge: relu(d_pos - d_neg + margin); soft: softplus(d_pos - d_neg). Anchors without a positive or a negative are
    left out; a batch without any gives zero.
    """
    positive, negative = _masks(labels)
    hardest = distances.masked_fill(~positive, -torch.inf).amax(1)
    nearest = distances.masked_fill(~negative, torch.inf).amin(1)
    return _ranked(hardest, nearest, positive.any(1) & negative.any(1), margin, soft)


def weighted_regularised(distances: Tensor, labels: Tensor, published: bool = False) -> Tensor:
    """AGW's weighted regularised triplet: softplus(sum_p w_p d_p - sum_n w_n d_n), (B, B), (B,) -> scalar.

    w_p = softmax of d over the positives, w_n = softmax of -d over the negatives, both as masked log-softmax.
    `published=True` is the public code's: exp / (sum + 1e-6), which collapses for distances above about 14, and the
    anchor, at distance 0, among its own positives. The safe form leaves it out.
    """
    positive, negative = _masks(labels)
    valid = positive.any(1) & negative.any(1)
    if published:
        positive = ~negative
    weigh = _published_softmax if published else _masked_softmax
    far = (weigh(distances, positive) * distances).sum(1)
    near = (weigh(-distances, negative) * distances).sum(1)
    return _ranked(far, near, valid, 0.0, True)


def _masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    same = labels[:, None] == labels[None]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return same & ~itself, ~same


def _ranked(far: Tensor, near: Tensor, valid: Tensor, margin: float, soft: bool) -> Tensor:
    if not valid.any():
        return torch.where(valid, far, 0.0).sum() * 0
    gap = far[valid] - near[valid]
    return (F.softplus(gap) if soft else torch.relu(gap + margin)).mean()


def _masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    masked = scores.masked_fill(~mask, -torch.inf)
    empty = ~mask.any(1, keepdim=True)
    return torch.where(mask, torch.log_softmax(masked.masked_fill(empty, 0.0), dim=1).exp(), 0.0)


def _published_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    peak = (scores * mask).max(dim=1, keepdim=True)[0]
    weights = torch.exp(scores - peak) * mask
    return weights / (weights.sum(1, keepdim=True) + 1e-6)
