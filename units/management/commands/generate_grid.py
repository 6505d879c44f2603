"""Lay a grid over a region."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from citysearch.errors import ServiceError
from units.models import Unit
from units.services import grid_generate


class Command(BaseCommand):
    help = "Lay a grid of square cells over a region, clipped to its area; the codes continue the region's."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("region", help="code of the region")
        parser.add_argument("--cell-m", type=float, default=200.0, help="side of a cell in metres (20 to 5000)")
        parser.add_argument("--dry-run", action="store_true", help="count the cells, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        region = Unit.objects.filter(code=options["region"]).first()
        if region is None:
            raise CommandError(f"There is no unit with the code {options['region']}.")
        try:
            grids = grid_generate(region, options["cell_m"], options["dry_run"])
        except ServiceError as error:
            raise CommandError(str(error)) from error
        done = "would be laid" if options["dry_run"] else "were laid"
        self.stdout.write(f"{len(grids)} grids of {options['cell_m']:g} m {done} over {region.name}.")
