"""manage.py register_model PATH: take a bundle into the list of model versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from citysearch.research.commanding import refusals
from citysearch.research.services import model_activate, model_register


class Command(BaseCommand):
    help = "Check a bundle byte by byte, copy it to var/models/ and register it as a model version."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help="the bundle (.reid)")
        parser.add_argument("--name", default="", help="name of the version (default: the bundle's own)")
        parser.add_argument("--activate", action="store_true", help="make it the active version")
        parser.add_argument("--anyway", action="store_true", help="activate although the gallery is not indexed by it")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            version = model_register(options["path"], options["name"])
            self.stdout.write(f"registered {version.name} ({version.backbone}, {version.dim}-d, {version.sha256[:16]})")
            if options["activate"]:
                model_activate(version, options["anyway"])
                self.stdout.write(f"active: {version.name}")
