"""Formula 7 as one module: images and labels of a batch -> the weighted terms of the joint loss."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..losses.center import CenterLoss
from ..losses.distil import likeness_loss
from ..losses.identity import identity_loss
from ..losses.triplet import batch_hard, plain_distances, weighted_regularised
from ..models.diff_attention import pairs_within
from ..models.reid_model import ReidModel
from .config import TrainConfig
from .parallel import gathered, share


class Objective(nn.Module):
    """Images (B, 3, H, W), labels (B,) -> {"identity", "plain", "attention", "center", "distil"}, if weighed above 0.

    Among several processes the images are this one's share of the batch, the labels those of the whole batch.
    `taught` (B, D) are the averaged weights' features of the same images.
    """

    def __init__(self, config: TrainConfig, model: ReidModel, centers: CenterLoss) -> None:
        super().__init__()
        self.config, self.model, self.centers = config, model, centers

    def forward(self, images: Tensor, labels: Tensor, taught: Tensor | None = None) -> dict[str, Tensor]:
        config, out, own = self.config, self.model(images), share(labels)
        losses = {"identity": identity_loss(out["logits"], own, config.label_smoothing)}
        if config.plain_weight:
            losses["plain"] = config.plain_weight * self._triplet(self._plain(out), labels)
        if config.attention_weight:
            losses["attention"] = config.attention_weight * self._triplet(self._attended(out), labels)
        if config.center_weight:
            losses["center"] = config.center_weight * self.centers(out["pre"], own)
        if taught is not None:
            losses["distil"] = config.distil * likeness_loss(out["post"], taught)
        return losses

    def _plain(self, out: dict[str, Tensor]) -> Tensor:
        """Plain distances (B, B) of the whole batch."""
        features = F.normalize(out["post"]) if self.config.plain_feature == "normalised" else out["pre"]
        return plain_distances(gathered(features))

    def _attended(self, out: dict[str, Tensor]) -> Tensor:
        """Diff-attention distances (B, B) of the whole batch."""
        attention = self.model.attention
        features = gathered(out[attention.trained_on])
        tile = pairs_within(self.config.pair_memory, self.model.dim)
        return attention.distance_matrix(features, features, tile, self.config.normalise_train)

    def _triplet(self, distances: Tensor, labels: Tensor) -> Tensor:
        return triplet_loss(self.config, distances, labels, self.config.soft_margin)


def triplet_loss(config: TrainConfig, distances: Tensor, labels: Tensor, soft: bool) -> Tensor:
    """The triplet loss the options name, over distances (B, B) and labels (B,)."""
    if config.triplet == "hard":
        return batch_hard(distances, labels, config.margin, soft)
    return weighted_regularised(distances, labels, published=config.triplet == "published")
