"""Where separate training stands, kept in `module.pt` after every epoch: a killed run goes on bit for bit."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import BadConfig
from ..messages import gettext_noop as _
from ..models.diff_attention import DiffAttention
from . import checkpoint
from .config import PLACES, TrainConfig, made_with
from .cost import Cost


@dataclass
class Candidate:
    """One module and its score: half of mean AP plus Rank-1 on the validation people, or minus the last loss.

    `before` is what the training cost in processes that were killed.
    """

    module: DiffAttention
    score: float
    facts: dict[str, float] = field(default_factory=dict)
    before: Cost = Cost()


class ModuleLearner:
    """One module in training, seeded, and all that its next epoch depends on; `lr` is its rate at the start."""

    def __init__(self, config: TrainConfig, ratio: int, lr: float, dim: int) -> None:
        torch.manual_seed(config.seed)
        options = {name: getattr(config, name) for name in ("transform", "tied", "activation", "distance", "variant")}
        self.module = DiffAttention(dim, ratio, **options).to(config.device)
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=lr)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.lr, self.epoch = lr, 0

    def state(self) -> dict[str, Any]:
        """Everything needed to go on bit for bit."""
        parts = {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}
        return parts | {"generator": self.generator.get_state(), "epoch": self.epoch}

    def restore(self, state: dict[str, Any]) -> None:
        """The reverse of `state`."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.epoch = state["epoch"]


@dataclass
class Standing:
    """The best module so far, how many (ratio, rate) are done with, and the state of the one in training, if any.

    `belongs` names the run that `path` is of: its options and the frozen features.
    """

    path: Path
    belongs: dict[str, Any]
    started: Cost
    best: Candidate | None = None
    done: int = 0
    learner: dict[str, Any] | None = None
    before: Cost = Cost()

    @classmethod
    def of(cls, config: TrainConfig, vectors: Tensor, labels: Tensor) -> Standing:
        """As `module.pt` in the run's folder left it, or at the start. Raises BadConfig where it is another run's."""
        found = cls(Path(config.out) / "module.pt", _belongs(config, vectors, labels), Cost.now())
        if config.resume and found.path.exists():
            found._restore(checkpoint.load(found.path), config.device)
        return found

    def save(self) -> None:
        """Writes the file; a full disk leaves the one before."""
        best = self.best and {
            "options": self.best.module.config | {"dim": self.best.module.dim},
            "module": self.best.module.state_dict(),
            "score": self.best.score,
            "facts": self.best.facts,
        }
        cost = tuple(self.before.plus(Cost.now().since(self.started)))
        names = ("belongs", "done", "learner")
        checkpoint.save(self.path, {name: getattr(self, name) for name in names} | {"best": best, "cost": cost})

    def end(self) -> None:
        """The run is over: nothing to go on from."""
        self.path.unlink(missing_ok=True)

    def _restore(self, state: dict[str, Any], device: str) -> None:
        theirs = made_with(state["belongs"])
        differ = sorted(name for name in self.belongs if theirs.get(name) != self.belongs[name])
        if differ:
            text = _("%(path)s belongs to a run with other options (%(options)s); give another out, or resume=False")
            raise BadConfig(text, path=self.path, options=", ".join(differ), option="resume")
        self.done, self.learner, self.before = state["done"], state["learner"], Cost(*state["cost"])
        if (best := state["best"]) is not None:
            module = DiffAttention(**best["options"]).to(device)
            module.load_state_dict(best["module"])
            self.best = Candidate(module, best["score"], best["facts"])


def _belongs(config: TrainConfig, vectors: Tensor, labels: Tensor) -> dict[str, Any]:
    options = {name: value for name, value in config.as_dict().items() if name not in PLACES}
    digest = hashlib.sha256(vectors.cpu().numpy().tobytes() + labels.cpu().numpy().tobytes())
    plain: dict[str, Any] = json.loads(json.dumps(options | {"frozen features": digest.hexdigest()}))
    return plain
