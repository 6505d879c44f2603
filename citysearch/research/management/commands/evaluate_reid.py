"""manage.py evaluate_reid: a bundle's CMC, mAP and mINP on a data set, diff attention beside plain cosine.

With --out FOLDER also its curves, its calibration, its open-set figures, its cameras and its worst queries.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from citysearch.progress import Bar, add_progress_option, bar
from citysearch.research.commanding import add_bundle_options, add_table_forms, chosen_bundle, refusals
from reid_engine.contracts import EvalReport
from reid_engine.data import READERS, read_all
from reid_engine.evaluation.tables import WRITERS

if TYPE_CHECKING:
    from reid_engine.evaluation.evaluate import Study

SUFFIXES = {".md": "markdown", ".csv": "csv", ".json": "json"}


class Command(TranslatedCommand):
    help = gettext_lazy("Measure a bundle on a data set by the very steps a search takes, and print the table.")  # type: ignore[assignment]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--data", required=True, help=_("folder of the data set"))
        parser.add_argument(
            "--format", default="market1501", choices=READERS, help=_("its format (default: %(default)s)")
        )
        add_bundle_options(parser)
        add_table_forms(parser)
        parser.add_argument(
            "--out",
            type=Path,
            help=_(
                "also write the table to this file (.md, .csv or .json), or a whole report to this folder: table, "
                "curves, cameras, worst queries"
            ),
        )
        parser.add_argument("--rerank", action="store_true", help=_("add rows with k-reciprocal re-ranking, marked"))
        parser.add_argument(
            "--pair-memory", type=int, default=256, help=_("MiB for a tile of pairs (default: %(default)s)")
        )
        add_progress_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        out: Path | None = options["out"]
        if out is not None and out.suffix and out.suffix not in SUFFIXES:
            raise CommandError(
                _("--out %(path)s: the name must end in one of %(suffixes)s, or have no ending (a folder)")
                % {"path": out, "suffixes": ", ".join(SUFFIXES)}
            )
        with refusals():
            report, studies = self._studies(options)
            self.stdout.write(WRITERS[options["table"]](report), ending="")
            if out is not None:
                self._keep(out, report, studies)

    def _studies(self, options: dict[str, Any]) -> tuple[EvalReport, list[Study]]:
        bundle = chosen_bundle(options["bundle"], options["model"])
        datasets = read_all(options["format"], options["data"], needs=("query", "gallery"))
        from reid_engine.engine import Engine
        from reid_engine.evaluation.evaluate import rows_of
        from reid_engine.evaluation.splits import study_all

        engine = Engine(bundle, device=options["device"], exhaustive_rows=max(map(rows_of, datasets)))
        progress: Bar[object] = bar(label=_("pictures"), shown=not options["no_progress"])
        with progress:
            return study_all(engine, datasets, progress.update, options["rerank"], options["pair_memory"])

    def _keep(self, out: Path, report: EvalReport, studies: list[Study]) -> None:
        """The table as a file by its ending, or everything as a folder; the folder's files are told on stderr."""
        from reid_engine.evaluation.folder import write_folders, write_text

        if out.suffix:
            write_text(out, WRITERS[SUFFIXES[out.suffix]](report))
            return
        for path in write_folders(out, report, studies):
            self.stderr.write(str(path))
