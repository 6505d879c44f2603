"""Quick validation during training: the same features under plain cosine and under diff attention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..augment import Views
from ..models.diff_attention import DiffAttention
from ..models.reid_model import ReidModel
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
    plain = 1 - F.normalize(query.vectors, dim=1) @ F.normalize(gallery.vectors, dim=1).T
    mean_ap, rank1 = score(plain, query, gallery)
    result = {"cosine_map": mean_ap, "cosine_rank1": rank1}
    if attention is None:
        return result
    with torch.no_grad():
        mean_ap, rank1 = score(attention.distance_matrix(query.vectors, gallery.vectors), query, gallery)
    return result | {"attention_map": mean_ap, "attention_rank1": rank1}


def score(distances: Tensor, query: Held, gallery: Held) -> tuple[float, float]:
    """Mean AP and Rank-1, same person and camera dropped, queries without a match skipped: (Q, G) -> two figures."""
    table = distances.numpy()
    found = [_one(table[row], query, gallery, row) for row in range(len(table))]
    kept = np.array([item for item in found if item is not None])
    return (float(kept[:, 0].mean()), float(kept[:, 1].mean())) if len(kept) else (0.0, 0.0)


def labelled_distances(
    query: Held, gallery: Held, attention: DiffAttention
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Every pair a search meets: diff-attention distances (P,) and whether it is the same person (P,).

    Pairs of one person before one camera are left out, as in scoring.
    """
    with torch.no_grad():
        table = attention.distance_matrix(query.vectors, gallery.vectors).numpy()
    same = query.person_ids[:, None] == gallery.person_ids[None]
    asked = ~(same & (query.camera_ids[:, None] == gallery.camera_ids[None]))
    return table[asked], same[asked]


def _one(row: NDArray[np.float32], query: Held, gallery: Held, index: int) -> tuple[float, float] | None:
    same = gallery.person_ids == query.person_ids[index]
    keep = ~(same & (gallery.camera_ids == query.camera_ids[index]))
    hits = np.flatnonzero(same[keep][np.argsort(row[keep], kind="stable")])
    if not len(hits):
        return None
    return float(((np.arange(len(hits)) + 1) / (hits + 1)).mean()), float(hits[0] == 0)
