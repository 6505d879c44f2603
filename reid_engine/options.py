"""TrainConfig and the ablations as command-line options: one definition for `python -m reid_engine` and manage.py."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from .errors import BadConfig
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
    "variant": training.VARIANTS,
    "schedule": training.SCHEDULES,
    "module_choice": training.CHOICES,
}
HELP = {
    "data": "folder of the data set",
    "out": "folder for checkpoints, log and bundle",
    "data_format": "format of the data set",
    "name": "name of the bundle",
    "strategy": "train backbone and diff attention together, or the module alone on frozen features",
    "init": "weights to start from: a file (.onnx, .pt, .reid), or imagenet",
    "epochs": "passes over the crops",
    "height": "pixels",
    "width": "pixels",
    "people_per_batch": "P of the P x K batch",
    "crops_per_person": "K of the P x K batch",
    "lr": "learning rate",
    "final_lr": "share of the learning rate left at the end",
    "steps_at": "epochs at which the rate falls to a tenth (schedule step)",
    "ema": "decay of the averaged weights, 0 for none",
    "margin": "margin of the triplet losses",
    "soft_margin": "soft margin instead: softplus(d_pos - d_neg)",
    "triplet": "batch-hard, weighted regularised, or the latter as published",
    "variant": "the paper's untied module, trained before and tested after the BNNeck, or ours",
    "center_weight": "weight of the center loss, 0 for none",
    "plain_weight": "weight of the triplet loss on plain distances, 0 for none",
    "attention_weight": "weight of the triplet loss on attended distances",
    "flip": "probability of a mirror image",
    "pad": "pixels of padding before the random crop",
    "erasing": "probability of random erasing",
    "jitter": "strength of the colour jitter",
    "camera": "probability of a poorer camera's colours and resolution",
    "seed": "seed of everything random",
    "ratio": "r of the module's hidden size D / r",
    "transform": "T of T(g - q)",
    "tied": "one weight for query and gallery: a symmetric distance",
    "normalise_train": "L2-normalise the attended features in training too",
    "separate_after": "add separate training after joint, keep the better module",
    "module_epochs": "passes over the frozen features",
    "module_steps_at": "epochs at which the module's rate falls to a tenth",
    "module_lrs": "learning rates tried for the module",
    "module_ratios": "ratios tried for the module",
    "module_views": "random views of every crop added to the frozen features",
    "module_damping": "factors of W2 each module is also tried with",
    "module_choice": "the module that validates best, or the last one",
    "pair_memory": "MiB that tiles of pairs may take; changes the speed alone",
    "validate_every": "epochs between validations, 0 for never",
    "device": "cpu, cuda or cuda:N",
    "threads": "threads of the processor, 0 for all",
    "bf16": "compute in bfloat16",
    "gradient_checkpointing": "compute the backbone's inner maps again instead of keeping them: less memory, slower",
    "resume": "go on from the checkpoint in --out where there is one",
}
SKIPPED = ("extra",)
RATIOS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """Give `parser` one option per field of TrainConfig, and --recipe. Options not given stay None."""
    parser.add_argument("--recipe", help="a shipped recipe's name or a JSON file; other options lie over it")
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
    path = Path(recipe) if Path(recipe).suffix == ".json" else training.recipe_path(recipe)
    return TrainConfig.from_recipe(path, **given)


def add_ablation_options(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the options of the two ablations, but for where the features come from."""
    parser.add_argument("--out", required=True, type=Path, help="folder for features, rows, tables and plots")
    parser.add_argument(
        "--transforms", nargs="*", default=training.TRANSFORMS, help="input transforms compared (default: all three)"
    )
    parser.add_argument(
        "--ratios", nargs="*", type=int, default=RATIOS, help="MLP ratios compared (default: 1 to 1024)"
    )
    parser.add_argument("--ratio", type=int, default=4, help="ratio for the transforms (default: %(default)s)")
    parser.add_argument("--transform", default="abs", help="input transform for the ratios (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the features (default: %(default)s)")
    parser.add_argument(
        "--lr", type=float, default=1e-3, help="learning rate (default: %(default)s; the paper's: 0.05)"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of everything random (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="threads of the processor, 0 for all")


def ablation_of(options: dict[str, Any]) -> Ablation:
    """The ablations the parsed options ask for. Raises BadConfig. Loads torch."""
    from .training.ablate import Ablation

    names = [item.name for item in dataclasses.fields(Ablation)]
    values: dict[str, Any] = {name: options[name] for name in names}
    values |= {name: tuple(values[name]) for name in ("transforms", "ratios")}
    return Ablation(**values)


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the options of a table of backbones and methods."""
    parser.add_argument("--data", required=True, help="folder of the data set")
    parser.add_argument(
        "--format", default="market1501", choices=training.DATA_FORMATS, help="its format (default: %(default)s)"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for the runs, a folder each, and the table")
    parser.add_argument("--plan", default="paper", help="a shipped plan or a JSON file (default: %(default)s)")
    parser.add_argument("--rows", nargs="*", default=(), help="rows to make, as agw-joint (default: all of the plan)")
    parser.add_argument("--into", type=Path, help="also put the table between its marks in this Markdown file")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="threads of the processor, 0 for all")


def table_given(options: dict[str, Any]) -> dict[str, Any]:
    """What the parsed options say for every row of a table. Raises BadConfig where the data is not there."""
    if not Path(options["data"]).exists():
        raise BadConfig(f"--data {options['data']}: there is no such folder or file", option="data")
    names = {"data": "data", "data_format": "format", "device": "device", "threads": "threads"}
    return {name: options[option] for name, option in names.items()}


def check_paths(config: TrainConfig) -> TrainConfig:
    """The config, when its data and initial weights are there. Raises BadConfig before an hour is lost."""
    if not Path(config.data).exists():
        raise BadConfig(f"--data {config.data}: there is no such folder or file", option="data")
    if config.init not in ("", "imagenet") and not Path(config.init).is_file():
        raise BadConfig(f"--init {config.init}: there is no such file; a file's path, or imagenet", option="init")
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
    text = HELP.get(item.name, item.name.replace("_", " "))
    if item.default is dataclasses.MISSING:
        return f"{text} (needed, here or in the recipe)"
    default = " ".join(map(str, item.default)) if isinstance(item.default, tuple) else item.default
    return f"{text} (default: {default if default != '' else 'none'})"
