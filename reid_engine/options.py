"""TrainConfig and the ablations as command-line options: one definition for `python -m reid_engine` and manage.py."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from .data import place_of
from .errors import BadConfig
from .messages import gettext
from .messages import gettext_noop as _
from .training import config as training
from .training.config import TrainConfig

if TYPE_CHECKING:
    from .training.ablate import Ablation

CHOICES: dict[str, tuple[str, ...]] = {
    "data_format": training.DATA_FORMATS,
    "strategy": training.STRATEGIES,
    "backbone": training.BACKBONES,
    "transform": training.TRANSFORMS,
    "activation": training.ACTIVATIONS,
    "distance": training.DISTANCES,
    "triplet": training.TRIPLETS,
    "plain_feature": training.PLAIN_FEATURES,
    "variant": training.VARIANTS,
    "schedule": training.SCHEDULES,
    "module_choice": training.CHOICES,
    "single_crops": training.SINGLE_CROPS,
}
HELP = {
    "data": _("folder of the data set"),
    "out": _("folder for checkpoints, log and bundle"),
    "data_format": _("format of the data set"),
    "name": _("name of the bundle"),
    "backbone": _("the network before diff attention"),
    "strategy": _("train backbone and diff attention together, or the module alone on frozen features"),
    "init": _("weights to start from: a file (.onnx, .pt, .reid), imagenet, or none for random ones"),
    "after": _("the recipe whose run, if it is not finished, comes first and leaves these weights"),
    "epochs": _("passes over the crops"),
    "height": _("pixels"),
    "width": _("pixels"),
    "people_per_batch": _("P of the P x K batch"),
    "single_crops": _("people with one crop: refuse the set, leave them out, or repeat the crop"),
    "crops_per_person": _("K of the P x K batch"),
    "lr": _("learning rate"),
    "weight_decay": _("weight decay"),
    "warmup_epochs": _("epochs in which the rate climbs"),
    "schedule": _("how the learning rate falls"),
    "final_lr": _("share of the learning rate left at the end"),
    "steps_at": _("epochs at which the rate falls to a tenth (schedule step)"),
    "ema": _("decay of the averaged weights, 0 for none"),
    "label_smoothing": _("share of the label spread over the other people"),
    "margin": _("margin of the triplet losses"),
    "soft_margin": _("soft margin instead: softplus(d_pos - d_neg)"),
    "triplet": _("batch-hard, weighted regularised, or the latter as published"),
    "variant": _("the paper's untied module, trained before and tested after the BNNeck, or ours"),
    "center_weight": _("weight of the center loss, 0 for none"),
    "plain_weight": _("weight of the triplet loss on plain distances, 0 for none"),
    "plain_feature": _("the feature of that loss: before the BNNeck, or after it at length 1, as in the test"),
    "attention_weight": _("weight of the triplet loss on attended distances"),
    "flip": _("probability of a mirror image"),
    "pad": _("pixels of padding before the random cut"),
    "erasing": _("probability of random erasing"),
    "jitter": _("strength of the colour jitter"),
    "camera": _("probability of a poorer camera's colours and resolution"),
    "coarse": _("probability of a lower resolution alone, down to a third"),
    "rendered": _("rendered people added to the training part"),
    "distil": _("weight of the loss that follows the averaged weights, 0 for none"),
    "seed": _("seed of everything random"),
    "ratio": _("r of the module's hidden size D / r"),
    "transform": _("T of T(g - q)"),
    "activation": _("what bounds the attention"),
    "distance": _("distance of the attended features"),
    "tied": _("one weight for query and gallery: a symmetric distance"),
    "normalise_train": _("L2-normalise the attended features in training too"),
    "separate_after": _("add separate training after joint, keep the better module"),
    "module_epochs": _("passes over the frozen features"),
    "module_steps_at": _("epochs at which the module's rate falls to a tenth"),
    "module_lrs": _("learning rates tried for the module"),
    "module_ratios": _("ratios tried for the module"),
    "module_views": _("random views of every crop added to the frozen features"),
    "module_damping": _("factors of W2 each module is also tried with"),
    "module_choice": _("the module that validates best, or the last one"),
    "pair_memory": _("MiB that tiles of pairs may take; changes the speed alone"),
    "validate_every": _("epochs between validations, 0 for never"),
    "device": _("cpu, cuda or cuda:N"),
    "threads": _("threads of the processor, 0 for all"),
    "bf16": _("compute in bfloat16 where the device has it, elsewhere in float32"),
    "gradient_checkpointing": _("compute the backbone's inner maps again instead of keeping them: less memory, slower"),
    "resume": _("go on from the checkpoint in --out where there is one"),
}
SKIPPED = ("extra",)
RATIOS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """Give `parser` one option per field of TrainConfig, and --recipe. Options not given stay None."""
    parser.add_argument("--recipe", help=gettext("a shipped recipe's name or a JSON file; other options lie over it"))
    hints = get_type_hints(TrainConfig)
    for item in dataclasses.fields(TrainConfig):
        if item.name not in SKIPPED:
            _add_option(parser, item, hints[item.name])


def train_config(options: dict[str, Any]) -> TrainConfig:
    """The TrainConfig that the parsed options ask for. Raises BadConfig naming the option at fault."""
    names = {item.name for item in dataclasses.fields(TrainConfig)} - set(SKIPPED)
    given = {name: options[name] for name in names if options.get(name) is not None}
    recipe = options.get("recipe")
    if recipe is None:
        return TrainConfig.from_dict(given)
    if "init" in given:
        given.setdefault("after", "")
    return TrainConfig.from_recipe(training.recipe_path(recipe), **given)


def add_ablation_options(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the options of the two ablations, but for where the features come from."""
    parser.add_argument("--out", required=True, type=Path, help=gettext("folder for features, rows, tables and plots"))
    parser.add_argument(
        "--transforms",
        nargs="*",
        default=training.TRANSFORMS,
        help=gettext("input transforms compared (default: all three)"),
    )
    parser.add_argument(
        "--ratios", nargs="*", type=int, default=RATIOS, help=gettext("MLP ratios compared (default: 1 to 1024)")
    )
    parser.add_argument("--ratio", type=int, default=4, help=gettext("ratio for the transforms (default: %(default)s)"))
    parser.add_argument(
        "--transform", default="abs", help=gettext("input transform for the ratios (default: %(default)s)")
    )
    parser.add_argument(
        "--epochs", type=int, default=60, help=gettext("passes over the features (default: %(default)s)")
    )
    parser.add_argument(
        "--lr", type=float, default=1e-3, help=gettext("learning rate (default: %(default)s; the paper's: 0.05)")
    )
    parser.add_argument("--seed", type=int, default=1, help=gettext("seed of everything random (default: %(default)s)"))
    parser.add_argument("--threads", type=int, default=0, help=gettext("threads of the processor, 0 for all"))


