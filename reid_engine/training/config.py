"""What a training run is asked to do: one frozen record, checked when it is made. No torch."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..data import READERS
from ..errors import BadConfig
from ..messages import gettext_noop as _

STRATEGIES = ("joint", "separate")
DATA_FORMATS = READERS
BACKBONES = (
    "osnet_x0_25",
    "osnet_x0_5",
    "osnet_x0_75",
    "osnet_x1_0",
    "osnet_ain_x0_25",
    "osnet_ain_x0_5",
    "osnet_ain_x0_75",
    "osnet_ain_x1_0",
    "mobilenetv2",
    "bagtricks",
    "agw",
    "onnx",
    "features",
)
FROZEN = ("onnx", "features")
FROM_IMAGENET = ("mobilenetv2", "bagtricks", "agw")
TRANSFORMS = ("sub", "squ", "abs")
ACTIVATIONS = ("sigmoid", "none")
DISTANCES = ("euclidean", "cosine")
PLAIN_FEATURES = ("raw", "normalised")
TRIPLETS = ("hard", "weighted", "published")
VARIANTS = ("standard", "paper")
SCHEDULES = ("cosine", "step")
CHOICES = ("best", "last")
SINGLE_CROPS = ("refuse", "leave_out", "repeat")
# Where things lie, how a run is watched, how much memory it takes: two runs that differ here alone give one result.
PLACES = (
    "out",
    "data",
    "name",
    "after",
    "resume",
    "device",
    "threads",
    "validate_every",
    "pair_memory",
    "gradient_checkpointing",
)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the result of a run; two runs with the same record give the same weights.

    `data` is the folder of the set, `out` the folder that receives checkpoints, log and bundle. `init` is a file of
    weights (an .onnx extractor, a .pt checkpoint, a .reid bundle), "imagenet" where the backbone has such weights at
    hand, or "" for random ones. `epochs` counts backbone epochs under `joint`; under `separate` the backbone is frozen
    and `module_epochs` passes are made over the frozen features. `after` names the recipe whose run comes first and
    leaves the weights of `init`. `separate_after` adds that second stage to a joint run
    and keeps whichever module validates better; each is also tried with its map damped (W2 times `module_damping`: 0
    would be plain distance, 1 the module as trained), for a map learnt from few people tends to say too much.
    The module's rate falls to a tenth at each epoch of `module_steps_at` (the paper: 60 epochs, steps at 20 and 40).
    `module_views` adds that many random views of every crop to the frozen features (the paper has none): features of
    people the backbone has learnt are tidier than those it will meet, and a map learnt from them alone fits them.
    `module_choice` "last" takes the last epoch of the first rate and ratio instead of the one that validates best:
    then nothing is chosen on the people the run is judged by.
    `triplet` "published" is the weighted one as its public code has it, which collapses for distances above about 14.
    `variant` "paper" trains diff attention untied on the features before the BNNeck and tests it on those after it.
    `pair_memory` is the MiB that tiles of pairs may take, `gradient_checkpointing` keeps only the maps between the
    backbone's stages: both change memory and speed alone.
    `single_crops` says what becomes of people with one crop, who have no positive pair: refuse the set, leave them out,
    or repeat the crop.
    Sizes are pixels, rates are per step, `device` is a torch device. The triplet loss is `attention_weight` times the
    one over diff-attention distances plus `plain_weight` times the one over plain distances of the pre-BNNeck feature
    or, with `plain_feature` "normalised", of the one after the BNNeck at length 1, as the test takes it.
    `rendered` adds that many people drawn by the renderer to the training part, `distil` weighs a loss that holds the
    likeness of a batch's crops to what the averaged weights make of it.
    """

    data: str
    out: str
    data_format: str = "market1501"
    name: str = "citysearch"
    strategy: str = "joint"
    backbone: str = "osnet_x0_25"
    init: str = ""
    after: str = ""
    epochs: int = 40
    height: int = 256
    width: int = 128
    people_per_batch: int = 16
    crops_per_person: int = 4
    single_crops: str = "refuse"
    lr: float = 1e-3
    weight_decay: float = 5e-4
    warmup_epochs: int = 2
    schedule: str = "cosine"
    steps_at: tuple[int, ...] = ()
    final_lr: float = 0.01
    ema: float = 0.998
    label_smoothing: float = 0.1
    triplet: str = "hard"
    margin: float = 0.3
    soft_margin: bool = False
    center_weight: float = 0.0005
    plain_weight: float = 0.0
    plain_feature: str = "raw"
    attention_weight: float = 1.0
    ratio: int = 4
    transform: str = "abs"
    tied: bool = True
    activation: str = "sigmoid"
    distance: str = "euclidean"
    variant: str = "standard"
    normalise_train: bool = True
    separate_after: bool = True
    module_epochs: int = 8
    module_steps_at: tuple[int, ...] = ()
    module_lrs: tuple[float, ...] = (1e-3, 3e-3, 5e-3)
    module_views: int = 0
    module_ratios: tuple[int, ...] = ()
    module_damping: tuple[float, ...] = (1.0, 0.5)
    module_choice: str = "best"
    pair_memory: int = 128
    flip: float = 0.5
    pad: int = 10
    erasing: float = 0.5
    jitter: float = 0.15
    camera: float = 0.0
    coarse: float = 0.0
    rendered: int = 0
    distil: float = 0.0
    validate_every: int = 5
    seed: int = 1
    device: str = "cpu"
    threads: int = 0
    bf16: bool = False
    gradient_checkpointing: bool = False
    resume: bool = True
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_names(self)
        _check_numbers(self)
        _check_ratios(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """A config from JSON-like values. Raises BadConfig naming an unknown option and the known ones."""
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            text = _("unknown training option %(option)r; known: %(known)s")
            raise BadConfig(text, option=unknown[0], known=", ".join(sorted(known)))
        missing = sorted({"data", "out"} - set(values))
        if missing:
            raise BadConfig(_("training option %(option)r is missing"), option=missing[0])
        options: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**options)

    @classmethod
    def from_recipe(cls, path: Path | str, **overrides: Any) -> TrainConfig:
        """A recipe file (JSON) with options laid over it; overrides of None are left out."""
        try:
            values = json.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise BadConfig(
                _("recipe %(path)s cannot be read: %(error)s"), path=path, error=error, option="recipe"
            ) from error
        return cls.from_dict({**values, **{key: value for key, value in overrides.items() if value is not None}})

    def as_dict(self) -> dict[str, Any]:
        """The options as JSON-like values; `from_dict` reads them back."""
        return asdict(self)


