"""The paper's two ablations of separate training over frozen features: the input transform, and the MLP's ratio.

Every row is one module, trained from the same seed over the same batches (formula 8) and taken as its last epoch leaves
it: nothing is chosen by the people it is judged on. Beside them stands plain cosine of the same features.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import BadConfig, BadDataset, TrainingDiverged, TrainingStopped
from ..evaluation.folder import write_text
from ..evaluation.metrics import FIGURES, Scores, intervals, paired_intervals
from ..messages import gettext
from ..messages import gettext_noop as _
from ..models.diff_attention import DiffAttention
from ..options import RATIOS
from .config import TRANSFORMS, TrainConfig, require_one_of
from .frozen import Frozen
from .run import prepare
from .separate import dead_share, module_epochs
from .standing import ModuleLearner
from .validate import attended_scores, plain_scores

BASELINE = _("plain cosine")
ROWS = "rows.json"

Progress = Callable[[int, int, str], None]
Told = Callable[["Row"], None]


@dataclass(frozen=True)
class Ablation:
    """What is varied and what is held. The transforms are compared at `ratio`, the ratios with `transform`.

    The rate falls to a tenth after one and after two thirds of the epochs, as the paper's 60 epochs do at 20 and 40.
    Ratios above D would leave no hidden unit and are left out.
    """

    transforms: tuple[str, ...] = TRANSFORMS
    ratios: tuple[int, ...] = RATIOS
    transform: str = "abs"
    ratio: int = 4
    epochs: int = 60
    lr: float = 1e-3
    seed: int = 1
    device: str = "cpu"
    threads: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise BadConfig(_("epochs is %(epochs)s; allowed: a number from 1"), epochs=self.epochs, option="epochs")
        if not 0 < self.lr <= 1:
            raise BadConfig(_("lr is %(lr)s; allowed: a number above 0, up to 1"), lr=self.lr, option="lr")
        for name in self.transforms:
            require_one_of("transforms", name, TRANSFORMS)
        for ratio in (self.ratio, *self.ratios):
            self.config(self.transform, ratio)

    def config(self, transform: str, ratio: int) -> TrainConfig:
        """The options of one row's training. Raises BadConfig where one is out of range."""
        return TrainConfig(
            data="",
            out="",
            strategy="separate",
            transform=transform,
            ratio=ratio,
            module_epochs=self.epochs,
            module_lrs=(self.lr,),
            module_steps_at=(math.ceil(self.epochs / 3), math.ceil(2 * self.epochs / 3)),
            seed=self.seed,
            device=self.device,
            threads=self.threads,
        )

    def plan(self, dim: int) -> list[tuple[str, int]]:
        """(transform, ratio) of every module to train for features of size `dim`, each once."""
        wanted = [(name, self.ratio) for name in self.transforms] + [(self.transform, ratio) for ratio in self.ratios]
        return [pair for pair in dict.fromkeys(wanted) if pair[1] <= dim]


@dataclass(frozen=True)
class Row:
    """One module and its figures 0..1, NaN where its training diverged; the base line has ratio 0.

    `figures`: rank1, mean_ap, mean_inp, each also with " low" and " high" (95%), and "gain " before them: the module
    minus plain cosine, the same people drawn for both. `dead_share` is the share of hidden units that never fire.
    """

    transform: str
    ratio: int
    hidden: int
    parameters: int
    figures: dict[str, float]
    dead_share: float = 0.0
    loss: float = 0.0
    seconds: float = 0.0

    def __str__(self) -> str:
        said = " ".join(f"{name} {100 * self.figures[name]:.1f}" for name in FIGURES)
        text = gettext("%(transform)s ratio %(ratio)s") % {"transform": self.transform, "ratio": self.ratio}
        return f"{text}: {said} {gettext(self.note) if self.note else ''}".rstrip()

    @property
    def note(self) -> str:
        """What a reader must know: dead, diverged, or nothing."""
        if math.isnan(self.loss):
            return _("diverged")
        return _("dead") if self.dead_share >= 0.999 else ""


@dataclass(frozen=True)
class Ablated:
    """The base line, the rows finished so far in the order of the plan, and how they were made."""

    baseline: Row
    rows: tuple[Row, ...]
    settings: dict[str, Any]

    def by_transform(self, ablation: Ablation) -> list[Row]:
        """The rows of the first ablation, in the order asked for."""
        return self._picked([(name, ablation.ratio) for name in ablation.transforms])

    def by_ratio(self, ablation: Ablation) -> list[Row]:
        """The rows of the second ablation, in the order asked for."""
        return self._picked([(ablation.transform, ratio) for ratio in ablation.ratios])

    def _picked(self, wanted: list[tuple[str, int]]) -> list[Row]:
        found = {(row.transform, row.ratio): row for row in self.rows}
        return [found[pair] for pair in wanted if pair in found]


def ablate(
    ablation: Ablation,
    frozen: Frozen,
    out: Path,
    progress: Progress = lambda done, total, note: None,
    told: Told = lambda row: None,
) -> Ablated:
    """Trains every row that `out`/rows.json does not hold yet; the file is written after each.

    `progress(done, total, note)` counts epochs over all rows, `told(row)` comes after each row trained. Raises
    TrainingStopped after Ctrl-C (the finished rows are kept), BadConfig where the file belongs to other settings.
    """
    settings, base = settings_of(ablation, frozen), baseline(frozen)
    kept = _kept(out / ROWS, settings)
    plan = ablation.plan(frozen.dim)
    prepare(ablation.config(ablation.transform, 1))
    try:
        _train(ablation, frozen, out / ROWS, kept, _Teller(plan, ablation.epochs, kept, progress, told))
    except KeyboardInterrupt:
        text = _("stopped; %(rows)s of %(all)s rows are in %(path)s; start the same command again to go on")
        raise TrainingStopped(text, rows=len(kept), all=len(plan), path=str(out / ROWS)) from None
    finally:
        torch.set_flush_denormal(False)
    return Ablated(base, tuple(kept[pair] for pair in plan), settings)


