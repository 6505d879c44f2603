"""manage.py export_reid: a bundle as two ONNX graphs, compared with the bundle before they are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from citysearch.research.commanding import chosen_bundle, refusals


class Command(TranslatedCommand):
    help = gettext_lazy(
        "Write a bundle's extractor and its diff attention as ONNX graphs. Fails, and keeps nothing, where a graph's "
        "answers differ from the bundle's by more than 0.001."
    )  # type: ignore[assignment]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--out", required=True, type=Path, help=_("folder for extractor.onnx and diff_attention.onnx")
        )
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument("--bundle", type=Path, help=_("a bundle's file"))
        choice.add_argument("--model", help=_("a registered version's name, id or checksum (default: the active one)"))

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            bundle = chosen_bundle(options["bundle"], options["model"])
            from reid_engine.export import export

            for graph in export(bundle, options["out"]):
                self.stdout.write(
                    _("%(path)s (largest difference %(gap).1e)") % {"path": graph.path, "gap": graph.difference}
                )