def made_with(options: dict[str, Any]) -> dict[str, Any]:
    """The options kept of an earlier run, JSON-like, and those that came later, which stood at their defaults."""
    then = {item.name: item.default for item in fields(TrainConfig) if item.default is not MISSING}
    made: dict[str, Any] = json.loads(json.dumps(then)) | options
    return made


def stages(config: TrainConfig) -> tuple[TrainConfig, ...]:
    """The runs to make, this one last: those it comes after are left out as far as they are finished."""
    if not config.after:
        return (config,)
    same = {name: getattr(config, name) for name in ("data", "data_format", "device", "threads", "resume")}
    first = TrainConfig.from_recipe(recipe_path(config.after), **same)
    return (config,) if bundle_path(first).is_file() else (*stages(first), config)


def bundle_path(config: TrainConfig) -> Path:
    """Where a run puts its bundle, when it is finished."""
    return Path(config.out) / f"{config.name}.reid"


def recipe_path(name: str, kind: str = "recipes") -> Path:
    """A JSON file by its path, or that of a shipped recipe, or of choices to compare; raises BadConfig naming these."""
    if Path(name).suffix == ".json":
        return Path(name)
    folder = Path(__file__).parent / kind
    names = sorted(path.stem for path in folder.glob("*.json"))
    require_one_of("recipe", name, names)
    return folder / f"{name}.json"


