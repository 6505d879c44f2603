"""manage.py evaluate_reid: a bundle's CMC, mAP and mINP on a data set, diff attention beside plain cosine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from citysearch.progress import Bar, add_progress_option, bar
from citysearch.research.commanding import add_bundle_options, chosen_bundle, refusals
from reid_engine.contracts import EvalReport
from reid_engine.data import READERS, read
from reid_engine.evaluation.tables import WRITERS

SUFFIXES = {".md": "markdown", ".csv": "csv", ".json": "json"}


class Command(BaseCommand):
    help = "Measure a bundle on a data set by the very steps a search takes, and print the table."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--data", required=True, help="folder of the data set")
        parser.add_argument("--format", default="market1501", choices=READERS, help="its format (default: %(default)s)")
        add_bundle_options(parser)
        table = parser.add_mutually_exclusive_group()
        table.add_argument("--json", dest="table", action="store_const", const="json", help="print JSON")
        table.add_argument("--csv", dest="table", action="store_const", const="csv", help="print CSV")
        parser.add_argument("--out", type=Path, help="also write the table to this file: .md, .csv or .json")
        parser.set_defaults(table="markdown")
        add_progress_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        out: Path | None = options["out"]
        if out is not None and out.suffix not in SUFFIXES:
            raise CommandError(f"--out {out}: the name must end in one of {', '.join(SUFFIXES)}")
        with refusals():
            report = self._report(options)
        self.stdout.write(WRITERS[options["table"]](report), ending="")
        if out is not None:
            self._keep(out, WRITERS[SUFFIXES[out.suffix]](report))

    def _report(self, options: dict[str, Any]) -> EvalReport:
        bundle = chosen_bundle(options["bundle"], options["model"])
        dataset = read(options["format"], options["data"], needs=("query", "gallery"))
        from reid_engine.engine import Engine
        from reid_engine.evaluation.evaluate import evaluate

        engine = Engine(bundle, device=options["device"], exhaustive_rows=len(dataset.gallery))
        progress: Bar[object] = bar(label="pictures", shown=not options["no_progress"])
        with progress:
            return evaluate(engine, dataset, progress.update)

    def _keep(self, out: Path, text: str) -> None:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{out} cannot be written: {error.strerror}") from error
