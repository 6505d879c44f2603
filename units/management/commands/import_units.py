"""Import units from GeoJSON or CSV."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from units.files import layout_of
from units.management.reporting import imported
from units.services import units_import


class Command(TranslatedCommand):
    help = gettext_lazy(
        "Import units from a GeoJSON FeatureCollection or a CSV table. Needed are code, name and level (city, "
        "district, street, region, grid, or 1 to 5); parent (the code of the unit above; found by the code when left "
        "out), free_code and polygon (GeoJSON text in a CSV) may be given. A known code is changed, another one added. "
        "Bad lines are reported and the rest goes on."
    )  # type: ignore[assignment]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help=_("FILE.geojson, FILE.json or FILE.csv"))
        parser.add_argument("--dry-run", action="store_true", help=_("check everything, change nothing"))

    def handle(self, *args: Any, **options: Any) -> None:
        imported(self, options, lambda file, dry_run: units_import(file, layout_of(options["file"].name), dry_run))
