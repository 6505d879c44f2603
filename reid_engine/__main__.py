"""The engine without the web: `python -m reid_engine COMMAND`; `--help` names the commands."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .bundle import SHIPPED
from .data import READERS, Record, read, read_all
from .data.loaders import crop_batches, photo_of
from .errors import BadConfig, BadDataset, ReidError, TrainingStopped
from .messages import catalogue, environment_language, install
from .messages import gettext as _
from .options import (
    ablation_of,
    add_ablation_options,
    add_table_options,
    add_train_options,
    check_paths,
    table_given,
    train_config,
)
from .training.config import recipe_path, stages

if TYPE_CHECKING:
    from .engine import Engine

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
EXIT_REFUSED, EXIT_INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0 done, 2 refused with a message, 130 interrupted."""
    install(catalogue(environment_language()))
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except (TrainingStopped, KeyboardInterrupt) as stop:
        print(str(stop) or _("interrupted"), file=sys.stderr)
        return EXIT_INTERRUPTED
    except ReidError as error:
        print(_("error: %s") % error, file=sys.stderr)
        return EXIT_REFUSED
    return 0


def parser() -> argparse.ArgumentParser:
    """The commands and their options. Shortened options are refused like unknown ones."""
    top = argparse.ArgumentParser(prog="python -m reid_engine", description=__doc__, allow_abbrev=False)
    commands = top.add_subparsers(
        required=True, metavar="train|table|evaluate|domains|ablate|choices|calibrate|search|export"
    )
    training = commands.add_parser("train", help=_("train a bundle"), allow_abbrev=False)
    add_train_options(training)
    training.set_defaults(run=run_train)
    _add_table(commands.add_parser("table", help=_("each backbone plain, joint and separate"), allow_abbrev=False))
    _add_evaluate(commands.add_parser("evaluate", help=_("measure a bundle on a data set"), allow_abbrev=False))
    text = _("bundles before cameras they know, altered ones and rendered ones")
    _add_domains(commands.add_parser("domains", help=text, allow_abbrev=False))
    _add_ablate(commands.add_parser("ablate", help=_("the paper's two ablations"), allow_abbrev=False))
    text = _("each choice of a recipe left out or added, in four domains")
    _add_choices(commands.add_parser("choices", help=text, allow_abbrev=False))
    _add_calibrate(commands.add_parser("calibrate", help=_("fit a bundle's likelihoods again"), allow_abbrev=False))
    _add_search(commands.add_parser("search", help=_("rank a folder of crops by a photo"), allow_abbrev=False))
    _add_export(commands.add_parser("export", help=_("write a bundle as two ONNX graphs"), allow_abbrev=False))
    return top


def _add_table(command: argparse.ArgumentParser) -> None:
    add_table_options(command)
    command.add_argument("--table", default="markdown", choices=("markdown", "csv", "json"), help=_("what to print"))
    command.set_defaults(run=run_table)


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", required=True, help=_("folder of the data set"))
    command.add_argument("--format", default="market1501", choices=READERS, help=_("its format (default: %(default)s)"))
    command.add_argument("--table", default="markdown", choices=("markdown", "csv", "json"), help=_("what to print"))
    command.add_argument("--out", type=Path, help=_("also write a report to this folder: table, curves, worst queries"))
    command.add_argument("--rerank", action="store_true", help=_("add rows with k-reciprocal re-ranking, marked"))
    pairs = _("MiB for a tile of pairs (default: %(default)s)")
    command.add_argument("--pair-memory", type=int, default=256, help=pairs)
    _add_engine(command)
    command.set_defaults(run=run_evaluate)


