"""A part of a data set in memory: decoded once, labels numbered from zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..augment import normalise, pixels
from ..data.records import Record


@dataclass(frozen=True)
class Crops:
    """images uint8 (N, 3, H, W); labels (N,) 0..people-1; person_ids, camera_ids (N,) as the data set has them."""

    images: Tensor
    labels: Tensor
    person_ids: NDArray[np.int64]
    camera_ids: NDArray[np.int64]

    @property
    def people(self) -> int:
        """How many people."""
        return int(self.labels.max()) + 1 if len(self.labels) else 0

    def rows(self, chosen: NDArray[np.int64]) -> Crops:
        """The chosen crops, with the labels they had."""
        index = torch.from_numpy(chosen)
        return Crops(self.images[index], self.labels[index], self.person_ids[chosen], self.camera_ids[chosen])

    def batch(self, index: Tensor) -> Tensor:
        """Normalised float32 (len(index), 3, H, W)."""
        return normalise(self.images[index])


def decode(records: Sequence[Record], height: int, width: int) -> Crops:
    """Reads every picture, resized to height x width (98 kB each at 256 x 128)."""
    images = torch.empty(len(records), 3, height, width, dtype=torch.uint8)
    for row, record in enumerate(records):
        with Image.open(record.path) as image:
            images[row] = pixels(image, height, width)
    people = np.array([record.person_id for record in records], dtype=np.int64)
    cameras = np.array([record.camera_id for record in records], dtype=np.int64)
    labels = np.unique(people, return_inverse=True)[1]
    return Crops(images, torch.from_numpy(labels.astype(np.int64)), people, cameras)
