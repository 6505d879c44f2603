"""The non-local block (Wang et al., 2018) as AGW uses it: embedded dot product, normalised by the number of places."""

from __future__ import annotations

from torch import Tensor, nn


class NonLocal(nn.Module):
    """(B, C, H, W) -> the same shape: x + W(attention over all places), without a softmax.

    The last BatchNorm starts at zero, so that the block is the identity at the start. The inner maps have half of the
    channels, as described; the public code divides the reduction by itself and so has one inner channel.
    """

    def __init__(self, channels: int, reduction: int = 2) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.value, self.query, self.key = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.out = nn.Sequential(nn.Conv2d(inner, channels, 1), nn.BatchNorm2d(channels))
        nn.init.zeros_(self.out[1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.out[1].bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        places = images.shape[2] * images.shape[3]
        query, key, value = (part(images).flatten(2) for part in (self.query, self.key, self.value))
        likeness = query.transpose(1, 2) @ key / places
        mixed = (likeness @ value.transpose(1, 2)).transpose(1, 2)
        return images + self.out(mixed.reshape(len(images), -1, *images.shape[2:]))
