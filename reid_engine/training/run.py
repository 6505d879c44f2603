"""A training run from a data set to a bundle, told in order."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import bundle, data
from ..augment import IMAGENET_MEAN, IMAGENET_STD
from ..calibration import Calibration, Curve, Situated
from ..data import synthetic
from ..data.records import Dataset, Part, Record
from ..errors import BadConfig
from ..messages import gettext_noop as _
from ..models.foreign import Unseeing
from ..models.reid_model import ReidModel
from . import checkpoint, parallel
from .config import PLACES, TrainConfig, bundle_path, made_with
from .cost import Cost
from .crops import Crops, decode
from .joint import Learner, Progress, new_learner, train_joint, views_of
from .people import trainable
from .sampler import epoch_seed
from .separate import train_separate
from .situations import calibrated, some_rows
from .standing import Candidate
from .start import model_config, over, start_model
from .validate import Held, extract, extract_view, figures, held

Validation = tuple[Held, Held]
RENDERED_CAMERAS, RENDERED_CROPS = 6, 3


def train(config: TrainConfig, progress: Progress = lambda epoch, epochs, step, steps, values: None) -> Path:
    """Trains as `config` says and returns the path of the bundle, `<out>/<name>.reid`.

    `progress(epoch, epochs, step, steps, figures)` is called after each step; a validation's come with 0 steps.
    Under torchrun every process trains its share of each batch, and all but the first return before the bundle is
    written. Started again after a kill, it goes on from the last checkpoint in `out` and ends with the same weights.
    Raises BadConfig, BadDataset, TrainingDiverged, TrainingStopped.
    """
    with parallel.processes(config) as own:
        prepare(own)
        try:
            return _train(own, progress if parallel.is_first() else lambda *_: None)
        finally:
            torch.set_flush_denormal(False)  # other users of this process count on them


def _train(config: TrainConfig, progress: Progress) -> Path:
    dataset = data.read(config.data_format, config.data, needs=("train",))
    if dataset.vectors is not None:
        return _train_over_features(config, dataset, dataset.vectors, progress)
    crops = decode(trainable(config, training_records(config, dataset)), config.height, config.width)
    parts = _validation_parts(config, dataset)
    model, cost = _trained(config, crops, parts, progress)
    if not parallel.is_first():
        return bundle_path(config)
    started = Cost.now()
    query_gallery = None if parts is None else (held(model, parts[0], flip=True), held(model, parts[1], flip=True))
    module = _module(config, model, crops, query_gallery, progress)
    model.attention = module.module
    strangers = extract(model, crops.rows(some_rows(len(crops.images))), flip=True).numpy()
    return _write(config, model, dataset, query_gallery, module, strangers, cost.plus(_spent(module, started)))


def training_records(config: TrainConfig, dataset: Dataset) -> tuple[Record, ...]:
    """The training part and, after it, `rendered` people drawn by the renderer into `out`, as people and cameras of
    their own."""
    if not config.rendered:
        return dataset.train
    folder = Path(config.out) / "rendered"
    synthetic.write_dataset(folder, 2 * config.rendered, RENDERED_CAMERAS, RENDERED_CROPS, config.seed)
    drawn = synthetic.read(folder, needs=("train",)).train
    people, cameras = (
        max(getattr(record, name) for record in dataset.train) + 1 for name in ("person_id", "camera_id")
    )
    return dataset.train + tuple(
        replace(record, person_id=record.person_id + people, camera_id=record.camera_id + cameras) for record in drawn
    )


def _train_over_features(
    config: TrainConfig, dataset: Dataset, vectors: dict[Part, NDArray[np.float32]], progress: Progress
) -> Path:
    """Diff attention alone, over features that another extractor took."""
    started, train = Cost.now(), trainable(config, dataset.train)
    kept = {id(record) for record in train}
    rows = np.array([id(record) in kept for record in dataset.train])
    labels = np.unique([record.person_id for record in train], return_inverse=True)[1]
    parts = {part: _held_part(dataset, part, vectors) for part in ("query", "gallery") if dataset.part(part)}
    validation = (parts["query"], parts["gallery"]) if len(parts) == 2 else None
    torch.manual_seed(config.seed)
    model = over(Unseeing(vectors["train"].shape[1]), config).eval()
    frozen, people = torch.from_numpy(vectors["train"][rows]), torch.from_numpy(labels.astype(np.int64))
    chosen = train_separate(config, frozen, people, validation, progress)
    model.attention = chosen.module
    strangers = vectors["train"][some_rows(len(vectors["train"]))]
    return _write(config, model, dataset, validation, chosen, strangers, _spent(chosen, started))


def _held_part(dataset: Dataset, part: Part, vectors: dict[Part, NDArray[np.float32]]) -> Held:
    people, cameras = np.array([(record.person_id, record.camera_id) for record in dataset.part(part)]).T
    return Held(torch.from_numpy(vectors[part]), people, cameras)


def prepare(config: TrainConfig) -> None:
    """Threads, and the device: raises BadConfig when it is not there. Denormals are flushed, they are slow on a CPU."""
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    try:
        torch.zeros(1, device=config.device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise BadConfig(
            _("device %(device)r cannot be used here: %(error)s"), device=config.device, error=error, option="device"
        ) from error


def _validation_parts(config: TrainConfig, dataset: Dataset) -> tuple[Crops, Crops] | None:
    if not (dataset.query and dataset.gallery):
        return None
    return decode(dataset.query, config.height, config.width), decode(dataset.gallery, config.height, config.width)


def _trained(
    config: TrainConfig, crops: Crops, parts: tuple[Crops, Crops] | None, progress: Progress
) -> tuple[ReidModel, Cost]:
    """The model with its backbone trained (joint), or as it starts (separate), in eval mode; and its cost."""
    model, cost = start_model(config, crops), Cost()
    if config.strategy == "joint":
        learner = resumed(config, new_learner(config, model, crops.people))
        train_joint(config, learner, crops, parts, progress)
        model, cost = learner.average, learner.cost
    model.bf16 = False
    return model.eval(), cost


def resumed(config: TrainConfig, learner: Learner) -> Learner:
    """The learner where its checkpoint left it. Raises BadConfig when that belongs to a run with other options."""
    options, path = Path(config.out) / "config.json", Path(config.out) / "joint.pt"
    wanted = decisive(config)
    if config.resume and path.exists():
        made = made_with(json.loads(options.read_text())) if options.exists() else wanted
        if parallel.is_first() and any(made.get(name) != wanted[name] for name in wanted):
            text = _("%(path)s belongs to a run with other options (%(options)s); give another out, or resume=False")
            raise BadConfig(text, path=path, options=options, option="resume")
        learner.restore(checkpoint.load(path))
    if parallel.is_first():
        bundle.write_whole(options, json.dumps(wanted, indent=1).encode())
    return learner


def decisive(config: TrainConfig) -> dict[str, Any]:
    """The options that decide the result: all but where things lie and how often it is looked at."""
    free = set(PLACES) | {name for name in config.as_dict() if name.startswith("module_") or name == "separate_after"}
    kept = {name: value for name, value in config.as_dict().items() if name not in free}
    plain: dict[str, Any] = json.loads(json.dumps(kept))
    return plain


def _module(
    config: TrainConfig, model: ReidModel, crops: Crops, validation: Validation | None, progress: Progress
) -> Candidate:
    """The diff attention to ship: the joint run's, or a better one trained separately over the frozen features."""
    if config.strategy == "joint" and not config.separate_after:
        return Candidate(model.attention, 0.0, {"joint": 1.0})
    first = model.attention if config.strategy == "joint" and config.attention_weight and config.epochs else None
    return train_separate(config, _frozen(config, model, crops), crops.labels, validation, progress, first)


