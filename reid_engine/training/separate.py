"""Separate training: the backbone is frozen, only diff attention learns, over features extracted once (formula 8)."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..errors import TrainingDiverged
from ..messages import gettext_noop as _
from ..models.diff_attention import DiffAttention, pairs_within
from .config import TrainConfig
from .joint import DEAD_FROM, Progress
from .objective import triplet_loss
from .sampler import epoch_seed, people_batches
from .standing import Candidate, ModuleLearner, Standing
from .validate import Held, figures

WEIGHT = 10.0


def train_separate(
    config: TrainConfig,
    vectors: Tensor,
    labels: Tensor,
    validation: tuple[Held, Held] | None,
    progress: Progress,
    first: DiffAttention | None = None,
) -> Candidate:
    """The best module over every learning rate and ratio asked for.

    `vectors` are frozen features, (N, D) or (V, N, D) for V views of every crop, one of which is drawn each time the
    crop is used; the first is the plain one. `labels` (N,).

    `first`, a module trained before, takes part as it is. Dead modules (no hidden unit fires, A is constant) are told
    through `progress` as dead_share 1 and left out. Where it stands is kept after each epoch, for the same call to go
    on from. Raises TrainingDiverged when every one of them died, BadConfig where what is kept is another run's.
    """
    vectors = (vectors if vectors.dim() == 3 else vectors[None]).to(config.device)
    labels = labels.to(config.device)
    standing, tried = Standing.of(config, vectors, labels), _tried(config)
    if first is not None and standing.best is None:
        _consider(config, standing, _damped(config, first, vectors[0], validation, {"joint": 1.0}))
    while standing.done < len(tried):
        learner = ModuleLearner(config, *tried[standing.done], vectors.shape[2])
        if standing.learner is not None:
            learner.restore(standing.learner)
        _grow(config, standing, learner, (vectors, labels), validation, progress)
    standing.end()
    if standing.best is None or _dead(standing.best):
        raise TrainingDiverged(_("every diff attention module died (no hidden unit fires); try a smaller module_lrs"))
    standing.best.before = standing.before
    return standing.best


def _tried(config: TrainConfig) -> list[tuple[int, float]]:
    """(ratio, learning rate) of every module to train: the first alone, where none is chosen."""
    pairs = [(ratio, lr) for ratio in config.module_ratios or (config.ratio,) for lr in config.module_lrs]
    return pairs[:1] if config.module_choice == "last" else pairs


def _grow(
    config: TrainConfig,
    standing: Standing,
    learner: ModuleLearner,
    frozen: tuple[Tensor, Tensor],
    validation: tuple[Held, Held] | None,
    progress: Progress,
) -> None:
    """Trains one module to its last epoch, or until it is dead, and considers it after each; frozen as module_epochs.

    It is saved before it is told: what has been seen is kept.
    """
    start = {"module_lr": learner.lr, "module_ratio": float(learner.module.ratio)}
    for loss in module_epochs(config, learner, *frozen, progress):
        facts = start | {"module_epoch": float(learner.epoch), "loss": loss}
        tried = _damped(config, learner.module, frozen[0][0], _asked(config, validation), facts)
        _consider(config, standing, tried)
        over = learner.epoch == config.module_epochs or _dead(tried[0])
        standing.done, standing.learner = standing.done + over, None if over else learner.state()
        standing.save()
        for candidate in tried:
            progress(learner.epoch, config.module_epochs, 0, 0, candidate.facts)
        if over:
            return


def _consider(config: TrainConfig, standing: Standing, tried: list[Candidate]) -> None:
    """Keeps the best that is alive, the first of equal ones; or the last, dead or not, where nobody may choose."""
    for candidate in tried:
        better = standing.best is None or candidate.score > standing.best.score
        if config.module_choice == "last" or (better and not _dead(candidate)):
            standing.best = candidate


def _dead(candidate: Candidate) -> bool:
    return candidate.facts["dead_share"] >= DEAD_FROM


def module_epochs(
    config: TrainConfig, learner: ModuleLearner, vectors: Tensor, labels: Tensor, progress: Progress
) -> Iterator[float]:
    """Trains the learner's module to its last epoch, over vectors (V, N, D), labels (N,): each epoch's last loss.

    Raises TrainingDiverged when a loss is no number.
    """
    module, optimizer = learner.module, learner.optimizer
    while learner.epoch < config.module_epochs:
        epoch = learner.epoch
        optimizer.param_groups[0]["lr"] = learner.lr * 0.1 ** sum(epoch >= at for at in config.module_steps_at)
        seed = epoch_seed(config.seed, epoch)
        batches = people_batches(labels.cpu(), config.people_per_batch, config.crops_per_person, seed)
        for step, index in enumerate(batches):
            view = torch.randint(0, len(vectors), (len(index),), generator=learner.generator)
            loss = _step(config, module, optimizer, vectors[view, index], labels[index])
            progress(epoch + 1, config.module_epochs, step + 1, len(batches), {"loss": loss})
        learner.epoch += 1
        yield loss


def _asked(config: TrainConfig, validation: tuple[Held, Held] | None) -> tuple[Held, Held] | None:
    """The validation people, where they may choose."""
    return None if config.module_choice == "last" else validation


def _damped(
    config: TrainConfig,
    module: DiffAttention,
    vectors: Tensor,
    validation: tuple[Held, Held] | None,
    facts: dict[str, float],
) -> list[Candidate]:
    """The module's copies, their last layer scaled by each damping; as it is where no validation could choose."""
    found = []
    for factor in config.module_damping if validation is not None else (1.0,):
        copied = copy.deepcopy(module).to(vectors.device)
        with torch.no_grad():
            copied.expand.weight.mul_(factor)
        found.append(_judged(copied, vectors, validation, facts | {"damping": factor}))
    return found


def _step(
    config: TrainConfig, module: DiffAttention, optimizer: torch.optim.Optimizer, vectors: Tensor, labels: Tensor
) -> float:
    tile = pairs_within(config.pair_memory, module.dim)
    table = module.distance_matrix(vectors, vectors, tile, config.normalise_train)
    loss = WEIGHT * triplet_loss(config, table, labels, soft=True)
    said = float(loss.detach())
    if not math.isfinite(said):
        raise TrainingDiverged(_("the module's loss is %(said)s; try a smaller module_lrs"), said=said)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return said


def _judged(
    module: DiffAttention, vectors: Tensor, validation: tuple[Held, Held] | None, facts: dict[str, float]
) -> Candidate:
    """A module with its figures."""
    facts = facts | {"dead_share": dead_share(module, vectors)}
    if validation is None:
        return Candidate(module, -facts.get("loss", 0.0), facts)
    facts |= figures(*validation, module)
    return Candidate(module, (facts["attention_map"] + facts["attention_rank1"]) / 2, facts)


def dead_share(module: DiffAttention, vectors: Tensor) -> float:
    """The module's dead share over all pairs of 64 of the frozen features (N, D)."""
    some = vectors[torch.linspace(0, len(vectors) - 1, min(64, len(vectors))).long()]
    return module.dead_share(some[:, None], some[None])
