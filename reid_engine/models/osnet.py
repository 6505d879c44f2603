"""OSNet, the omni-scale network (Zhou et al., 2019), in widths 0.25 to 1.0, with optional instance normalisation.

Written from the published description; parameter names follow the public code, so its weights load by name.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .staged import Staged

WIDTHS = {
    "x0_25": (16, 64, 96, 128),
    "x0_5": (32, 128, 192, 256),
    "x0_75": (48, 192, 288, 384),
    "x1_0": (64, 256, 384, 512),
}


class ConvLayer(nn.Module):
    """Convolution, batch (or instance) normalisation, ReLU: (B, C, H, W) -> (B, C', H', W')."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, instance: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = nn.InstanceNorm2d(out, affine=True) if instance else nn.BatchNorm2d(out)
        self.relu = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(images)))


class LinearConv(nn.Module):
    """1x1 convolution and batch normalisation without ReLU; `bn` is absent where instance norm follows the block."""

    def __init__(self, channels: int, out: int, normalised: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 1, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(out) if normalised else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.bn(self.conv(images))


class LightConv(nn.Module):
    """1x1 then depthwise 3x3 convolution, batch normalisation, ReLU; keeps (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv2(self.conv1(images))))


class ChannelGate(nn.Module):
    """The aggregation gate shared by the four streams: each channel is weighted by a small MLP of its average."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        average = images.mean(dim=(2, 3), keepdim=True)
        return images * torch.sigmoid(self.fc2(torch.relu(self.fc1(average))))


def _stream(channels: int, depth: int) -> nn.Module:
    return LightConv(channels) if depth == 1 else nn.Sequential(*(LightConv(channels) for _ in range(depth)))


class OSBlock(nn.Module):
    """Omni-scale residual block: four streams with receptive fields 3, 5, 7 and 9, gated and summed.

    `instance` is "" (plain), "inside" (instance norm before the sum, as OSNet-AIN) or "outside" (after it, OSNet-IBN).
    """

    def __init__(self, channels: int, out: int, instance: str = "") -> None:
        super().__init__()
        middle = out // 4
        self.conv1 = ConvLayer(channels, middle, 1)
        self.conv2a, self.conv2b = _stream(middle, 1), _stream(middle, 2)
        self.conv2c, self.conv2d = _stream(middle, 3), _stream(middle, 4)
        self.gate = ChannelGate(middle)
        self.conv3 = LinearConv(middle, out, normalised=instance != "inside")
        self.inside: nn.Module = nn.InstanceNorm2d(out, affine=True) if instance == "inside" else nn.Identity()
        self.downsample: nn.Module = LinearConv(channels, out) if channels != out else nn.Identity()
        self.outside: nn.Module = nn.InstanceNorm2d(out, affine=True) if instance == "outside" else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        start = self.conv1(images)
        streams = (self.conv2a, self.conv2b, self.conv2c, self.conv2d)
        mixed = torch.stack([self.gate(stream(start)) for stream in streams]).sum(0)
        return torch.relu(self.outside(self.inside(self.conv3(mixed)) + self.downsample(images)))


class OSNet(Staged):
    """Images (B, 3, H, W) -> features (B, 512): stem, three stages of two blocks, average pooling, embedding.

    `width` is a key of WIDTHS. `instance=True` puts instance norm into the stem and the first block of each stage.
    The embedding is Linear, BatchNorm1d and, with `relu=True`, ReLU as published. Without it the vectors keep their
    sign, which ranks better under a cosine and leaves diff attention no dead coordinate; it is the default.
    """

    dim = 512

    def __init__(self, width: str = "x0_25", instance: bool = False, relu: bool = False) -> None:
        super().__init__()
        stem, *stages = WIDTHS[width]
        self.conv1 = ConvLayer(3, stem, 7, stride=2, instance=instance)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        inside = "inside" if instance else ""
        self.conv2 = nn.Sequential(
            OSBlock(stem, stages[0], inside),
            OSBlock(stages[0], stages[0]),
            nn.Sequential(ConvLayer(stages[0], stages[0], 1), nn.AvgPool2d(2)),
        )
        self.conv3 = nn.Sequential(
            OSBlock(stages[0], stages[1], inside),
            OSBlock(stages[1], stages[1]),
            nn.Sequential(ConvLayer(stages[1], stages[1], 1), nn.AvgPool2d(2)),
        )
        self.conv4 = nn.Sequential(OSBlock(stages[1], stages[2], inside), OSBlock(stages[2], stages[2]))
        self.conv5 = ConvLayer(stages[2], stages[2], 1)
        last: nn.Module = nn.ReLU() if relu else nn.Identity()
        self.fc = nn.Sequential(nn.Linear(stages[2], self.dim), nn.BatchNorm1d(self.dim), last)
        self.apply(_initialise)

    def renamed(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """A checkpoint's weights by this network's names: instance norm begins with batch norm's scale and shift."""
        inside = {f"backbone.{name}" for name in self.state_dict() if ".inside." in name}
        moved = {name: name.replace("inside", "conv3.bn") for name in inside}
        return state | {name: state[source] for name, source in moved.items() if source in state}

    def feature_map(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, H/16, W/16)."""
        stem = self.maxpool(self.conv1(images))
        return self.run(stem, self.conv2, self.conv3, self.conv4, self.conv5)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.feature_map(images).mean(dim=(2, 3)))


def _initialise(module: nn.Module) -> None:
    """He initialisation of convolutions, small normal weights of the embedding, as in the public code."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0, 0.01)
        nn.init.zeros_(module.bias)