def require_one_of(option: str, value: object, allowed: Collection[str]) -> None:
    """Refuses `value` unless it is one of the allowed names."""
    if value not in allowed:
        raise BadConfig(
            _("%(option)s is %(value)r; allowed: %(allowed)s"),
            value=value,
            option=option,
            allowed=", ".join(allowed),
        )


def _check_names(config: TrainConfig) -> None:
    require_one_of("data_format", config.data_format, DATA_FORMATS)
    require_one_of("strategy", config.strategy, STRATEGIES)
    require_one_of("backbone", config.backbone, BACKBONES)
    if config.backbone in FROZEN and config.strategy != "separate":
        text = _("the backbone %(backbone)s is used as it is; give --strategy separate")
        raise BadConfig(text, backbone=config.backbone, option="strategy")
    if (config.backbone == "features") != (config.data_format == "features"):
        both = _("--backbone features and --data-format features go together: neither has pictures")
        raise BadConfig(both, option="backbone")
    require_one_of("transform", config.transform, TRANSFORMS)
    require_one_of("activation", config.activation, ACTIVATIONS)
    require_one_of("distance", config.distance, DISTANCES)
    require_one_of("triplet", config.triplet, TRIPLETS)
    require_one_of("plain_feature", config.plain_feature, PLAIN_FEATURES)
    require_one_of("variant", config.variant, VARIANTS)
    require_one_of("schedule", config.schedule, SCHEDULES)
    require_one_of("module_choice", config.module_choice, CHOICES)
    require_one_of("single_crops", config.single_crops, SINGLE_CROPS)


RANGES: dict[str, tuple[float, float]] = {
    "epochs": (0, 10_000),
    "height": (16, 1024),
    "width": (16, 1024),
    "people_per_batch": (2, 1024),
    "crops_per_person": (2, 64),
    "lr": (1e-8, 10.0),
    "weight_decay": (0.0, 1.0),
    "warmup_epochs": (0, 1000),
    "final_lr": (0.0, 1.0),
    "ema": (0.0, 0.99999),
    "label_smoothing": (0.0, 0.9),
    "margin": (0.0, 10.0),
    "center_weight": (0.0, 10.0),
    "plain_weight": (0.0, 100.0),
    "attention_weight": (0.0, 100.0),
    "ratio": (1, 4096),
    "module_epochs": (1, 10_000),
    "module_views": (0, 16),
    "pair_memory": (1, 1_000_000),
    "flip": (0.0, 1.0),
    "pad": (0, 128),
    "erasing": (0.0, 1.0),
    "jitter": (0.0, 1.0),
    "camera": (0.0, 1.0),
    "coarse": (0.0, 1.0),
    "rendered": (0, 4999),
    "distil": (0.0, 100.0),
    "validate_every": (0, 10_000),
    "seed": (0, 2**31 - 1),
    "threads": (0, 1024),
}


def _check_numbers(config: TrainConfig) -> None:
    for option, (low, high) in RANGES.items():
        value = getattr(config, option)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise BadConfig(
                _("%(option)s is %(value)r; allowed: a number from %(low)s to %(high)s"),
                value=value,
                low=low,
                high=high,
                option=option,
            )


def _check_ratios(config: TrainConfig) -> None:
    checked = (
        ("module_lrs", config.module_lrs, 1.0),
        ("module_ratios", config.module_ratios, 4096.0),
        ("module_damping", [value + 1e-9 for value in config.module_damping], 10.0),
    )
    for option, values, high in checked:
        if any(not 0 < value <= high for value in values):
            raise BadConfig(
                _("%(option)s is %(value)r; allowed: numbers above 0"), value=getattr(config, option), option=option
            )
    for option in ("module_lrs", "module_damping"):
        if not getattr(config, option):
            raise BadConfig(_("%(option)s is empty; give at least one number"), option=option)
