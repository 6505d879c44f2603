"""The table of the paper's question: each backbone plain, with joint and with separate diff attention.

A row is one training run from a plan (a JSON file of options by backbone) and one evaluation of its bundle, by the
steps a search takes. `separate` freezes the backbone of the plain row. Nothing is chosen by the people a row is judged
on. Every finished row lies in its own folder; a run that is started again takes it from there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import data
from ..bundle import read_manifest
from ..data.records import Dataset
from ..errors import BadConfig
from ..evaluation.folder import write_text
from ..evaluation.metrics import FIGURES, Scores, intervals, paired_intervals
from ..messages import gettext
from ..messages import gettext_noop as _
from .config import PLACES, TrainConfig, made_with, require_one_of

METHODS: dict[str, dict[str, Any]] = {
    "plain": {"attention_weight": 0.0, "plain_weight": 1.0},
    "joint": {"attention_weight": 1.0},
    "separate": {"strategy": "separate"},
}
PAPER_EPOCHS = 120
PLANS = Path(__file__).parent / "plans"
SCORED = ("first_rank", "ap", "inp", "person_ids")

Progress = Callable[[int, int, int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Task:
    """One row to make: the plan's name of the backbone, the method, and where its run lies."""

    backbone: str
    method: str
    out: Path

    @property
    def name(self) -> str:
        """Of the row, of its folder and of its bundle."""
        return f"{self.backbone}-{self.method}"

    @property
    def folder(self) -> Path:
        return self.out / self.name

    @property
    def bundle(self) -> Path:
        return self.folder / f"{self.name}.reid"


@dataclass(frozen=True)
class Row:
    """A finished row: figures 0..1 (each also with " low" and " high", 95%; "gain ..." over the plain row), and costs.

    "cosine mean_ap" is that of the row's own features under plain cosine, as the training validated them.

    `epochs` of the backbone and of the module alone, `processor_minutes` of training, its backbone's not counted again
    under `separate`. `start` names the weights it began with; `options` decided it.
    """

    backbone: str
    method: str
    figures: dict[str, float]
    skipped: int
    epochs: int
    module_epochs: int
    processor_minutes: float
    start: str
    options: dict[str, Any]

    def __str__(self) -> str:
        said = " ".join(f"{name} {100 * self.figures[name]:.1f}" for name in FIGURES)
        return f"{self.backbone}-{self.method}: {said}, " + gettext("%.1f CPU minutes") % self.processor_minutes