def _spent(chosen: Candidate, started: Cost) -> Cost:
    """Since `started`, and before this process where the module goes on from a killed one."""
    return Cost.now().since(started).plus(chosen.before)


def _frozen(config: TrainConfig, model: ReidModel, crops: Crops) -> torch.Tensor:
    """Features of the training crops, the plain ones first and then `module_views` random views: (V, N, D)."""
    views = views_of(config)
    model.bf16 = config.bf16
    vectors = [extract(model, crops, flip=True)]
    vectors += [extract_view(model, crops, views, epoch_seed(config.seed, at)) for at in range(config.module_views)]
    model.bf16 = False
    frozen = torch.stack(vectors)
    return model.before_neck(frozen).detach() if config.variant == "paper" else frozen


def _write(
    config: TrainConfig,
    model: ReidModel,
    dataset: Dataset,
    validation: Validation | None,
    chosen: Candidate,
    strangers: NDArray[np.float32],
    cost: Cost,
) -> Path:
    """The bundle, with figures and calibration from the validation people."""
    metrics: dict[str, Any] = {}
    calibration: Curve = Calibration(0.0, 0.0)
    if validation is not None:
        metrics = figures(*validation, model.attention) | {"module": chosen.facts, "dataset": dataset.name}
        fitted = calibrated(*validation, model.attention, strangers)
        calibration, metrics = fitted.calibration, metrics | fitted.metrics
    path = bundle_path(config)
    kept = strangers if isinstance(calibration, Situated) else None
    bundle.write(path, model, manifest(config, model, metrics, calibration, cost), kept)
    return path


def _own_options(config: TrainConfig, model: ReidModel) -> dict[str, Any]:
    """What the trained model is built with beside its backbone's name."""
    options = config.extra | getattr(model.backbone, "options", {})
    return {"options": options, "diff_attention": model.attention.config}


def manifest(
    config: TrainConfig, model: ReidModel, metrics: dict[str, Any], calibration: Curve, cost: Cost
) -> dict[str, Any]:
    """What a bundle says about itself."""
    return {
        "name": config.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": model_config(config) | _own_options(config, model),
        "preprocessing": {
            "height": config.height,
            "width": config.width,
            "mean": list(IMAGENET_MEAN),
            "std": list(IMAGENET_STD),
            "interpolation": "bilinear",
            "views": ["plain", "flip"],
        },
        "metrics": metrics,
        "calibration": calibration.as_dict(),
        "training": decisive(config)
        | {
            "seconds": round(cost.seconds),
            "processor_seconds": round(cost.processor_seconds, 3),
            "threads": torch.get_num_threads(),
        },
    }
