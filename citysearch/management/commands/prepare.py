"""`manage.py prepare`: what must be done before the first start and after each upgrade; safe to repeat."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, call_command


class Command(BaseCommand):
    help = "Migrate the database, and register and activate the shipped model where no model is active."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        from citysearch.research.queries import active_model
        from citysearch.research.services import model_activate, model_register

        if active_model() is None:
            version = model_activate(model_register(settings.BUNDLE))
            self.stdout.write(f"Model {version.name} is active.")
