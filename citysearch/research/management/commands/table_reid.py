"""manage.py table_reid: each backbone plain, with joint and with separate diff attention, a row a run."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from citysearch.progress import Bar, add_progress_option, bar
from citysearch.research.commanding import add_table_forms, refusals, stopping
from citysearch.research.management.commands.train_reid import Teller
from reid_engine.options import add_table_options, table_given


class Command(TranslatedCommand):
    help = gettext_lazy(
        "Train each backbone of a plan plain, with joint and with separate diff attention, and compare them on the "
        "data set's validation people. After Ctrl-C the same command goes on; finished rows are kept."
    )  # type: ignore[assignment]

    def add_arguments(self, parser: CommandParser) -> None:
        add_table_options(parser)
        add_table_forms(parser)
        add_progress_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals(), stopping(options["out"]):
            given = table_given(options)
            from reid_engine.evaluation.comparison import WRITERS, write_comparison
            from reid_engine.training.table import make_table, read_plan, tasks_of

            plan, rows = read_plan(options["plan"]), []
            tasks = tasks_of(plan, options["out"], options["rows"])
            progress: Bar[object] = bar(label=_("training"), shown=not options["no_progress"])
            with progress:
                for row in make_table(tasks, plan, given, lambda task: Teller(self, progress)):
                    self.stderr.write(str(row))
                    rows.append(row)
            self.stdout.write(WRITERS[options["table"]](rows), ending="")
            for path in write_comparison(options["out"], rows, options["into"]):
                self.stderr.write(str(path))
