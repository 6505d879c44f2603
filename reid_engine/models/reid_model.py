"""A backbone, its BNNeck, the classifier of training and the diff attention, as one model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .diff_attention import DiffAttention


class ReidModel(nn.Module):
    """Train mode: images (B, 3, H, W) -> {"pre" (B, D), "post" (B, D), "logits" (B, classes)}.

    Eval mode: images (B, 3, H, W) -> (B, D), the raw feature after the BNNeck. `classes` may be 0 (no classifier).
    """

    def __init__(self, backbone: nn.Module, dim: int, classes: int, attention: DiffAttention) -> None:
        super().__init__()
        self.backbone, self.dim = backbone, dim
        self.neck = nn.BatchNorm1d(dim)
        self.neck.bias.requires_grad_(False)
        self.classifier = nn.Linear(dim, classes, bias=False) if classes else None
        if self.classifier is not None:
            nn.init.normal_(self.classifier.weight, std=0.001)
        self.attention = attention
        self.bf16 = False

    def forward(self, images: Tensor) -> Any:
        kind = images.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=self.bf16 and has_bfloat16(kind)):
            pre = self.backbone(images)
        pre = pre.float()
        post = self.neck(pre)
        if not self.training:
            return post
        logits = None if self.classifier is None else self.classifier(post)
        return {"pre": pre, "post": post, "logits": logits}

    @torch.no_grad()
    def features(self, images: Tensor, batch: int = 64, flip: bool = True) -> Tensor:
        """(N, 3, H, W) -> (N, D), the mean of the plain and the mirrored view, in batches, eval mode."""
        self.eval()
        parts = [self(part) + self(part.flip(3)) if flip else 2 * self(part) for part in images.split(batch)]
        return torch.cat(parts) / 2

    def before_neck(self, features: Tensor) -> Tensor:
        """What the BNNeck made these features of, in eval mode: (N, D) after it -> (N, D) before it."""
        neck = self.neck
        variance, mean = (cast(Tensor, value) for value in (neck.running_var, neck.running_mean))
        return (features - neck.bias) * torch.sqrt(variance + neck.eps) / neck.weight + mean

    @torch.no_grad()
    def settle_neck(self, images: Tensor, spread: float = 0.5) -> None:
        """Gives a foreign backbone's features the spread the triplet margin expects, and the BNNeck their statistics.

        images (N, 3, H, W). The embedding's last BatchNorm is scaled so that coordinates deviate by `spread` on
        average; the ranking does not change, for the neck divides by the deviation again.
        """
        self.eval()
        norms = [part for part in self.backbone.modules() if isinstance(part, nn.BatchNorm1d)]
        for norm in norms[-1:]:
            factor = spread / self.backbone(images).std(0).mean()
            norm.weight.mul_(factor)
            norm.bias.mul_(factor)
        variance, mean = torch.var_mean(self.backbone(images), dim=0)
        self.neck.running_mean.copy_(mean)  # type: ignore[union-attr]
        self.neck.running_var.copy_(variance)  # type: ignore[union-attr]


def has_bfloat16(kind: str) -> bool:
    """Whether devices of this kind multiply bfloat16 themselves; a processor without AVX-512 is told to use float32.

    Emulated products were measured at a sixtieth of float32's speed.
    """
    return kind != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def run_on(model: ReidModel, device: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """A function from pictures (B, 3, H, W), normalised, to features (B, D), computed by torch on that device."""
    there = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def features(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        batch = torch.from_numpy(pictures).to(device, memory_format=torch.channels_last)
        return np.asarray(there(batch).float().cpu().numpy())

    return features