def settings_of(ablation: Ablation, frozen: Frozen) -> dict[str, Any]:
    """What decides a row's figures beside its transform and ratio."""
    config = ablation.config(ablation.transform, 1)
    held = ("people_per_batch", "crops_per_person", "tied", "normalise_train", "triplet", "seed")
    return {
        "features": frozen.source,
        "dim": frozen.dim,
        "epochs": ablation.epochs,
        "lr": ablation.lr,
        **{name: getattr(config, name) for name in held},
    }


def baseline(frozen: Frozen) -> Row:
    """Plain cosine of the same features. Raises BadDataset where no query has a match."""
    scores = plain_scores(frozen.query, frozen.gallery)
    if not len(scores.ap):
        raise BadDataset(_("no query has a match before another camera in the gallery"), **frozen.source)
    return Row(BASELINE, 0, 0, 0, _figures(scores))


class _Teller:
    """Counts epochs over all rows; rows kept from before count as done."""

    def __init__(
        self, plan: list[tuple[str, int]], epochs: int, kept: dict[tuple[str, int], Row], progress: Progress, told: Told
    ) -> None:
        self.left = [pair for pair in plan if pair not in kept]
        self.total, self.epochs, self.progress, self.told = len(plan) * epochs, epochs, progress, told
        self.before = (len(plan) - len(self.left)) * epochs

    def epoch(self, pair: tuple[str, int], done: int, loss: float) -> None:
        note = f"{pair[0]}, ratio {pair[1]}, epoch {done}/{self.epochs}, loss {loss:.3f}"
        self.progress(self.before + self.left.index(pair) * self.epochs + done, self.total, note)


def _train(ablation: Ablation, frozen: Frozen, path: Path, kept: dict[tuple[str, int], Row], teller: _Teller) -> None:
    plain = plain_scores(frozen.query, frozen.gallery)
    for pair in teller.left:
        row = _row(ablation, frozen, pair, plain, teller)
        kept[pair] = row
        _keep(path, settings_of(ablation, frozen), kept)
        teller.told(row)


def _row(ablation: Ablation, frozen: Frozen, pair: tuple[str, int], plain: Scores, teller: _Teller) -> Row:
    """One module, trained to its last epoch and judged."""
    started, config = time.perf_counter(), ablation.config(*pair)
    vectors, labels = (values.to(config.device) for values in (frozen.train.vectors, frozen.labels))
    learner = ModuleLearner(config, pair[1], ablation.lr, frozen.dim)
    try:
        for loss in module_epochs(config, learner, vectors[None], labels, lambda *_: None):
            teller.epoch(pair, learner.epoch, loss)
    except TrainingDiverged:
        return Row(*pair, frozen.dim // pair[1], 0, _figures(None), math.nan, math.nan, time.perf_counter() - started)
    scores = attended_scores(frozen.query, frozen.gallery, learner.module)
    dead = dead_share(learner.module, vectors)
    return Row(*pair, *_size(learner.module), _figures(scores, plain), dead, loss, time.perf_counter() - started)


def _size(module: DiffAttention) -> tuple[int, int]:
    """(hidden units, parameters)."""
    return module.reduce.out_features, sum(weights.numel() for weights in module.parameters())


def _figures(scores: Scores | None, plain: Scores | None = None) -> dict[str, float]:
    """Row.figures of these scores, gains where there is something to compare with; None gives NaN throughout."""
    if scores is None:
        names = (f"{kind}{name}{side}" for kind in ("", "gain ") for name in FIGURES for side in ("", " low", " high"))
        return dict.fromkeys(names, math.nan)
    means = dict(zip(FIGURES, (scores.cmc(1), scores.mean_ap, scores.mean_inp), strict=True))
    ends = {name: (means[name], *pair) for name, pair in intervals(scores).items()}
    gains = {} if plain is None else {f"gain {name}": gap for name, gap in paired_intervals(scores, plain).items()}
    return {
        f"{name}{side}": value
        for name, values in {**ends, **gains}.items()
        for side, value in zip(("", " low", " high"), values, strict=True)
    }


def _kept(path: Path, settings: dict[str, Any]) -> dict[tuple[str, int], Row]:
    """The rows finished before. Raises BadConfig where they belong to other settings."""
    if not path.is_file():
        return {}
    try:
        stored = json.loads(path.read_text())
        rows = [Row(**row) for row in stored["rows"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BadConfig(
            _("%(path)s holds no rows of an ablation (%(error)s); give another --out"),
            path=path,
            error=error,
            option="out",
        ) from error
    if stored["settings"] != json.loads(json.dumps(settings)):
        differ = sorted(name for name in settings if stored["settings"].get(name) != settings[name])
        text = _("%(path)s belongs to an ablation with another %(differ)s; give another --out")
        raise BadConfig(text, path=path, differ=", ".join(differ), option="out")
    return {(row.transform, row.ratio): row for row in rows}


def _keep(path: Path, settings: dict[str, Any], kept: dict[tuple[str, int], Row]) -> None:
    """Written whole or not at all."""
    partial = path.with_name(f".{path.name}.part")
    write_text(partial, json.dumps({"settings": settings, "rows": [asdict(row) for row in kept.values()]}, indent=1))
    partial.replace(path)
