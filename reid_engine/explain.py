"""Which regions of two pictures carry the distance between them.

With u = A*q / |A*q| and v = A*g / |A*g| the squared distance is |u - v|^2 = (u - v).u - (u - v).v. Where a network
averages its last map over the L locations and everything behind the average is affine (OSNet without ReLU, BagTricks,
MobileNetV2), the feature is the mean of what each location alone would give, q = 1/L sum_l q_l. Both terms then split
exactly, the attention map A and the two norms held as the pair has them:

    query map(l) = 1/L (u - v).(A*q_l) / |A*q|          gallery map(l) = -1/L (u - v).(A*g_l) / |A*g|

A positive value drives the two apart, a negative one holds them together; both maps together sum to the distance term.
Elsewhere (GeM pooling, a ReLU behind the embedding) the maps are gradient times activation, which show the same
regions but sum to nothing in particular.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from .augment import eval_tensor
from .errors import BundleMismatch
from .messages import gettext_noop as _
from .models.diff_attention import EPS
from .models.foreign import OnnxExtractor, Unseeing
from .models.reid_model import ReidModel
from .photo import enhance

Method = Literal["exact", "gradient"]
Map = NDArray[np.float32]

SAME_FEATURE = 1e-3
APART, TOGETHER = (214, 69, 45), (29, 95, 168)
STRONGEST = 0.75
GAP = 8


@dataclass(frozen=True)
class Explanation:
    """query_map, gallery_map (h, w): contributions to `term`, in the pictures' orientation; positive: drives apart.

    `distance` is the pair's. `term` is what the maps split: the squared euclidean distance, or 1 - cosine. With method
    "exact" both maps together sum to it.
    """

    query_map: Map
    gallery_map: Map
    distance: float
    term: float
    method: Method


def explain(model: ReidModel, preprocessing: Mapping[str, Any], photo: Image.Image, crop: Image.Image) -> Explanation:
    """The pair as a search sees it: the photo enhanced, both under the bundle's preprocessing and views.

    The query map lies over `enhance(photo)`, which may be padded; of a wide photo that view alone is explained. `model`
    must be in eval mode. Raises BundleMismatch where the extractor is an ONNX graph or absent.
    """
    if isinstance(model.backbone, OnnxExtractor | Unseeing):
        raise BundleMismatch(_("this bundle's extractor is closed: nothing can be said of the parts of a picture"))
    views = tuple(preprocessing.get("views") or ("plain",))
    device = next(model.parameters()).device
    query, gallery = (eval_tensor(image, preprocessing)[None].to(device) for image in (enhance(photo), crop))
    with torch.no_grad():
        sides = [_Side.of(model, images, views) for images in (query, gallery)]
    exact = all(side.linear for side in sides)
    maps, distance, term = _exact(model, *sides) if exact else _gradient(model, *sides)
    query_map, gallery_map = (_upright(part, views) for part in maps)
    return Explanation(query_map, gallery_map, distance, term, "exact" if exact else "gradient")


def overlay(image: Image.Image, values: Map, strongest: float | None = None) -> Image.Image:
    """The picture in grey under its map, RGB of its own size: red drives apart, blue holds together.

    `strongest` is the value drawn at full strength (default: the map's own largest magnitude).
    """
    peak = strongest or float(np.abs(values).max()) or 1.0
    field = Image.fromarray(np.asarray(values / peak, np.float32)).resize(image.size, Image.Resampling.BICUBIC)
    share = np.clip(np.asarray(field), -1, 1)[..., None]
    grey = np.asarray(image.convert("L").convert("RGB"), np.float32)
    colour = np.where(share > 0, np.array(APART), np.array(TOGETHER))
    strength = STRONGEST * np.abs(share)
    return Image.fromarray((grey * (1 - strength) + colour * strength).round().astype(np.uint8))


def pair_overlay(photo: Image.Image, crop: Image.Image, found: Explanation, height: int = 256) -> Image.Image:
    """Photo, its overlay, the crop's overlay and the crop, side by side at `height` pixels, on one scale of colour."""
    peak = max(float(np.abs(found.query_map).max()), float(np.abs(found.gallery_map).max())) or 1.0
    seen = enhance(photo).convert("RGB")
    drawn = [_tall(image, height) for image in (seen, crop.convert("RGB"))]
    maps = [overlay(drawn[0], found.query_map, peak), overlay(drawn[1], found.gallery_map, peak)]
    pictures = [drawn[0], *maps, drawn[1]]
    sheet = Image.new("RGB", (sum(image.width for image in pictures) + 5 * GAP, height + 2 * GAP), "white")
    left = GAP
    for image in pictures:
        sheet.paste(image, (left, GAP))
        left += image.width + GAP
    return sheet


@dataclass(frozen=True)
class _Side:
    """One picture: its last maps (V, C, h, w) by view, its feature (D,), what each location alone would give.

    `parts` (V, L, D); `linear` where their mean is the feature.
    """

    maps: Tensor
    feature: Tensor
    parts: Tensor
    linear: bool

    @classmethod
    def of(cls, model: ReidModel, images: Tensor, views: tuple[str, ...]) -> _Side:
        batch = torch.cat([images.flip(3) if view == "flip" else images for view in views])
        maps = last_map(model.backbone, batch)
        feature = model(batch).mean(0)
        locations = maps.flatten(2).transpose(1, 2)
        parts = _head(model, locations.flatten(0, 1)).unflatten(0, locations.shape[:2])
        gap = (parts.mean((0, 1)) - feature).norm() / feature.norm().clamp_min(EPS)
        return cls(maps, feature, parts, bool(gap <= SAME_FEATURE))


def last_map(backbone: nn.Module, images: Tensor) -> Tensor:
    """What a backbone pools: (B, 3, H, W) -> (B, C, h, w)."""
    layers = getattr(backbone, "feature_map", None) or backbone.features
    return layers(images)  # type: ignore[operator, no-any-return]


def _head(model: ReidModel, pooled: Tensor) -> Tensor:
    """What follows the pooling: (N, C) -> (N, D)."""
    embedding = getattr(model.backbone, "fc", None)
    features: Tensor = model.neck(pooled if embedding is None else embedding(pooled))
    return features


def _pool(model: ReidModel, maps: Tensor) -> Tensor:
    """The backbone's own pooling: (V, C, h, w) -> (V, C)."""
    pool = getattr(model.backbone, "pool", None)
    return maps.mean(dim=(2, 3)) if pool is None else pool(maps)


def _directions(model: ReidModel, q: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(A / |A*q|, A / |A*g|, u, v), each (D,)."""
    attention = model.attention(q, g)
    left, right = (attention / (attention * side).norm().clamp_min(EPS) for side in (q, g))
    return left, right, left * q, right * g


@torch.no_grad()
def _exact(model: ReidModel, query: _Side, gallery: _Side) -> tuple[list[Tensor], float, float]:
    left, right, u, v = _directions(model, query.feature, gallery.feature)
    gap, half = u - v, 0.5 if model.attention.metric == "cosine" else 1.0
    maps = []
    for side, direction in ((query, half * gap * left), (gallery, -half * gap * right)):
        values = (side.parts @ direction) / (side.parts.shape[0] * side.parts.shape[1])
        maps.append(values.unflatten(1, side.maps.shape[2:]))
    return maps, _distance(model, query.feature, gallery.feature), half * float(gap.square().sum())


def _gradient(model: ReidModel, query: _Side, gallery: _Side) -> tuple[list[Tensor], float, float]:
    """Gradient of the term by each map times the map, summed over the channels."""
    with torch.enable_grad():
        inputs = [side.maps.detach().clone().requires_grad_() for side in (query, gallery)]
        q, g = (_head(model, _pool(model, maps)).mean(0) for maps in inputs)
        _, _, u, v = _directions(model, q, g)
        term = (0.5 if model.attention.metric == "cosine" else 1.0) * (u - v).square().sum()
        slopes = torch.autograd.grad(term, inputs)
    maps = [(slope * values).detach().sum(1) for slope, values in zip(slopes, inputs, strict=True)]
    return maps, _distance(model, query.feature, gallery.feature), float(term.detach())


@torch.no_grad()
def _distance(model: ReidModel, q: Tensor, g: Tensor) -> float:
    return float(model.attention.distance(q[None], g[None]))


def _upright(values: Tensor, views: tuple[str, ...]) -> Map:
    """(V, h, w) by view -> (h, w): the sum, mirrored views turned back."""
    turned = [part.flip(1) if view == "flip" else part for part, view in zip(values, views, strict=True)]
    return np.asarray(torch.stack(turned).sum(0).cpu().numpy(), np.float32)


def _tall(image: Image.Image, height: int) -> Image.Image:
    return image.resize((max(1, round(image.width * height / image.height)), height), Image.Resampling.BICUBIC)
