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
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from .. import data
from ..data.records import Dataset
from ..errors import BadConfig, TrainingStopped
from ..evaluation.domains import Domains, joined_scores, keep_scores
from ..evaluation.folder import write_text
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
    _keep(choices, out)
    try:
        bench = _Bench(choices, out, data.read(first.data_format, first.data))
        for seed in choices.seeds:
            for name in choices.names:
                bench.run(name, seed, told)
        bench.soup(told)
        return stored(choices, out)
    except KeyboardInterrupt:
        text = _("stopped; start the same command again to go on from %(path)s")
        raise TrainingStopped(text, path=str(out)) from None
    finally:
        torch.set_flush_denormal(False)


def stored(choices: Choices, out: Path) -> Judged:
    """What `out` holds of the table, nothing trained: the rows that every seed has been through."""
    found = Judged(choices)
    for row in [row for name in choices.names for row in _rows_of(choices, name)]:
        paths = [_file(out, row, seed) for seed in choices.seeds]
        if all(path.exists() for path in paths):
            found.rows[row] = joined_scores(paths)
    if _file(out, SOUP, 0).exists():
        found.rows[SOUP] = joined_scores([_file(out, SOUP, 0)] * len(choices.seeds))
    return found


def _keep(choices: Choices, out: Path) -> None:
    """What was asked for, beside the results. Raises BadConfig where they belong to another recipe."""
    kept, path = json.loads(json.dumps(asdict(choices))), out / "choices.json"
    before = json.loads(path.read_text()) if path.exists() else kept
    rows = {name for name, options in kept["rows"].items() if before["rows"].get(name, options) != options}
    differ = sorted(rows | {name for name in ("base", "unseen_camera", "city_people") if before[name] != kept[name]})
    if differ:
        text = _("%(path)s belongs to a recipe with another %(names)s; give another --out")
        raise BadConfig(text, path=str(path), names=", ".join(differ), option="out")
    write_text(path, json.dumps(kept | {"rows": before["rows"] | kept["rows"]}, indent=1))


def _rows_of(choices: Choices, name: str) -> list[str]:
    """The rows that come out of one run."""
    return [name, ATTENDED, LAST, *map(blend_name, choices.blends)] if name == RECIPE else [name]


def _file(out: Path, row: str, seed: int) -> Path:
    return out / "scores" / f"{slug(row)}-{seed}.npz"


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
        if all(_file(self.out, row, seed).exists() for row in _rows_of(self.choices, name)):
            return
        crops = decode(training_records(config, self.dataset), config.height, config.width)
        model = start_model(config, crops)
        start = copy.deepcopy(model)
        learner = resumed(config, new_learner(config, model, crops.people))
        train_joint(config, learner, crops, None, lambda *_: None)
        for row, tried in self._variants(name, learner, start):
            self._judge(tried, row, seed, told)

    def _variants(self, name: str, learner: Learner, start: ReidModel) -> Iterator[tuple[str, ReidModel]]:
        models = [learner.average, learner.average, learner.model]
        models += [mixed([learner.average, start], [share, 1 - share]) for share in self.choices.blends]
        yield from zip(_rows_of(self.choices, name), models, strict=False)

    def _judge(self, model: ReidModel, row: str, seed: int, told: Told) -> None:
        model.bf16 = False
        scores = self.domains.scores(model.eval(), attended=row == ATTENDED)
        keep_scores(_file(self.out, row, seed), scores)
        told(row, seed, {domain: part.mean_ap for domain, part in scores.items()})

    def soup(self, told: Told) -> None:
        """The recipe's averages of all seeds, averaged and judged; nothing where there is one seed."""
        if len(self.choices.seeds) < 2 or _file(self.out, SOUP, 0).exists():
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
