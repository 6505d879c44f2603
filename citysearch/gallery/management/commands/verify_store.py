"""manage.py verify_store: every committed segment and picture against its checksum."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from citysearch.gallery.commanding import refusals, shown_progress
from citysearch.gallery.verifying import StoreReport, store_check, store_sweep
from citysearch.progress import add_progress_option


class Command(TranslatedCommand):
    help = gettext_lazy(
        "Check every feature segment and every picture against the checksum in the database; exit 1 when any is "
        "missing or altered. Files that no row names are reported, and with --sweep removed once they are an hour old."
    )  # type: ignore[assignment]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-pictures", action="store_true", help=_("check the segments only"))
        parser.add_argument("--sweep", action="store_true", help=_("remove files that no row names"))
        add_progress_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals(), shown_progress(_("checked"), options) as progress:
            report = store_check(not options["no_pictures"], progress)
        self._tell(report)
        if options["sweep"]:
            self.stdout.write(_("%(count)d files removed.") % {"count": store_sweep(report)})
        if report.faults:
            raise CommandError(_("%(count)d faults found.") % {"count": len(report.faults)})

    def _tell(self, report: StoreReport) -> None:
        for fault in report.faults:
            self.stderr.write(fault)
        for path in (*report.orphan_segments, *report.orphan_pictures):
            self.stdout.write(_("No row names %(path)s.") % {"path": path})
        words = {"segments": report.segments, "pictures": report.pictures}
        self.stdout.write(_("%(segments)d segments and %(pictures)d pictures checked.") % words)
