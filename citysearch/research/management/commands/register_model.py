"""manage.py register_model PATH: take a bundle into the list of model versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from citysearch.research.commanding import refusals
from citysearch.research.services import model_activate, model_register


class Command(TranslatedCommand):
    help = gettext_lazy("Check a bundle byte by byte, copy it to var/models/ and register it as a model version.")  # type: ignore[assignment]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help=_("the bundle (.reid)"))
        parser.add_argument("--name", default="", help=_("name of the version (default: the bundle's own)"))
        parser.add_argument("--activate", action="store_true", help=_("make it the active version"))
        parser.add_argument(
            "--anyway", action="store_true", help=_("activate although the gallery is not indexed by it")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            version = model_register(options["path"], options["name"])
            words = {"model": version.name, "backbone": version.backbone, "dim": version.dim}
            text = _("registered %(model)s (%(backbone)s, %(dim)d-d, %(sha)s)")
            self.stdout.write(text % (words | {"sha": version.sha256[:16]}))
            if options["activate"]:
                model_activate(version, options["anyway"])
                self.stdout.write(_("active: %(model)s") % {"model": version.name})
