"""manage.py verify_export case.zip: whether an exported package is what was exported."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.cases.package import package_faults
from citysearch.commanding import TranslatedCommand


class Command(TranslatedCommand):
    help = gettext_lazy(
        "Check an exported package of evidence against its manifest and signature; exit 1 when anything is altered, "
        "missing, extra or cut short."
    )  # type: ignore[assignment]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("package", type=Path, help=_("the ZIP"))
        parser.add_argument("--key", type=Path, help=_("public key (PEM) of the installation that exported it"))

    def handle(self, *args: Any, **options: Any) -> None:
        key = options["key"].read_bytes() if options["key"] else None
        faults = list(package_faults(options["package"], key))
        for fault in faults:
            self.stderr.write(fault)
        if faults:
            raise CommandError(_("%(count)d faults found.") % {"count": len(faults)})
        self.stdout.write(_("The package is complete and unaltered."))
