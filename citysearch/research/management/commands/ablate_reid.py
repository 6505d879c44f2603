"""manage.py ablate_reid: the paper's two ablations of separate training, as a table and two plots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from citysearch.progress import Bar, add_progress_option, bar
from citysearch.research.commanding import add_bundle_options, add_table_forms, chosen_bundle, refusals, stopping
from reid_engine.data import READERS
from reid_engine.options import ablation_of, add_ablation_options

if TYPE_CHECKING:
    from reid_engine.training.ablate import Ablated, Ablation
    from reid_engine.training.frozen import Frozen


class Command(TranslatedCommand):
    help = gettext_lazy(
        "Train diff attention alone, over frozen features, with each input transform and each MLP ratio, and compare "
        "them with plain cosine. After Ctrl-C the same command goes on; finished rows are kept."
    )  # type: ignore[assignment]

    def add_arguments(self, parser: CommandParser) -> None:
        source = parser.add_mutually_exclusive_group(required=True)
        source.add_argument("--data", help=_("folder of the data set, its features taken by the bundle"))
        source.add_argument("--features", type=Path, help=_("folder of .npy features with ids, instead of a data set"))
        parser.add_argument(
            "--format", default="market1501", choices=READERS, help=_("its format (default: %(default)s)")
        )
        add_ablation_options(parser)
        add_bundle_options(parser)
        add_table_forms(parser)
        add_progress_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals(), stopping(options["out"]):
            ablation = ablation_of(options)
            from reid_engine.evaluation.ablation import WRITERS, write_ablation

            frozen = self._frozen(options)
            found = self._ablated(ablation, frozen, options)
            self.stdout.write(WRITERS[options["table"]](found, ablation), ending="")
            for path in write_ablation(options["out"], found, ablation):
                self.stderr.write(str(path))

    def _frozen(self, options: dict[str, Any]) -> Frozen:
        """The features, extracted with a bar of their own where they are not there yet."""
        from reid_engine.training.frozen import Source

        folder: Path | None = options["features"]
        bundle = None if folder is not None else chosen_bundle(options["bundle"], options["model"])
        places = (options["data"], options["format"], bundle, options["device"], options["threads"] or None)
        progress: Bar[object] = bar(label=_("pictures"), shown=not options["no_progress"])
        with progress:
            return Source(folder, *places).frozen(options["out"], progress.update)

    def _ablated(self, ablation: Ablation, frozen: Frozen, options: dict[str, Any]) -> Ablated:
        from reid_engine.training.ablate import ablate

        progress: Bar[object] = bar(label=_("epochs"), shown=not options["no_progress"])
        with progress:
            return ablate(ablation, frozen, options["out"], progress.update)
