"""Quick validation during training: the same features under plain cosine and under diff attention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..augment import Views
from ..evaluation import metrics
from ..models.diff_attention import DiffAttention
from ..models.reid_model import ReidModel
from ..ranking import Attention, exact_distances
from .crops import Crops


@dataclass(frozen=True)
class Held:
    """Features of a validation part: vectors (N, D), person_ids and camera_ids (N,)."""

    vectors: Tensor
    person_ids: NDArray[np.int64]
    camera_ids: NDArray[np.int64]


def extract(model: ReidModel, crops: Crops, flip: bool = False, batch: int = 64) -> Tensor:
    """Post-BNNeck features of every crop in eval mode, without augmentation: (N, D) float32."""
    model.eval()
    device = next(model.parameters()).device
    rows = torch.arange(len(crops.images)).split(batch)
    layout = torch.channels_last
    parts = [model.features(crops.batch(row).to(device, memory_format=layout), batch, flip) for row in rows]
    return torch.cat(parts).cpu().float()


@torch.no_grad()
def extract_view(model: ReidModel, crops: Crops, views: Views, seed: int, batch: int = 64) -> Tensor:
    """The features of one random view of every crop, eval mode: (N, D) float32."""
    model.eval()
    device, generator = next(model.parameters()).device, torch.Generator().manual_seed(seed)
    parts = []
    for row in torch.arange(len(crops.images)).split(batch):
        images = views(crops.images[row], generator).to(device, memory_format=torch.channels_last)
        parts.append(model(images))
    return torch.cat(parts).cpu().float()


def held(model: ReidModel, crops: Crops, flip: bool = False) -> Held:
    """A part with its features."""
    return Held(extract(model, crops, flip), crops.person_ids, crops.camera_ids)


def figures(query: Held, gallery: Held, attention: DiffAttention | None) -> dict[str, float]:
    """{"cosine_map", "cosine_rank1"} and, with a module, {"attention_map", "attention_rank1"}; 0..1."""
    plain = plain_scores(query, gallery)
    result = {"cosine_map": plain.mean_ap, "cosine_rank1": plain.cmc(1)}
    if attention is None:
        return result
    attended = attended_scores(query, gallery, attention)
    return result | {"attention_map": attended.mean_ap, "attention_rank1": attended.cmc(1)}


def plain_scores(query: Held, gallery: Held) -> metrics.Scores:
    """Every query's scores under plain cosine."""
    return _scores(plain_distances(query, gallery), query, gallery)


def plain_distances(query: Held, gallery: Held) -> NDArray[np.float32]:
    """1 - cosine, (Q, G)."""
    cosine = F.normalize(query.vectors, dim=1) @ F.normalize(gallery.vectors, dim=1).T
    return np.asarray(1 - cosine.numpy(), np.float32)


def attended_scores(query: Held, gallery: Held, attention: DiffAttention) -> metrics.Scores:
    """Every query's scores under diff attention."""
    return _scores(attended_distances(query, gallery, attention), query, gallery)


def attended_distances(query: Held, gallery: Held, attention: DiffAttention) -> NDArray[np.float32]:
    """Diff-attention distances (Q, G), computed where the module is, by the path a search takes."""
    weights, rows = Attention.of(attention), gallery.vectors.numpy()
    return np.stack([exact_distances(weights, vector, rows) for vector in query.vectors.numpy()])


def _scores(distances: NDArray[np.float32], query: Held, gallery: Held) -> metrics.Scores:
    sides = (metrics.Identities.of(side.person_ids, side.camera_ids) for side in (query, gallery))
    return metrics.score(distances, *sides)