def read_plan(plan: str) -> dict[str, dict[str, Any]]:
    """A shipped plan by name, or a JSON file: options of TrainConfig by backbone, laid over those under "all".

    Raises BadConfig naming the shipped ones, or the file at fault.
    """
    path = Path(plan)
    if path.suffix != ".json":
        require_one_of("plan", plan, sorted(item.stem for item in PLANS.glob("*.json")))
        path = PLANS / f"{plan}.json"
    try:
        found: dict[str, dict[str, Any]] = json.loads(path.read_text())
        shared = found.pop("all", {})
        return {name: {**shared, **options} for name, options in found.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise BadConfig(_("plan %(path)s cannot be read: %(error)s"), path=path, error=error, option="plan") from error


def tasks_of(plan: dict[str, dict[str, Any]], out: Path, asked: Sequence[str] = ()) -> list[Task]:
    """Every backbone of the plan by every method, or those `asked` for by name. Raises BadConfig for another name."""
    every = {f"{name}-{method}": Task(name, method, out) for name in plan for method in METHODS}
    for name in asked:
        require_one_of("rows", name, tuple(every))
    return [task for name, task in every.items() if not asked or name in asked]


def config_of(task: Task, plan: dict[str, dict[str, Any]], given: dict[str, Any]) -> TrainConfig:
    """The options of a row's training: the plan's, then what was `given`, then the method's own."""
    start = {"init": str(Task(task.backbone, "plain", task.out).bundle)} if task.method == "separate" else {}
    places = {"out": str(task.folder), "name": task.name}
    return TrainConfig.from_dict({**plan[task.backbone], **given, **METHODS[task.method], **start, **places})


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """The options that decide a row: all but where things lie and how the run is watched."""
    plain: dict[str, Any] = json.loads(json.dumps(config.as_dict()))
    return {name: value for name, value in plain.items() if name not in (*PLACES, "init")}


def make_table(
    tasks: Sequence[Task],
    plan: dict[str, dict[str, Any]],
    given: dict[str, Any],
    told: Callable[[Task], Progress] = lambda task: lambda *values: None,
) -> Iterator[Row]:
    """The rows of `tasks` in order, each trained and judged unless its folder holds it already.

    `given` are options for all rows, at least data. `told(task)` gives the progress of a row's training. A separate row
    first makes its plain one. Raises BadConfig where a folder holds a row of other options, and what `train` raises.
    """
    for task in tasks:
        if task.method == "separate":
            _row(Task(task.backbone, "plain", task.out), plan, given, told)
        yield _row(task, plan, given, told)


def _row(task: Task, plan: dict[str, dict[str, Any]], given: dict[str, Any], told: Callable[[Task], Progress]) -> Row:
    from .run import train

    config = config_of(task, plan, given)
    path, wanted = task.folder / "row.json", settings_of(config)
    if path.is_file():
        return _kept(path, wanted)
    train(config, told(task))
    scores = _scores(task, config)
    row = _judged(task, config, scores, wanted)
    write_text(path, json.dumps(asdict(row), indent=1))
    return row


def _kept(path: Path, wanted: dict[str, Any]) -> Row:
    try:
        row = Row(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise BadConfig(
            _("%(path)s holds no row of a table (%(error)s); delete it or give another out"),
            path=path,
            error=error,
            option="out",
        ) from error
    made = made_with(row.options)
    differ = sorted(name for name in wanted if made.get(name) != wanted[name])
    if differ:
        text = _("%(path)s was made with another %(differ)s; delete its folder or give another out")
        raise BadConfig(text, path=path, differ=", ".join(differ), option="out")
    return row


def _scores(task: Task, config: TrainConfig) -> Scores:
    """Every query's scores, kept beside the bundle so that another row can be compared with them."""
    from ..engine import Engine
    from ..evaluation.evaluate import rows_of, study
    from ..evaluation.names import DIFF_ATTENTION, PLAIN_COSINE

    dataset: Dataset = data.read(config.data_format, config.data, needs=("query", "gallery"))
    engine = Engine(task.bundle, config.device, config.threads or None, exhaustive_rows=rows_of(dataset))
    scores = study(engine, dataset).scores[PLAIN_COSINE if task.method == "plain" else DIFF_ATTENTION]
    np.savez(task.folder / "scores.npz", skipped=scores.skipped, **{name: getattr(scores, name) for name in SCORED})
    return scores


def _read_scores(task: Task) -> Scores | None:
    path = task.folder / "scores.npz"
    if not path.is_file():
        return None
    with np.load(path) as kept:
        return Scores(**{name: kept[name] for name in SCORED}, skipped=int(kept["skipped"]))


def _judged(task: Task, config: TrainConfig, scores: Scores, options: dict[str, Any]) -> Row:
    means = dict(zip(FIGURES, (scores.cmc(1), scores.mean_ap, scores.mean_inp), strict=True))
    ends = {name: (means[name], *pair) for name, pair in intervals(scores).items()}
    plain = None if task.method == "plain" else _read_scores(Task(task.backbone, "plain", task.out))
    if plain is not None:
        ends |= {f"gain {name}": gap for name, gap in paired_intervals(scores, plain).items()}
    figures = {
        f"{name}{side}": value
        for name, values in ends.items()
        for side, value in zip(("", " low", " high"), values, strict=True)
    }
    joint = config.strategy == "joint"
    manifest = read_manifest(task.bundle)
    figures["cosine mean_ap"] = manifest["metrics"]["cosine_map"]
    minutes = manifest["training"]["processor_seconds"] / 60
    epochs, alone = (config.epochs, 0) if joint else (0, config.module_epochs)
    start = Path(config.init).name or "random weights"
    return Row(task.backbone, task.method, figures, scores.skipped, epochs, alone, minutes, start, options)
