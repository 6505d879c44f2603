"""Models by name: one registry of backbones, one way to build a model from a configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ..errors import BadConfig
from ..messages import gettext_noop as _
from ..training.config import BACKBONES, require_one_of
from .diff_attention import DiffAttention
from .foreign import OnnxExtractor, Unseeing
from .mobilenet import MobileNetV2
from .osnet import OSNet
from .reid_model import ReidModel
from .resnet import AGW, BagTricks


def _osnet(width: str, instance: bool = False) -> Callable[..., nn.Module]:
    return lambda **options: OSNet(width, instance=instance, **options)


REGISTRY: dict[str, Callable[..., nn.Module]] = {
    "osnet_x0_25": _osnet("x0_25"),
    "osnet_x0_5": _osnet("x0_5"),
    "osnet_x0_75": _osnet("x0_75"),
    "osnet_x1_0": _osnet("x1_0"),
    "osnet_ain_x0_25": _osnet("x0_25", True),
    "osnet_ain_x0_5": _osnet("x0_5", True),
    "osnet_ain_x0_75": _osnet("x0_75", True),
    "osnet_ain_x1_0": _osnet("x1_0", True),
    "mobilenetv2": MobileNetV2,
    "bagtricks": BagTricks,
    "agw": AGW,
    "onnx": OnnxExtractor,
    "features": Unseeing,
}


def build(config: dict[str, Any]) -> ReidModel:
    """The model of a configuration: {backbone, options, classes, diff_attention {ratio, transform, ...}}.

    All but `backbone` may be absent. Raises BadConfig on an unknown backbone or option.
    """
    require_one_of("backbone", config.get("backbone"), BACKBONES)
    backbone = _backbone(config["backbone"], config.get("options", {}))
    dim = int(backbone.dim)  # type: ignore[arg-type]
    attention = DiffAttention(dim, **config.get("diff_attention", {}))
    return ReidModel(backbone, dim, int(config.get("classes", 0)), attention)


def _backbone(name: str, options: dict[str, Any]) -> nn.Module:
    try:
        return REGISTRY[name](**options)
    except (TypeError, KeyError) as error:
        raise BadConfig(
            _("backbone %(name)s does not take the options %(options)s: %(error)s"),
            name=name,
            options=options,
            error=error,
            option="extra",
        ) from error
