"""Two processes over gloo train as one: the same gradient, the same weights, one bundle, one stop."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import multiprocessing, nn

from reid_engine import bundle
from reid_engine.errors import BadConfig
from reid_engine.models.diff_attention import DiffAttention
from reid_engine.models.reid_model import ReidModel
from reid_engine.tests.test_training import paint
from reid_engine.training import joint, parallel, run
from reid_engine.training.config import TrainConfig
from reid_engine.training.run import train

PROCESSES = 2


class Still(nn.Module):
    """A backbone without batch statistics: each image's feature depends on itself alone."""

    dim = 8

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Tanh())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images).mean(dim=(2, 3))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("market"), np.random.default_rng(0)
    paint(root / "bounding_box_train", range(1, 9), rng)
    paint(root / "query", range(20, 23), rng)
    paint(root / "bounding_box_test", range(20, 23), np.random.default_rng(0))
    return root


def config_of(pictures: Path, out: Path, **options: Any) -> TrainConfig:
    chosen: dict[str, Any] = {
        "epochs": 2, "height": 32, "width": 16, "people_per_batch": 4, "crops_per_person": 3, "ratio": 2, "pad": 2,
        "plain_weight": 1.0, "module_epochs": 1, "module_lrs": (1e-3,), "threads": 1, "warmup_epochs": 0, "ema": 0.0,
    }  # fmt: skip
    return TrainConfig(data=str(pictures), out=str(out), **{**chosen, **options})


def learner_of(config: TrainConfig) -> joint.Learner:
    torch.manual_seed(0)
    model = ReidModel(Still(), Still.dim, 8, DiffAttention(Still.dim, ratio=2))
    model.neck = nn.Identity()  # type: ignore[assignment]
    return joint.new_learner(config, model, 8)


def gradients(config: TrainConfig) -> dict[str, torch.Tensor]:
    """Of one batch, by parameter; under several processes each sees its share of the images."""
    learner = learner_of(config)
    images = torch.randn(12, 3, 32, 16, generator=torch.Generator().manual_seed(1))
    losses = learner.objective.train()(parallel.share(images), torch.arange(12) // 3)
    torch.stack(list(losses.values())).sum().backward()
    return {name: value.grad for name, value in learner.model.named_parameters() if value.grad is not None}


def together(work: Callable[..., None], *arguments: object) -> None:
    """Runs `work` in PROCESSES processes that know one another as torchrun's do; their failure is the test's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(_entered, (port, work, arguments), PROCESSES)


def _entered(rank: int, port: int, work: Callable[..., None], arguments: tuple[object, ...]) -> None:
    facts = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": PROCESSES, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in facts.items()})
    torch.set_num_threads(1)
    try:
        work(*arguments)
    except BaseException:
        traceback.print_exc()
        raise


def _kept_gradients(config: TrainConfig, path: Path) -> None:
    with parallel.processes(config):
        found = gradients(config)
        if parallel.is_first():
            torch.save(found, path)


@pytest.mark.slow
def test_the_gradient_is_that_of_one_process_over_the_whole_batch(pictures: Path, tmp_path: Path) -> None:
    config = config_of(pictures, tmp_path)
    alone, kept = gradients(config), tmp_path / "gradients.pt"
    together(_kept_gradients, config, kept)
    shared = torch.load(kept)
    assert shared.keys() == alone.keys() and any(name.startswith("attention.") for name in alone)
    for name, value in alone.items():
        assert torch.allclose(shared[name], value, rtol=1e-4, atol=1e-7), name


def _trained(config: TrainConfig, folder: Path) -> None:
    kept: list[joint.Learner] = []
    train_joint = run.train_joint
    run.train_joint = lambda *all_of: (kept.append(all_of[1]), train_joint(*all_of))[1]
    path = train(config)
    torch.save(kept[0].model.state_dict(), folder / f"{os.environ['RANK']}.pt")
    assert path.name == "citysearch.reid"


@pytest.mark.slow
def test_both_end_with_the_same_weights_and_the_first_writes_one_bundle(pictures: Path, tmp_path: Path) -> None:
    together(_trained, config_of(pictures, tmp_path / "run", height=64, width=32), tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(PROCESSES))
    learnt = [name for name in first if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(first[name], second[name]) for name in learnt)
    bundle.verify(tmp_path / "run" / "citysearch.reid")
    assert (tmp_path / "run" / "joint.pt").is_file()


def test_people_that_cannot_be_shared_evenly_are_refused(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(BadConfig, match="3 processes cannot share"):
        train(config_of(pictures, tmp_path))
