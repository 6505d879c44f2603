"""Ablation of a recipe: every choice left out, or another added, in a short run, judged on what it has not seen.

All runs train without one camera. A row is judged, by plain cosine, in four domains: the cameras it was trained on with
new people; the camera it was not; every camera of the validation part altered in colour and resolution; and the
renderer's city. Weights that cost no run of their own (the last step's instead of the average, blends with the weights
the run started from, the mean of the seeds) are rows too.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from .. import data
from ..data.records import Dataset
from ..errors import BadConfig, TrainingStopped
from ..evaluation.domains import Domains
from ..evaluation.metrics import Scores
from ..messages import gettext_noop as _
from ..models.reid_model import ReidModel
from .config import TrainConfig
from .crops import decode
from .joint import Learner, new_learner, train_joint
from .run import prepare, resumed, training_records
from .start import start_model

RECIPE, ATTENDED, LAST, SOUP = "the recipe", "its diff attention", "no weight averaging", "mean of the seeds' weights"

Told = Callable[[str, int, dict[str, float]], None]


@dataclass(frozen=True)
class Choices:
    """What is compared: `base` are TrainConfig's options of the row RECIPE, `rows` options laid over them by name.

    `blends` are shares of the trained weights, the rest from the weights the run started with (WiSE-FT).
    `unseen_camera` takes no part in training, `city_people` are drawn for the last domain.
    """

    base: dict[str, Any]
    rows: dict[str, dict[str, Any]]
    blends: tuple[float, ...] = ()
    seeds: tuple[int, ...] = (1,)
    unseen_camera: int = 6
    city_people: int = 60

    @classmethod
    def from_file(cls, path: Path, **base: Any) -> Choices:
        """The recipe file (JSON), `base` laid over its base. Raises BadConfig."""
        try:
            stored = json.loads(path.read_text())
            options: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()}
            found = cls(**options)
        except (OSError, ValueError, TypeError) as error:
            text = _("%(path)s holds no choices to compare: %(error)s")
            raise BadConfig(text, path=str(path), error=error, option="recipe") from error
        return replace(found, base={**found.base, **{name: value for name, value in base.items() if value is not None}})

    def config(self, name: str, seed: int, out: Path) -> TrainConfig:
        """The options of one run."""
        options = {**self.base, **({} if name == RECIPE else self.rows[name])}
        return TrainConfig.from_dict({**options, "seed": seed, "out": str(out / slug(name) / str(seed))})

    @property
    def names(self) -> tuple[str, ...]:
        """Every run's name, the recipe first."""
        return (RECIPE, *self.rows)


@dataclass(frozen=True)
class Judged:
    """The scores of each row, in the order of the table, by domain; over all seeds, seed after seed."""

    choices: Choices
    rows: dict[str, dict[str, Scores]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def slug(name: str) -> str:
    """A row's name as the name of a folder."""
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())


def compare(choices: Choices, out: Path, told: Told = lambda row, seed, figures: None) -> Judged:
    """Trains and judges every run that `out` does not hold yet, all rows of the first seed first.

    `told(row, seed, mean AP by domain)` comes after each. Started again, it goes on where it stopped, inside a run too.
    Raises BadConfig, BadDataset, TrainingStopped.
    """
    first = choices.config(RECIPE, choices.seeds[0], out)
    prepare(first)
    try:
        bench = _Bench(choices, out, data.read(first.data_format, first.data))
        for seed in choices.seeds:
            for name in choices.names:
                bench.run(name, seed, told)
        return bench.gathered(told)
    except KeyboardInterrupt:
        text = _("stopped; start the same command again to go on from %(path)s")
        raise TrainingStopped(text, path=str(out)) from None
    finally:
        torch.set_flush_denormal(False)


class _Bench:
    """The data of all runs, decoded once, and their results on disk."""

    def __init__(self, choices: Choices, out: Path, dataset: Dataset) -> None:
        self.choices, self.out = choices, out
        seen = tuple(record for record in dataset.train if record.camera_id != choices.unseen_camera)
        self.dataset = replace(dataset, train=seen)
        config = choices.config(RECIPE, choices.seeds[0], out)
        size = (config.height, config.width)
        self.domains = Domains.of(dataset, choices.unseen_camera, size, out / "city", choices.city_people)

    def run(self, name: str, seed: int, told: Told) -> None:
        """One run and all rows that come out of it, but for what is there."""
        config = self.choices.config(name, seed, self.out)
        if all(self._file(row, seed).exists() for row in self._rows_of(name)):
            return
        crops = decode(training_records(config, self.dataset), config.height, config.width)
        model = start_model(config, crops)
        start = copy.deepcopy(model)
        learner = resumed(config, new_learner(config, model, crops.people))
        train_joint(config, learner, crops, None, lambda *_: None)
        for row, tried in self._variants(name, learner, start):
            self._judge(tried, row, seed, told)

    def gathered(self, told: Told) -> Judged:
        """Everything on disk, and the mean of the seeds' weights, judged as well."""
        self._soup(told)
        found = Judged(self.choices)
        for name in self.choices.names:
            for row in self._rows_of(name):
                found.rows[row] = self.domains.joined([self._file(row, seed) for seed in self.choices.seeds])
        if self._file(SOUP, 0).exists():
            found.rows[SOUP] = self.domains.joined([self._file(SOUP, 0)])
        return found

    def _file(self, row: str, seed: int) -> Path:
        return self.out / "scores" / f"{slug(row)}-{seed}.npz"

    def _rows_of(self, name: str) -> list[str]:
        return [name, ATTENDED, LAST, *map(blend_name, self.choices.blends)] if name == RECIPE else [name]

    def _variants(self, name: str, learner: Learner, start: ReidModel) -> Iterator[tuple[str, ReidModel]]:
        models = [learner.average, learner.average, learner.model]
        models += [mixed([learner.average, start], [share, 1 - share]) for share in self.choices.blends]
        yield from zip(self._rows_of(name), models, strict=False)

    def _judge(self, model: ReidModel, row: str, seed: int, told: Told) -> None:
        model.bf16 = False
        scores = self.domains.scores(model.eval(), attended=row == ATTENDED)
        self.domains.keep(self._file(row, seed), scores)
        told(row, seed, {domain: part.mean_ap for domain, part in scores.items()})

    def _soup(self, told: Told) -> None:
        """The recipe's averages of all seeds, averaged and judged; nothing where there is one seed."""
        if len(self.choices.seeds) < 2 or self._file(SOUP, 0).exists():
            return
        crops, models = decode(self.dataset.train[:1], 16, 16), []
        for seed in self.choices.seeds:
            config = self.choices.config(RECIPE, seed, self.out)
            models.append(start_model(replace(config, init=str(Path(config.out) / "joint.pt")), crops))
        self._judge(mixed(models, [1 / len(models)] * len(models)), SOUP, 0, told)


def blend_name(share: float) -> str:
    """The row of weights of which this share was trained."""
    return f"{share:g} trained + {1 - share:g} start weights"


@torch.no_grad()
def mixed(models: list[ReidModel], shares: list[float]) -> ReidModel:
    """A model whose backbone and neck are the weighted mean of those of `models`; the rest is the first's."""
    result = copy.deepcopy(models[0])
    states = [model.state_dict() for model in models]
    for name, target in result.state_dict().items():
        if target.is_floating_point() and name.startswith(("backbone.", "neck.")):
            target.copy_(torch.stack([share * state[name] for state, share in zip(states, shares, strict=True)]).sum(0))
    return result