def ablation_of(options: dict[str, Any]) -> Ablation:
    """The ablations the parsed options ask for. Raises BadConfig. Loads torch."""
    from .training.ablate import Ablation

    names = [item.name for item in dataclasses.fields(Ablation)]
    values: dict[str, Any] = {name: options[name] for name in names}
    values |= {name: tuple(values[name]) for name in ("transforms", "ratios")}
    return Ablation(**values)


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the options of a table of backbones and methods."""
    parser.add_argument("--data", required=True, help=gettext("folder of the data set"))
    parser.add_argument(
        "--format",
        default="market1501",
        choices=training.DATA_FORMATS,
        help=gettext("its format (default: %(default)s)"),
    )
    parser.add_argument(
        "--out", required=True, type=Path, help=gettext("folder for the runs, a folder each, and the table")
    )
    parser.add_argument("--plan", default="paper", help=gettext("a shipped plan or a JSON file (default: %(default)s)"))
    parser.add_argument(
        "--rows", nargs="*", default=(), help=gettext("rows to make, as agw-joint (default: all of the plan)")
    )
    parser.add_argument("--into", type=Path, help=gettext("also put the table between its marks in this Markdown file"))
    parser.add_argument("--device", default="cpu", help=gettext("cpu, cuda or cuda:N (default: %(default)s)"))
    parser.add_argument("--threads", type=int, default=0, help=gettext("threads of the processor, 0 for all"))


def table_given(options: dict[str, Any]) -> dict[str, Any]:
    """What the parsed options say for every row of a table. Raises BadConfig where the data is not there."""
    if not place_of(options["data"]).exists():
        raise BadConfig(_("--data %(data)s: there is no such folder or file"), data=options["data"], option="data")
    names = {"data": "data", "data_format": "format", "device": "device", "threads": "threads"}
    return {name: options[option] for name, option in names.items()}


def check_paths(config: TrainConfig) -> TrainConfig:
    """The config, when its data and initial weights are there. Raises BadConfig before an hour is lost.

    A backbone that has ImageNet weights starts from random ones only where init says "none", which becomes "".
    """
    if not place_of(config.data).exists():
        raise BadConfig(_("--data %(data)s: there is no such folder or file"), data=config.data, option="data")
    if config.init == "none":
        return dataclasses.replace(config, init="")
    if not config.init and config.backbone in training.FROM_IMAGENET:
        told = _("%(backbone)s needs --init: imagenet, a file of weights, or none for random weights")
        raise BadConfig(told, backbone=config.backbone, option="init")
    if config.init not in ("", "imagenet") and not Path(config.init).is_file():
        text = _("--init %(init)s: there is no such file; a file's path, imagenet, or none")
        raise BadConfig(text, init=config.init, option="init")
    return config


def _add_option(parser: argparse.ArgumentParser, item: dataclasses.Field[Any], kind: Any) -> None:
    flag = f"--{item.name.replace('_', '-')}"
    text = _help(item)
    if kind is bool:
        parser.add_argument(flag, dest=item.name, action=argparse.BooleanOptionalAction, default=None, help=text)
    elif get_origin(kind) is tuple:
        parser.add_argument(flag, dest=item.name, type=get_args(kind)[0], nargs="*", default=None, help=text)
    else:
        parser.add_argument(flag, dest=item.name, type=kind, choices=CHOICES.get(item.name), default=None, help=text)


def _help(item: dataclasses.Field[Any]) -> str:
    text = gettext(HELP[item.name])
    if item.default is dataclasses.MISSING:
        return gettext("%s (needed, here or in the recipe)") % text
    default = " ".join(map(str, item.default)) if isinstance(item.default, tuple) else item.default
    shown = default if default != "" else gettext("none")
    return gettext("%(text)s (default: %(default)s)") % {"text": text, "default": shown}
