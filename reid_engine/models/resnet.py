"""BagTricks and AGW: ResNet-50 with the last stride 1, and AGW's non-local blocks and GeM pooling on top of it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from ..errors import BadConfig
from ..messages import gettext_noop as _
from .non_local import NonLocal
from .pooling import GeM
from .staged import Staged


class BagTricks(Staged):
    """Images (B, 3, H, W) -> features (B, 2048): ResNet-50, last stride 1, average pooling.

    Parameter names are torchvision's, so a ResNet-50 file loads by name.
    """

    dim = 2048

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import resnet50

        net = resnet50(weights=None)
        net.layer4[0].conv2.stride = (1, 1)
        net.layer4[0].downsample[0].stride = (1, 1)
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = net.layer1, net.layer2, net.layer3, net.layer4

    def feature_map(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 2048, H/16, W/16)."""
        stem = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        return self.run(stem, self.layer1, self.layer2, self.layer3, self.layer4)

    def forward(self, images: Tensor) -> Tensor:
        return self.feature_map(images).mean(dim=(2, 3))

    def load_imagenet(self) -> None:
        """torchvision's ImageNet weights. Raises BadConfig, naming the other ways, where they cannot be downloaded."""
        from torchvision.models import ResNet50_Weights

        try:
            state = ResNet50_Weights.IMAGENET1K_V1.get_state_dict(progress=False)
        except Exception as error:  # urllib, OS and checksum errors alike
            text = _(
                "the ImageNet weights of ResNet-50 could not be downloaded (%(error)s); fetch %(url)s where there is a "
                "network and give --init THAT FILE, or --init none for random weights"
            )
            raise BadConfig(text, error=error, url=ResNet50_Weights.IMAGENET1K_V1.url, option="init") from error
        self.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")}, strict=False)


class AGW(BagTricks):
    """BagTricks with non-local blocks after layer2[2, 3] and layer3[3, 4, 5], and GeM pooling."""

    ADDED = ("non_local.", "pool.")  # what no weights of ResNet-50 hold

    def __init__(self) -> None:
        super().__init__()
        self.non_local = nn.ModuleDict(
            {f"layer2_{at}": NonLocal(512) for at in (2, 3)} | {f"layer3_{at}": NonLocal(1024) for at in (3, 4, 5)}
        )
        self.pool = GeM()

    def feature_map(self, images: Tensor) -> Tensor:
        stem = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        return self.run(stem, self.layer1, *self._blocks("layer2"), *self._blocks("layer3"), self.layer4)

    def forward(self, images: Tensor) -> Tensor:
        return self.pool(self.feature_map(images))

    def _blocks(self, name: str) -> Iterator[nn.Module]:
        """The blocks of a stage, each followed by the non-local block behind it, if there is one."""
        for at, block in enumerate(getattr(self, name)):
            yield block
            if f"{name}_{at}" in self.non_local:
                yield self.non_local[f"{name}_{at}"]
