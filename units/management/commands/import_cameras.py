"""Import cameras from CSV."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from units.management.reporting import imported
from units.services import cameras_import


class Command(TranslatedCommand):
    help = gettext_lazy(
        "Import cameras from a CSV table. Needed are code, name, longitude and latitude; free_code, coordinate_system "
        "(wgs84, gcj02, bd09), heading, field_of_view, view_radius_m, clock_offset_s, clock_uncertainty_s and status "
        "(online, offline, maintenance) may be given. The grid is computed from the place. A known code is changed, "
        "another one added. Bad lines are reported and the rest goes on."
    )  # type: ignore[assignment]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="FILE.csv")
        parser.add_argument("--dry-run", action="store_true", help=_("check everything, change nothing"))

    def handle(self, *args: Any, **options: Any) -> None:
        imported(self, options, cameras_import)
