"""Joint training: backbone, BNNeck, classifier and diff attention together (method, section 1, formula 7)."""

from __future__ import annotations

import copy
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..augment import Views
from ..errors import TrainingDiverged, TrainingStopped
from ..losses.center import CenterLoss
from ..messages import gettext_noop as _
from ..models.reid_model import ReidModel
from . import checkpoint, parallel
from .config import TrainConfig
from .cost import Cost
from .crops import Crops
from .objective import Objective
from .sampler import epoch_seed, people_batches
from .validate import figures, held

Progress = Callable[[int, int, int, int, dict[str, float]], None]


@dataclass
class Learner:
    """All that changes while training: the model, its averaged copy, the centres, their optimisers, the position."""

    model: ReidModel
    average: ReidModel
    centers: CenterLoss
    optimizer: torch.optim.Optimizer
    center_optimizer: torch.optim.Optimizer
    objective: nn.Module
    generator: torch.Generator
    epoch: int = 0
    step: int = 0
    updates: int = 0
    cost: Cost = Cost()

    def state(self) -> dict[str, Any]:
        """Everything needed to go on bit for bit."""
        return {name: getattr(self, name).state_dict() for name in STATEFUL} | {
            "epoch": self.epoch,
            "step": self.step,
            "updates": self.updates,
            "cost": tuple(self.cost),
            "generator": self.generator.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The reverse of `state`."""
        for name in STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        self.epoch, self.step, self.updates = state["epoch"], state["step"], state["updates"]
        self.cost = Cost(*state["cost"])
        self.generator.set_state(state["generator"])


JUDGED = 32
DEAD_FROM = 0.999
STATEFUL = ("model", "average", "centers", "optimizer", "center_optimizer")


def new_learner(config: TrainConfig, model: ReidModel, classes: int) -> Learner:
    """A learner at its start. The BNNeck's frozen bias is left out; center loss has SGD 0.5, as in BagTricks."""
    if parallel.size() > 1 and config.device.startswith("cuda"):
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    model = model.to(config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    centers = CenterLoss(classes, model.dim).to(config.device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=config.lr, weight_decay=config.weight_decay)
    average = copy.deepcopy(model).eval()
    center_optimizer = torch.optim.SGD(centers.parameters(), lr=0.5)
    objective = parallel.joined(Objective(config, model, centers), config)
    return Learner(model, average, centers, optimizer, center_optimizer, objective, torch.Generator())


def train_joint(
    config: TrainConfig, learner: Learner, crops: Crops, validation: tuple[Crops, Crops] | None, progress: Progress
) -> None:
    """Trains `learner` to the last epoch, from where its checkpoint stands; writes one after each epoch.

    Raises TrainingDiverged when a loss is no number, TrainingStopped after Ctrl-C (the checkpoint then holds the step).
    """
    path = Path(config.out) / "joint.pt"
    with stop_on_interrupt() as stopped:
        while learner.epoch < config.epochs:
            started = Cost.now()
            _epoch(config, learner, crops, progress, stopped)
            learner.cost = learner.cost.plus(Cost.now().since(started))
            if parallel.anyone(stopped.is_set(), config.device):
                _save(path, learner)
                raise TrainingStopped(
                    _(
                        "stopped in epoch %(going)s of %(epochs)s, step %(step)s; start the same command again "
                        "to go on from %(path)s"
                    ),
                    going=learner.epoch + 1,
                    epochs=config.epochs,
                    step=learner.step,
                    epoch=learner.epoch,
                    path=str(path),
                )
            learner.epoch, learner.step = learner.epoch + 1, 0
            _save(path, learner)
            _validate(config, learner, validation, progress)


def _save(path: Path, learner: Learner) -> None:
    if parallel.is_first():
        checkpoint.save(path, learner.state())


@torch.no_grad()
def _require_alive(learner: Learner, images: Tensor) -> None:
    """Raises TrainingDiverged when no hidden unit of diff attention fires for any pair of these images."""
    model = learner.model.eval()
    features = model(images[:JUDGED])
    if model.attention.trained_on == "pre":
        features = model.before_neck(features)
    if model.attention.dead_share(features[:, None], features[None]) >= DEAD_FROM:
        text = _(
            "diff attention died in epoch %(epoch)s: no hidden unit fires, its map is the same everywhere; "
            "lower lr, raise warmup_epochs or lower ratio"
        )
        raise TrainingDiverged(text, epoch=learner.epoch + 1, step=learner.step)


@contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C only sets the event, so that no step is cut in two; outside the main thread nothing is changed."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = signal.signal(signal.SIGINT, lambda *_: stopped.set())
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def _epoch(config: TrainConfig, learner: Learner, crops: Crops, progress: Progress, stopped: threading.Event) -> None:
    seed = epoch_seed(config.seed, learner.epoch)
    batches = people_batches(crops.labels, config.people_per_batch, config.crops_per_person, seed)
    if learner.step == 0:
        learner.generator.manual_seed(seed)
    views, started, first = views_of(config), time.perf_counter(), learner.step
    for index in batches[first:]:
        set_rate(learner.optimizer, config, learner.epoch + learner.step / len(batches))
        pixels = crops.images[index].to(config.device)
        images = parallel.share(views(pixels, learner.generator)).contiguous(memory_format=torch.channels_last)
        losses = _step(config, learner, images, crops.labels[index].to(config.device))
        learner.step += 1
        rate = {"images_per_second": (learner.step - first) * len(index) / (time.perf_counter() - started)}
        progress(learner.epoch + 1, config.epochs, learner.step, len(batches), losses | rate)
        if parallel.anyone(stopped.is_set(), config.device):
            return
    if config.attention_weight:
        _require_alive(learner, images)


def views_of(config: TrainConfig) -> Views:
    """The random views the options ask for."""
    return Views(config.flip, config.pad, config.jitter, config.erasing, config.camera, config.coarse)


def set_rate(optimizer: torch.optim.Optimizer, config: TrainConfig, epoch: float) -> None:
    """Linear warm-up from 0.01 to 1, then a cosine to `final_lr`, or x0.1 at each of `steps_at`."""
    factor = 1.0
    if epoch < config.warmup_epochs:
        factor = 0.01 + 0.99 * epoch / config.warmup_epochs
    elif config.schedule == "step":
        factor = 0.1 ** sum(epoch >= at for at in config.steps_at)
    elif config.epochs > config.warmup_epochs:
        done = (epoch - config.warmup_epochs) / (config.epochs - config.warmup_epochs)
        factor = config.final_lr + (1 - config.final_lr) * (1 + math.cos(math.pi * done)) / 2
    for group in optimizer.param_groups:
        group["lr"] = config.lr * factor


def _step(config: TrainConfig, learner: Learner, images: Tensor, labels: Tensor) -> dict[str, float]:
    losses = learner.objective.train()(images, labels, _taught(config, learner, images))
    total = torch.stack(list(losses.values())).sum()
    said = {name: float(value.detach()) for name, value in losses.items()} | {"loss": float(total.detach())}
    if not math.isfinite(said["loss"]):
        text = _("the loss is %(loss)s in epoch %(epoch)s, step %(step)s: %(losses)s; lower lr or raise warmup_epochs")
        at = {"epoch": learner.epoch + 1, "step": learner.step + 1}
        raise TrainingDiverged(text, loss=said["loss"], losses=said, **at)
    learner.optimizer.zero_grad()
    learner.center_optimizer.zero_grad()
    total.backward()
    learner.optimizer.step()
    _step_centers(config, learner)
    learner.updates += 1
    blend(learner.average, learner.model, min(config.ema, (1 + learner.updates) / (10 + learner.updates)))
    return said


@torch.no_grad()
def _taught(config: TrainConfig, learner: Learner, images: Tensor) -> Tensor | None:
    """What the averaged weights make of the images, where the weights in training are held to it."""
    return learner.average(images) if config.distil else None


def _step_centers(config: TrainConfig, learner: Learner) -> None:
    """Centres move at their own rate: the weight of the loss is taken out of their gradient again."""
    gradient = learner.centers.centers.grad
    if gradient is not None and config.center_weight:
        gradient /= config.center_weight
        learner.center_optimizer.step()


@torch.no_grad()
def blend(average: nn.Module, model: nn.Module, keep: float) -> None:
    """average <- keep * average + (1 - keep) * model, parameters and running statistics alike."""
    sources = model.state_dict()
    for name, target in average.state_dict().items():
        if target.is_floating_point():
            target.lerp_(sources[name], 1 - keep)
        else:
            target.copy_(sources[name])


def _validate(
    config: TrainConfig, learner: Learner, validation: tuple[Crops, Crops] | None, progress: Progress
) -> None:
    """Figures of the averaged model after every `validate_every` epochs and the last one (0: only the last)."""
    due = learner.epoch == config.epochs or (config.validate_every and learner.epoch % config.validate_every == 0)
    if validation is None or not due or not parallel.is_first():
        return
    query, gallery = (held(learner.average, part) for part in validation)
    result = figures(query, gallery, learner.average.attention)
    some = (part.vectors[:64].to(config.device) for part in (query, gallery))
    dead = learner.average.attention.dead_share(next(some)[:, None], next(some)[None])
    progress(learner.epoch, config.epochs, 0, 0, result | {"dead_share": dead})
