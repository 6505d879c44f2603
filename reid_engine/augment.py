"""What happens to a crop before the network: the evaluation tensor, and the random views of training.

Crops are decoded once to uint8; the random views are made on whole batches of tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from .preprocessing import normalised, resized

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def pixels(image: Image.Image, height: int, width: int) -> Tensor:
    """An RGB image, resized bilinearly -> uint8 (3, height, width)."""
    return torch.from_numpy(np.array(resized(image, height, width)))


def normalise(batch: Tensor, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> Tensor:
    """uint8 (..., 3, H, W) -> float32 of the same shape: (x / 255 - mean) / std, in two passes."""
    centre, spread = (torch.tensor(values, device=batch.device).view(3, 1, 1) * 255 for values in (mean, std))
    return (batch - centre).div_(spread)


def eval_tensor(image: Image.Image, preprocessing: Mapping[str, Any]) -> Tensor:
    """One crop as the network sees it: PIL image -> float32 (3, H, W), by the bundle's preprocessing."""
    return torch.from_numpy(normalised([image], preprocessing)[0])


@dataclass(frozen=True)
class Views:
    """The random view of training: mirror, pad and crop, camera colour, erasing. Probabilities 0..1, pad in pixels.

    `camera` is the share of crops shown as a poorer camera would give them: gamma, colour cast, flat contrast, coarse;
    `coarse` the share shown at a lower resolution alone.
    """

    flip: float = 0.5
    pad: int = 10
    jitter: float = 0.15
    erasing: float = 0.5
    camera: float = 0.0
    coarse: float = 0.0

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """uint8 (B, 3, H, W) -> normalised float32 (B, 3, H, W); every draw comes from `generator`.

        The draws are made on the CPU, whatever the device; the rest is computed where the batch is.
        """
        images = batch.float() / 255
        if self.jitter:
            images = _recolour(images, self.jitter, generator)
        if self.camera:
            images = _poorer(images, self.camera, generator)
        if self.coarse:
            images = _some(images, _coarsened(images, generator), self.coarse, generator)
        images = normalise(images * 255)
        images = _mirror(images, self.flip, generator)
        images = _shift(images, self.pad, generator)
        return _erase(images, self.erasing, generator)


def _uniform(images: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    """One number for each image, (B, 1, 1, 1)."""
    return torch.empty(len(images)).uniform_(low, high, generator=generator).view(-1, 1, 1, 1).to(images.device)


def _recolour(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Another camera: brightness, contrast, saturation, each 1 +- strength, and white balance, a third of it."""
    count = len(images)
    balance = torch.empty(count, 3, 1, 1).uniform_(1 - strength / 3, 1 + strength / 3, generator=generator)
    balance = balance.to(images.device)
    images = images * _uniform(images, 1 - strength, 1 + strength, generator) * balance
    centre = images.mean(dim=(1, 2, 3), keepdim=True)
    images = centre + (images - centre) * _uniform(images, 1 - strength, 1 + strength, generator)
    grey = images.mean(dim=1, keepdim=True)
    return (grey + (images - grey) * _uniform(images, 1 - strength, 1 + strength, generator)).clamp_(0, 1)


def _poorer(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Another network's camera: gamma .65..1.5, a cast of +-20%, contrast .6..1.1, resolution down to a third."""
    count = len(images)
    cast = torch.empty(count, 3, 1, 1).uniform_(0.8, 1.2, generator=generator).to(images.device)
    changed = (images * cast).clamp(1e-4, 1) ** _uniform(images, 0.65, 1.5, generator)
    centre = changed.mean(dim=(1, 2, 3), keepdim=True)
    changed = (centre + (changed - centre) * _uniform(images, 0.6, 1.1, generator)).clamp_(0, 1)
    return _some(images, _coarsened(changed, generator), share, generator)


def _some(images: Tensor, changed: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """About this share of the images in their changed form."""
    return torch.where(_uniform(images, 0, 1, generator) < share, changed, images)


def _coarsened(images: Tensor, generator: torch.Generator) -> Tensor:
    """Every image at a random resolution from a third to its own."""
    factors = torch.empty(len(images)).uniform_(1 / 3, 1, generator=generator).tolist()
    return torch.stack([coarsened(image, factor) for image, factor in zip(images, factors, strict=True)])


def coarsened(image: Tensor, factor: float) -> Tensor:
    """(C, H, W) as a camera of `factor` times the resolution gives it, at its old size."""
    height, width = image.shape[1:]
    small = (max(1, round(height * factor)), max(1, round(width * factor)))
    reduced = F.interpolate(image[None], size=small, mode="area")
    return F.interpolate(reduced, size=(height, width), mode="bilinear")[0]


def _mirror(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    chosen = _uniform(images, 0, 1, generator) < share
    return torch.where(chosen, images.flip(3), images)


def _shift(images: Tensor, pad: int, generator: torch.Generator) -> Tensor:
    """Pads with zeros (the mean, after normalisation) and cuts a window of the old size at a random place."""
    if not pad:
        return images
    height, width = images.shape[2:]
    padded = F.pad(images, (pad,) * 4)
    corners = torch.randint(0, 2 * pad + 1, (len(images), 2), generator=generator).tolist()
    windows = [image[:, y : y + height, x : x + width] for image, (y, x) in zip(padded, corners, strict=True)]
    return torch.stack(windows)


def _erase(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Random erasing: a rectangle of area U(.02, .4) and aspect U(.3, 3.3) becomes the mean colour.

    One that does not fit is not drawn again, so a little less than `share` of the images is erased.
    """
    height, width = images.shape[2:]
    draws = torch.rand(len(images), 5, generator=generator)
    for image, (chance, area, aspect, top, left) in zip(images, draws.tolist(), strict=True):
        size, ratio = (0.02 + 0.38 * area) * height * width, 0.3 + 3.0 * aspect
        tall, wide = round((size * ratio) ** 0.5), round((size / ratio) ** 0.5)
        if chance < share and tall < height and wide < width:
            y, x = int(top * (height - tall + 1)), int(left * (width - wide + 1))
            image[:, y : y + tall, x : x + wide] = 0
    return images
