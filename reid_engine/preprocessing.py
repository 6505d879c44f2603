"""From a picture to what a network takes, as the bundle says: resized and normalised. Pillow and numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Batch = NDArray[np.float32]


def resized(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    """An RGB image, resized bilinearly -> (3, height, width)."""
    small = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(small).transpose(2, 0, 1)


def normalised(images: Sequence[Image.Image], preprocessing: Mapping[str, Any]) -> Batch:
    """Pictures -> (B, 3, H, W): (x / 255 - mean) / std."""
    height, width = int(preprocessing["height"]), int(preprocessing["width"])
    batch = np.empty((len(images), 3, height, width), np.float32)
    for place, image in zip(batch, images, strict=True):
        place[...] = resized(image, height, width)
    centre, spread = (np.array(preprocessing[name], np.float32)[:, None, None] * 255 for name in ("mean", "std"))
    batch -= centre
    batch /= spread
    return batch