def _add_domains(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", required=True, help=_("folder of the data set"))
    command.add_argument("--format", default="market1501", choices=READERS, help=_("its format (default: %(default)s)"))
    text = _("the models, each compared with the first (default: the shipped one)")
    command.add_argument("--bundles", nargs="+", type=Path, default=[SHIPPED], help=text)
    text = _("folder that receives the table and the rendered city, or has the city")
    command.add_argument("--out", required=True, type=Path, help=text)
    command.set_defaults(run=run_domains)


def _add_ablate(command: argparse.ArgumentParser) -> None:
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", help=_("folder of the data set, its features taken by the bundle"))
    source.add_argument("--features", type=Path, help=_("folder of .npy features with ids, instead"))
    command.add_argument("--format", default="market1501", choices=READERS, help=_("its format (default: %(default)s)"))
    command.add_argument("--table", default="markdown", choices=("markdown", "csv", "json"), help=_("what to print"))
    add_ablation_options(command)
    _add_engine(command)
    command.set_defaults(run=run_ablate)


def _add_choices(command: argparse.ArgumentParser) -> None:
    command.add_argument("--recipe", default="citysearch", help=_("a shipped recipe's name or a JSON file"))
    command.add_argument("--out", required=True, type=Path, help=_("folder for checkpoints, scores and the table"))
    command.add_argument("--data", help=_("folder of the data set (default: the recipe's)"))
    command.add_argument("--init", help=_("weights to start from (default: the recipe's)"))
    command.add_argument("--device", default="cpu", help=_("cpu, cuda or cuda:N (default: %(default)s)"))
    command.add_argument("--threads", type=int, help=_("threads of the processor, 0 for all"))
    command.add_argument("--stored", action="store_true", help=_("print what is there, train nothing"))
    command.set_defaults(run=run_choices)


def _add_calibrate(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", required=True, help=_("folder of the data set"))
    command.add_argument("--format", default="market1501", choices=READERS, help=_("its format (default: %(default)s)"))
    text = _("folder that receives its features, or has them")
    command.add_argument("--features", required=True, type=Path, help=text)
    command.add_argument("--out", required=True, type=Path, help=_("the bundle to write"))
    _add_engine(command)
    command.set_defaults(run=run_calibrate)


def _add_search(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "photos", nargs="+", type=Path, help=_("photos of one person, or .npy files of their features")
    )
    gallery = _("folder of crops, searched with all below it, or a .npy file of their features")
    command.add_argument("--gallery", required=True, type=Path, help=gallery)
    command.add_argument("--top", type=int, default=10, help=_("how many to show (default: %(default)s)"))
    command.add_argument("--json", action="store_true", help=_("print JSON"))
    _add_engine(command)
    command.set_defaults(run=run_search)


def _add_export(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", required=True, type=Path, help=_("folder for extractor.onnx and diff_attention.onnx"))
    command.add_argument("--bundle", type=Path, default=SHIPPED, help=_("the model (default: the shipped one)"))
    command.set_defaults(run=run_export)


def _add_engine(command: argparse.ArgumentParser) -> None:
    command.add_argument("--bundle", type=Path, default=SHIPPED, help=_("the model (default: the shipped one)"))
    command.add_argument("--device", default="cpu", help=_("cpu, cuda or cuda:N (default: %(default)s)"))


def run_train(options: argparse.Namespace) -> None:
    """Train, with what comes first, say the figures of each validation, and print where the bundles lie."""
    runs = stages(train_config(vars(options)))
    from .training.parallel import is_first
    from .training.run import train

    for config in runs:
        path = train(check_paths(config), say_progress)
        if is_first():
            print(path)


def say_progress(epoch: int, epochs: int, step: int, steps: int, values: dict[str, float]) -> None:
    """One line per epoch and per validation (which reports 0 steps), on stderr."""
    if step == steps:
        figures = " ".join(f"{name} {value:.4g}" for name, value in values.items())
        print(_("epoch %(epoch)s/%(epochs)s") % {"epoch": epoch, "epochs": epochs}, figures, file=sys.stderr)


def run_table(options: argparse.Namespace) -> None:
    """Train and judge the rows still missing, each told on stderr, and print the table; it also goes to --out."""
    from .evaluation.comparison import WRITERS, write_comparison
    from .training.table import make_table, read_plan, tasks_of

    plan = read_plan(options.plan)
    tasks = tasks_of(plan, options.out, options.rows)
    rows = []
    for row in make_table(tasks, plan, table_given(vars(options)), lambda task: say_progress):
        print(row, file=sys.stderr)
        rows.append(row)
    print(WRITERS[options.table](rows), end="")
    write_comparison(options.out, rows, options.into)


def run_evaluate(options: argparse.Namespace) -> None:
    """Print the table of a bundle on a data set."""
    datasets = read_all(options.format, options.data, needs=("query", "gallery"))
    from .engine import Engine
    from .evaluation.evaluate import rows_of
    from .evaluation.folder import write_folders
    from .evaluation.splits import study_all
    from .evaluation.tables import WRITERS

    engine = Engine(options.bundle, device=options.device, exhaustive_rows=max(map(rows_of, datasets)))
    report, studies = study_all(engine, datasets, again=options.rerank, pair_memory=options.pair_memory)
    print(WRITERS[options.table](report), end="")
    if options.out is not None:
        write_folders(options.out, report, studies)


def run_domains(options: argparse.Namespace) -> None:
    """Print the bundles' table of domains; it goes to --out as well."""
    dataset = read(options.format, options.data)
    from .evaluation.domains import domain_rows, domains_markdown
    from .evaluation.folder import write_text

    found = domains_markdown(domain_rows(options.bundles, dataset, options.out / "city"))
    write_text(options.out / "domains.md", found)
    print(found, end="")


def run_ablate(options: argparse.Namespace) -> None:
    """Train the rows still missing, each told on stderr, and print the table; tables and plots go to --out."""
    ablation = ablation_of(vars(options))
    from .evaluation.ablation import WRITERS, write_ablation
    from .training.ablate import ablate
    from .training.frozen import Source

    source = Source(
        options.features, options.data, options.format, options.bundle, options.device, options.threads or None
    )
    frozen = source.frozen(options.out)
    found = ablate(ablation, frozen, options.out, told=lambda row: print(row, file=sys.stderr))
    print(WRITERS[options.table](found, ablation), end="")
    write_ablation(options.out, found, ablation)


def run_choices(options: argparse.Namespace) -> None:
    """Train every row still missing, each told on stderr, and print the table; it goes to --out as well."""
    from .evaluation.choices import choices_markdown
    from .evaluation.folder import write_text
    from .training.choices import Choices, compare, stored

    names = ("data", "init", "device", "threads")
    choices = Choices.from_file(
        recipe_path(options.recipe, "comparisons"), **{name: getattr(options, name) for name in names}
    )
    found = stored(choices, options.out) if options.stored else compare(choices, options.out, say_row)
    write_text(options.out / "table.md", choices_markdown(found))
    print(choices_markdown(found), end="")


def say_row(row: str, seed: int, figures: dict[str, float]) -> None:
    """One line of a comparison, on stderr."""
    said = ", ".join(f"{domain} {100 * value:.1f}" for domain, value in figures.items())
    print(f"{row}, seed {seed}: mAP {said}", file=sys.stderr)


def run_calibrate(options: argparse.Namespace) -> None:
    """Write the bundle with likelihoods fitted on a data set's validation people, and print the calibration."""
    dataset = read(options.format, options.data)
    from .engine import Engine
    from .training.frozen import extract_frozen
    from .training.situations import recalibrate

    engine = Engine(options.bundle, device=options.device)
    frozen = extract_frozen(options.features, engine, dataset, lambda done, total: None)
    found = recalibrate(options.bundle, options.out, frozen)
    print(json.dumps(found.calibration.as_dict() | found.metrics))


def run_export(options: argparse.Namespace) -> None:
    """Write both graphs and print, for each, how far its answers are from the bundle's."""
    from .export import export

    for graph in export(options.bundle, options.out):
        print(graph.path, _("(largest difference %.1e)") % graph.difference)


def run_search(options: argparse.Namespace) -> None:
    """Print the crops of a folder, or the rows of a file, that look most like the person asked for, best first."""
    taken = options.gallery.suffix == ".npy"
    if any((path.suffix == ".npy") != taken for path in options.photos):
        text = _("photos are searched for in a folder of crops, features in a file of features")
        raise BadConfig(text, option="gallery")
    query, features, names, engine = (_of_features if taken else _of_pictures)(options)
    ranking = engine.rank(query, features, np.arange(len(names), dtype=np.int64), options.top)
    found = zip(ranking.ids, ranking.distances, ranking.likelihoods, strict=True)
    hits: list[dict[str, object]] = [
        {"rank": rank, "crop": names[row], "distance": float(distance), "likelihood": float(likelihood)}
        for rank, (row, distance, likelihood) in enumerate(found, start=1)
    ]
    print(json.dumps(hits, indent=2) if options.json else _lines(hits))


Asked = tuple[NDArray[np.float32], NDArray[np.float16], list[str], "Engine"]


def _of_pictures(options: argparse.Namespace) -> Asked:
    """Query (D,), gallery (N, D), the crops' paths, and the engine that took the features."""
    crops = gallery_of(options.gallery)
    photos = [photo_of(Record(path, 0, 0)) for path in options.photos]
    from .engine import Engine

    engine = Engine(options.bundle, device=options.device)
    features = np.concatenate([engine.crop_features(images) for images in crop_batches(crops)])
    return engine.query_features(photos), features, [str(crop.path) for crop in crops], engine


def _of_features(options: argparse.Namespace) -> Asked:
    """The same from files; a crop's name is its row."""
    query = np.concatenate([vectors_of(path) for path in options.photos]).mean(axis=0)
    features = vectors_of(options.gallery).astype(np.float16)
    from .engine import Engine

    return query, features, list(map(str, range(len(features)))), Engine(options.bundle, device=options.device)


def vectors_of(path: Path) -> NDArray[np.float32]:
    """The features of a .npy file, (N, D) or one vector (D,). Raises BadDataset."""
    try:
        vectors = np.atleast_2d(np.load(path, allow_pickle=False)).astype(np.float32)
    except (OSError, ValueError, EOFError) as error:
        raise BadDataset(_("%(path)s cannot be read: %(error)s"), path=str(path), error=error) from error
    if vectors.ndim != 2 or not vectors.size or not np.isfinite(vectors).all():
        raise BadDataset(_("%(path)s holds no vectors (N, D) of finite numbers"), path=str(path))
    return vectors


def gallery_of(folder: Path) -> list[Record]:
    """Every picture below `folder`, sorted by name. Raises BadDataset where there is none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES) if folder.is_dir() else []
    if not paths:
        raise BadDataset(_("%(path)s: no .jpg, .png or .webp crop was found there or below it"), path=str(folder))
    return [Record(path, 0, 0) for path in paths]


def _lines(hits: list[dict[str, object]]) -> str:
    head = f"{'rank':>4}  {'distance':>8}  {'likelihood':>10}  crop"
    row = "{rank:>4}  {distance:>8.4f}  {likelihood:>10.3f}  {crop}"
    return "\n".join([head, *(row.format(**hit) for hit in hits)])


if __name__ == "__main__":
    sys.exit(main())
