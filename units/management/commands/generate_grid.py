"""Lay a grid over a region."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from citysearch.errors import ServiceError
from units.models import Unit
from units.services import grid_generate


class Command(TranslatedCommand):
    help = gettext_lazy(
        "Lay a grid of square cells over a region, clipped to its area; the codes continue the region's."
    )  # type: ignore[assignment]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("region", help=_("code of the region"))
        parser.add_argument("--cell-m", type=float, default=200.0, help=_("side of a cell in metres (20 to 5000)"))
        parser.add_argument("--dry-run", action="store_true", help=_("count the cells, change nothing"))

    def handle(self, *args: Any, **options: Any) -> None:
        region = Unit.objects.filter(code=options["region"]).first()
        if region is None:
            raise CommandError(_("There is no unit with the code %(code)s.") % {"code": options["region"]})
        try:
            grids = grid_generate(region, options["cell_m"], options["dry_run"])
        except ServiceError as error:
            raise CommandError(str(error)) from error
        words = {"count": len(grids), "side": options["cell_m"], "region": region.name}
        if options["dry_run"]:
            self.stdout.write(_("%(count)d grids of %(side)g m would be laid over %(region)s.") % words)
        else:
            self.stdout.write(_("%(count)d grids of %(side)g m were laid over %(region)s.") % words)
