"""manage.py verify_audit: the log from its first line to its last."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.cases.log import log_faults
from citysearch.cases.models import LogEntry
from citysearch.commanding import TranslatedCommand


class Command(TranslatedCommand):
    help = gettext_lazy(
        "Check the log of searches, viewings, verdicts, exports and administrative changes; exit 1 when a line was "
        "altered, is missing or the end was cut off."
    )  # type: ignore[assignment]

    def handle(self, *args: Any, **options: Any) -> None:
        faults = list(log_faults())
        for fault in faults:
            self.stderr.write(fault)
        if faults:
            raise CommandError(_("%(count)d faults found.") % {"count": len(faults)})
        self.stdout.write(_("%(count)d log entries checked.") % {"count": LogEntry.objects.count()})
