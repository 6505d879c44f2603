"""How a model starts: random weights, an ONNX extractor, an earlier bundle or checkpoint, or ImageNet weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import BadConfig
from ..messages import gettext_noop as _
from ..models import build
from ..models.diff_attention import DiffAttention
from ..models.foreign import OnnxExtractor, Unseeing, read_onnx
from ..models.osnet import OSNet
from ..models.reid_model import ReidModel
from .config import TrainConfig
from .crops import Crops

SAMPLE = 256


def model_config(config: TrainConfig) -> dict[str, Any]:
    """What `models.build` needs, and what the bundle's manifest keeps under `config`."""
    module = {
        "ratio": config.ratio,
        "transform": config.transform,
        "tied": config.tied,
        "activation": config.activation,
        "distance": config.distance,
        "variant": config.variant,
    }
    return {"backbone": config.backbone, "options": dict(config.extra), "diff_attention": module}


def start_model(config: TrainConfig, crops: Crops) -> ReidModel:
    """The model of the first step, seeded. Raises BadConfig when `init` cannot be used with this backbone."""
    torch.manual_seed(config.seed)
    if config.backbone == "onnx":
        return _foreign(config, crops)
    model = build({**model_config(config), "classes": crops.people})
    sample = torch.randperm(len(crops.images))[:SAMPLE]
    if config.init == "imagenet":
        _load_imagenet(model)
    elif config.init.endswith(".onnx"):
        _load_onnx(model, config.init, crops.batch(sample))
    elif config.init:
        load_weights(model, Path(config.init))
    model.bf16 = config.bf16
    model.backbone.recompute = config.gradient_checkpointing  # type: ignore[assignment]
    return model


def _foreign(config: TrainConfig, crops: Crops) -> ReidModel:
    """An ONNX file as it is, its coordinates scaled alike to spread by about 1, which leaves its ranking alone."""
    if not config.init.endswith(".onnx"):
        raise BadConfig(_("the backbone onnx needs an .onnx file as init"), option="init")
    extractor = read_onnx(Path(config.init), config.height, config.width)
    model = over(extractor, config)
    sample = extractor(crops.batch(torch.randperm(len(crops.images))[:SAMPLE]))
    model.neck.running_var.fill_(sample.var(0).mean())  # type: ignore[union-attr, operator]
    return model


def over(extractor: OnnxExtractor | Unseeing, config: TrainConfig) -> ReidModel:
    """A frozen extractor under a new diff attention."""
    return ReidModel(
        extractor, extractor.dim, 0, DiffAttention(extractor.dim, **model_config(config)["diff_attention"])
    )


def _load_onnx(model: ReidModel, path: str, sample: torch.Tensor) -> None:
    from ..models.onnx_init import load_onnx_osnet

    if not isinstance(model.backbone, OSNet):
        raise BadConfig(_("an .onnx file can start an osnet backbone only"), option="init")
    load_onnx_osnet(model.backbone, path, sample)
    model.settle_neck(sample)


def _load_imagenet(model: ReidModel) -> None:
    load = getattr(model.backbone, "load_imagenet", None)
    if load is None:
        raise BadConfig(_("this backbone has no ImageNet weights; leave init empty or give a file"), option="init")
    load()


def load_weights(model: ReidModel, path: Path) -> None:
    """Everything of a file of weights that fits by name and shape; the backbone must fit but for what it adds."""
    state = _state_of(path)
    if isinstance(model.backbone, OSNet):
        state = model.backbone.renamed(state)
    own = model.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    added = tuple(f"backbone.{name}" for name in getattr(model.backbone, "ADDED", ()))
    needed = [name for name in own if name.startswith("backbone.") and not name.startswith(added)]
    missing = [name for name in needed if name not in fitting]
    if missing:
        raise BadConfig(
            _("%(path)s does not fit the backbone: %(missing)s is missing or of another shape"),
            path=path,
            missing=missing[0],
            option="init",
        )
    model.load_state_dict(fitting, strict=False)


def _state_of(path: Path) -> dict[str, torch.Tensor]:
    from .. import bundle
    from . import checkpoint

    if path.suffix == ".reid":
        return bundle.read(path).state_dict
    state = checkpoint.load(path)
    state = state.get("average", state.get("state_dict", state))
    named = {name.removeprefix("module."): value for name, value in state.items()}
    whole = any(name.startswith("backbone.") for name in named)
    return named if whole else {f"backbone.{name}": value for name, value in named.items()}
