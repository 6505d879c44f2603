"""Separate training: the backbone is frozen, only diff attention learns, over features extracted once (formula 8)."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import TrainingDiverged
from ..messages import gettext_noop as _
from ..models.diff_attention import DiffAttention, pairs_within
from .config import TrainConfig
from .joint import DEAD_FROM, Progress
from .objective import triplet_loss
from .sampler import epoch_seed, people_batches
from .validate import Held, figures

WEIGHT = 10.0


@dataclass
class Candidate:
    """One module and its score: half of mean AP plus Rank-1 on the validation people, or minus the last loss."""

    module: DiffAttention
    score: float
    facts: dict[str, float] = field(default_factory=dict)


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
    through `progress` as dead_share 1 and left out. Raises TrainingDiverged when every one of them died.
    """
    vectors = (vectors if vectors.dim() == 3 else vectors[None]).to(config.device)
    labels = labels.to(config.device)
    candidates = [] if first is None else _damped(config, first, vectors[0], validation, {"joint": 1.0})
    for ratio, lr in _tried(config):
        candidates += _grown(config, ratio, lr, vectors, labels, validation, progress)
    if config.module_choice == "last":
        candidates = candidates[-1:]
    alive = [item for item in candidates if item.facts["dead_share"] < DEAD_FROM]
    if not alive:
        raise TrainingDiverged(_("every diff attention module died (no hidden unit fires); try a smaller module_lrs"))
    return max(alive, key=lambda item: item.score)


def _tried(config: TrainConfig) -> list[tuple[int, float]]:
    """(ratio, learning rate) of every module to train: the first alone, where none is chosen."""
    pairs = [(ratio, lr) for ratio in config.module_ratios or (config.ratio,) for lr in config.module_lrs]
    return pairs[:1] if config.module_choice == "last" else pairs


def _grown(
    config: TrainConfig,
    ratio: int,
    lr: float,
    vectors: Tensor,
    labels: Tensor,
    validation: tuple[Held, Held] | None,
    progress: Progress,
) -> Iterator[Candidate]:
    """The module after each epoch at this ratio and rate, vectors (V, N, D); stops early when it is dead."""
    for epoch, (module, loss) in enumerate(module_epochs(config, ratio, lr, vectors, labels, progress), start=1):
        facts = {"module_lr": lr, "module_ratio": float(ratio), "module_epoch": float(epoch), "loss": loss}
        tried = _damped(config, module, vectors[0], _asked(config, validation), facts)
        for candidate in tried:
            progress(epoch, config.module_epochs, 0, 0, candidate.facts)
        yield from tried
        if tried[0].facts["dead_share"] >= DEAD_FROM:
            return


def module_epochs(
    config: TrainConfig, ratio: int, lr: float, vectors: Tensor, labels: Tensor, progress: Progress
) -> Iterator[tuple[DiffAttention, float]]:
    """One module, seeded, as each epoch over vectors (V, N, D), labels (N,) leaves it, and the epoch's last loss.

    It is the same object each time. Raises TrainingDiverged when a loss is no number.
    """
    torch.manual_seed(config.seed)
    options = {name: getattr(config, name) for name in ("transform", "tied", "activation", "distance", "variant")}
    module = DiffAttention(vectors.shape[2], ratio, **options)
    module = module.to(config.device)
    optimizer, generator = torch.optim.Adam(module.parameters(), lr=lr), torch.Generator().manual_seed(config.seed)
    for epoch in range(config.module_epochs):
        optimizer.param_groups[0]["lr"] = lr * 0.1 ** sum(epoch >= at for at in config.module_steps_at)
        seed = epoch_seed(config.seed, epoch)
        batches = people_batches(labels.cpu(), config.people_per_batch, config.crops_per_person, seed)
        for step, index in enumerate(batches):
            view = torch.randint(0, len(vectors), (len(index),), generator=generator)
            loss = _step(config, module, optimizer, vectors[view, index], labels[index])
            progress(epoch + 1, config.module_epochs, step + 1, len(batches), {"loss": loss})
        yield module, loss


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
