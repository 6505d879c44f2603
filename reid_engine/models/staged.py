"""Backbones as stages whose activations may be computed again in the backward pass instead of being kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


class Staged(nn.Module):
    """With `recompute` only the maps between stages are kept while training: less memory, a second forward pass."""

    recompute = False

    def run(self, images: Tensor, *stages: nn.Module) -> Tensor:
        """The stages in order: (B, C, H, W) -> (B, C', h, w)."""
        again = self.recompute and torch.is_grad_enabled()
        for stage in stages:
            images = recomputed(stage, images) if again else stage(images)
        return images


def recomputed(stage: nn.Module, images: Tensor) -> Tensor:
    """`stage(images)`, whose inner maps are not kept. The second pass leaves running statistics as the first did."""
    found: Tensor = checkpoint(
        stage, images, use_reentrant=False, preserve_rng_state=False, context_fn=partial(_contexts, stage)
    )
    return found


def _contexts(stage: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _statistics_kept(stage)


@contextmanager
def _statistics_kept(stage: nn.Module) -> Iterator[None]:
    """With a momentum of zero running statistics stay; the count of batches is put back."""
    norms = [part for part in stage.modules() if isinstance(part, _BatchNorm)]
    before = [(norm.momentum, deepcopy(norm.num_batches_tracked)) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
