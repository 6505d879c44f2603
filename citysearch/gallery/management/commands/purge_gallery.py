"""manage.py purge_gallery: erase the crops that are older than their unit keeps them."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from citysearch.gallery import services
from citysearch.gallery.commanding import refusals, shown_progress
from citysearch.gallery.reasons import ERASED
from citysearch.progress import add_progress_option


class Command(TranslatedCommand):
    help = gettext_lazy(
        "Erase every crop older than the retention of its unit (inherited downwards; RETENTION_DAYS where no unit says "
        "anything): picture, features, candidates. Prints what was removed and what a recount still finds: zero."
    )  # type: ignore[assignment]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help=_("only say how many crops would be erased"))
        add_progress_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        found = services.crops_purge(dry_run=True)
        due = found.erased["crops"]
        self.stdout.write(_("%(count)d crops are older than they may be kept.") % {"count": due})
        self._say_held(found)
        if options["dry_run"]:
            return
        with refusals(), shown_progress(_("erased"), options, total=due) as progress:
            report = services.crops_purge(progress=progress)
        for name, count in sorted(report.erased.items()):
            self.stdout.write(f"{ERASED.get(name, name)}: {count} -> {report.left.get(name, 0)}")
        if not report.is_complete:
            raise CommandError(_("Something could not be erased; see the counts above and run it again."))

    def _say_held(self, found: services.ErasureReport) -> None:
        if found.holds:
            self.stdout.write(_("%(count)d more are on hold and stay:") % {"count": len(found.holds)})
        for words in found.hold_words:
            self.stdout.write(f"  {words}")
