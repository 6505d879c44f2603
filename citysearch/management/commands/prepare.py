"""`manage.py prepare`: what must be done before the first start and after each upgrade; safe to repeat."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand


class Command(TranslatedCommand):
    help = gettext_lazy("Migrate the database, and register and activate the shipped model where no model is active.")  # type: ignore[assignment]

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        from citysearch.research.queries import active_model
        from citysearch.research.services import model_activate, model_register

        if active_model() is None:
            version = model_activate(model_register(settings.BUNDLE))
            self.stdout.write(_("Model %(model)s is active.") % {"model": version.name})
