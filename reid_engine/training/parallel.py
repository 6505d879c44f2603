"""Several processes, one per device, that train as one: started by torchrun, joined by DistributedDataParallel.

Every process draws the same batch and takes its share of it; features are gathered, so that triplets and pairs are
those of the whole batch. The first process alone validates, writes checkpoints and the bundle.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from ..errors import BadConfig
from ..messages import gettext_noop as _
from .config import TrainConfig


def size() -> int:
    """How many processes train together; 1 without torchrun."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the process that writes and speaks; known before and after the training too."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def processes(config: TrainConfig) -> Iterator[TrainConfig]:
    """Joins the processes torchrun started, on one device each; the options of this one.

    Raises BadConfig where they cannot share a batch evenly.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield config
        return
    if config.people_per_batch % count:
        text = _("people_per_batch is %(people)s; %(count)s processes cannot share that evenly")
        raise BadConfig(text, people=config.people_per_batch, count=count, option="people_per_batch")
    on_gpu = config.device.startswith("cuda")
    device = f"cuda:{os.environ['LOCAL_RANK']}" if on_gpu else config.device
    if on_gpu:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield replace(config, device=device)
    finally:
        distributed.destroy_process_group()


def share(rows: Tensor) -> Tensor:
    """This process's part of a batch: (B, ...) -> (B / size, ...)."""
    return rows.chunk(size())[rank()]


def gathered(features: Tensor) -> Tensor:
    """Every process's part in order: (B / size, D) -> (B, D).

    The gradient reaches this process's rows only, times their number, for DistributedDataParallel takes the mean.
    """
    count = size()
    if count == 1:
        return features
    own = features.view_as(features)
    if own.requires_grad:
        own.register_hook(lambda gradient: gradient * count)
    parts = [torch.empty_like(features) for _ in range(count)]
    distributed.all_gather(parts, features.detach().contiguous())
    return torch.cat([own if at == rank() else part for at, part in enumerate(parts)])


def joined(objective: nn.Module, config: TrainConfig) -> nn.Module:
    """`objective` as every process's common one; on GPUs batch normalisation counts the whole batch."""
    if size() == 1:
        return objective
    devices = [torch.device(config.device)] if config.device.startswith("cuda") else None
    return DistributedDataParallel(objective, device_ids=devices, find_unused_parameters=True)


def anyone(said: bool, device: str) -> bool:
    """Whether any process says so: all of them stop at the same step."""
    if size() == 1:
        return said
    flag = torch.tensor(float(said), device=device)
    distributed.all_reduce(flag, distributed.ReduceOp.MAX)
    return bool(flag)
