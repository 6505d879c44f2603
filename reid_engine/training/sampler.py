"""Batches of P people with K crops each. A pure function of seed and epoch: a resumed run draws the same batches."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def epoch_seed(seed: int, epoch: int) -> int:
    """One number for the randomness of one epoch of one run."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint32)[0])


def people_batches(labels: Tensor, people: int, crops: int, seed: int) -> list[Tensor]:
    """Rows of each batch: labels (N,) -> list of (people * crops,) int64.

    Everybody's crops are shuffled and cut into groups of `crops` (the last filled up by repetition); a batch takes one
    group of each of `people` different people, preferring those with the most groups left, until too few are left.
    With fewer people than `people`, a batch holds them all.
    """
    rng = np.random.default_rng(seed)
    groups = {int(label): _groups(np.flatnonzero(labels.numpy() == label), crops, rng) for label in labels.unique()}
    size = min(people, len(groups))
    batches = []
    while len(open_people := [label for label, left in groups.items() if left]) >= size and size:
        weights = np.array([len(groups[label]) for label in open_people], dtype=float)
        chosen = rng.choice(open_people, size, replace=False, p=weights / weights.sum())
        batches.append(torch.from_numpy(np.concatenate([groups[label].pop() for label in chosen])))
    return batches


def _groups(rows: np.ndarray, crops: int, rng: np.random.Generator) -> list[np.ndarray]:
    order = rng.permutation(rows)
    missing = -len(order) % crops
    filled = np.concatenate([order, rng.choice(rows, missing, replace=missing > len(rows))]) if missing else order
    return list(filled.reshape(-1, crops))
