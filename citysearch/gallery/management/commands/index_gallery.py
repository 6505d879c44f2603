"""manage.py index_gallery: features for every crop that has none, for the active model or another one."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from citysearch.gallery import services
from citysearch.gallery.commanding import refusals, shown_progress
from citysearch.gallery.indexing import pending_counts
from citysearch.progress import add_progress_option
from citysearch.research.models import ModelVersion
from citysearch.research.queries import active_model_or_refuse, model_named
from units.models import Camera


class Command(TranslatedCommand):
    help = gettext_lazy(
        "Extract the features of every crop that has none. With --model, for another version than the active one, "
        "which stays searchable meanwhile. Ctrl-C keeps what is committed; running it again goes on."
    )  # type: ignore[assignment]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--model", default="", help=_("name, id or checksum (default: the active version)"))
        parser.add_argument("--cameras", default="", metavar="CODE,CODE,...", help=_("only these cameras"))
        add_progress_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals(), shown_progress(_("features"), options) as progress:
            version = model_named(options["model"]) if options["model"] else active_model_or_refuse()
            if options["cameras"]:
                count = services.index_cameras(_camera_ids(options["cameras"]), version, progress)
            else:
                count = services.version_index(version, progress)
        self._tell(version, count)

    def _tell(self, version: ModelVersion, count: int) -> None:
        self.stdout.write(_("%(count)d crops indexed for %(model)s.") % {"count": count, "model": version.name})
        missing = sum(pending_counts(Camera.objects.values_list("pk", flat=True), version).values())
        if missing:
            words = {"missing": missing, "model": version.name}
            self.stderr.write(_("%(missing)d crops still have no features for %(model)s.") % words)


def _camera_ids(codes: str) -> list[int]:
    wanted = {code.strip() for code in codes.split(",") if code.strip()}
    found = dict(Camera.objects.filter(code__in=wanted).values_list("code", "pk"))
    if wanted - found.keys():
        unknown = ", ".join(sorted(wanted - found.keys()))
        raise CommandError(_("There is no camera with the code %(codes)s.") % {"codes": unknown})
    return list(found.values())
