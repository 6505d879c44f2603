"""manage.py import_gallery SOURCE: crops from a folder, a ZIP, a CSV manifest, a research set or GA/T 1400 JSON."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from citysearch.gallery import layouts, services
from citysearch.gallery.commanding import refusals, shown_progress
from citysearch.gallery.featured import FeatureFile
from citysearch.gallery.models import Crop, GalleryImport
from citysearch.gallery.naming import PARSERS
from citysearch.progress import add_progress_option
from citysearch.research.queries import active_model_or_refuse, model_named
from units.models import Camera

LAYOUTS = ("auto", "folder", "zip", "manifest", *PARSERS, "gat1400")
LINES_SHOWN = 20


class Command(TranslatedCommand):
    help = gettext_lazy(
        "Import crops. A broken picture is a line of the report, a known one is left alone, Ctrl-C keeps what is in. "
        "Layouts: a folder per camera code; a ZIP of such folders or with a manifest.csv; a CSV "
        "path,camera_code,captured_at[,person_id]; names of Market-1501, MSMT17 or CUHK03, in a folder or a ZIP; "
        "GA/T 1400 JSON with the pictures inside."
    )  # type: ignore[assignment]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", type=Path, help=_("folder, .zip, .csv or .json"))
        parser.add_argument("--layout", choices=LAYOUTS, default="auto", help=_("what the source looks like"))
        parser.add_argument(
            "--cameras",
            default="",
            metavar="CODE,CODE,...",
            help=_(
                "the cameras that 1, 2, ... of a research set stand for (the first by code unless given), or "
                "NAME=CODE,... where the source has other names for them"
            ),
        )
        parser.add_argument(
            "--subset",
            default=layouts.Options.subset,
            help=_("folder of a research set to import alone, where there is one (bounding_box_test)"),
        )
        parser.add_argument(
            "--features",
            type=Path,
            metavar="FILE",
            help=_("features made elsewhere, .npy or .npz, one row for each picture in the order of the source"),
        )
        parser.add_argument("--model", default="", help=_("name, id or checksum (default: the active version)"))
        parser.add_argument("--index", action="store_true", help=_("extract the features here, instead of in a worker"))
        add_progress_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        source: Path = options["source"]
        layout = layouts.layout_of(source) if options["layout"] == "auto" else options["layout"]
        with refusals():
            names = layouts.camera_map_read(options["cameras"], Camera.objects.values_list("code", flat=True))
        with refusals(), shown_progress(_("crops"), options) as progress:
            features = _features(options)
            row = services.crops_import(
                source, layout, camera_map=names, subset=options["subset"], progress=progress, features=features
            )
        self._tell(row)
        if row.state == GalleryImport.State.FAILED:
            raise CommandError(row.message)
        if options["index"]:
            self._index(row, options)

    def _tell(self, row: GalleryImport) -> None:
        for line in row.lines.all()[:LINES_SHOWN]:
            self.stderr.write(f"{line.line}: {line.name}: {line.message}")
        if row.refused > LINES_SHOWN:
            words = {"count": row.refused - LINES_SHOWN, "id": row.pk}
            self.stderr.write(_("... and %(count)d more, see import %(id)d.") % words)
        words = {"added": row.added, "known": row.known, "refused": row.refused, "total": row.total}
        self.stdout.write(_("%(total)d pictures: %(added)d added, %(known)d known, %(refused)d refused.") % words)
        self._warn_of_retention()

    def _warn_of_retention(self) -> None:
        """Old pictures would be gone tomorrow, and the reason hard to find."""
        due = services.crops_purge(dry_run=True).erased["crops"]
        if due:
            words = _(
                "%(count)d crops are older than their unit keeps them: the daily purge will erase them. "
                "To keep them, set the unit's retention in days."
            )
            self.stderr.write(words % {"count": due})

    def _index(self, row: GalleryImport, options: dict[str, Any]) -> None:
        cameras = Crop.objects.filter(gallery_import=row).order_by().values_list("camera_id", flat=True).distinct()
        with refusals(), shown_progress(_("features"), options) as progress:
            count = services.index_cameras(list(cameras), active_model_or_refuse(), progress)
        self.stdout.write(_("%(count)d crops indexed.") % {"count": count})


def _features(options: dict[str, Any]) -> FeatureFile | None:
    """The features given, of the version named. An .npy does not say who made it, so the version must be."""
    path: Path | None = options["features"]
    if path is None:
        return None
    if path.suffix != ".npz" and not options["model"]:
        raise CommandError(_("An .npy file does not say who made it: name the model version with --model."))
    return FeatureFile(path, model_named(options["model"]) if options["model"] else active_model_or_refuse())
