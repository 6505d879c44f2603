"""manage.py activate_model NAME: choose the model version that searches use."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from citysearch.research.commanding import refusals
from citysearch.research.queries import model_named
from citysearch.research.services import model_activate


class Command(TranslatedCommand):
    help = gettext_lazy(
        "Make a registered model version the active one. Refused while crops of the gallery are not indexed by it."
    )  # type: ignore[assignment]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", help=_("name, id or checksum of the version"))
        parser.add_argument(
            "--anyway", action="store_true", help=_("activate although the gallery is not indexed by it")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            version = model_activate(model_named(options["model"]), options["anyway"])
        self.stdout.write(_("active: %(model)s") % {"model": version.name})
