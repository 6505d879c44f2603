"""How the import commands read their file and tell what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from citysearch.errors import ServiceError
from units.imports import ImportReport


def imported(
    command: BaseCommand, options: dict[str, Any], service: Callable[[IO[bytes], bool], ImportReport]
) -> ImportReport:
    """Run an import service over options['file'] and print its report; CommandError when the file cannot be read."""
    try:
        with options["file"].open("rb") as file:
            report = service(file, options["dry_run"])
    except (OSError, ServiceError) as error:
        raise CommandError(f"{options['file']}: {error}") from error
    for line, name, message in sorted(report.errors):
        words = {"line": line, "name": name, "message": message}
        command.stderr.write(_("line %(line)d: %(name)s: %(message)s") % words)
    command.stdout.write(summary(report))
    return report


def summary(report: ImportReport) -> str:
    """One line: what was, or in a dry run would be, added, changed, left and refused."""
    words = {"added": report.added, "changed": report.changed, "unchanged": report.unchanged}
    text = _("%(added)d added, %(changed)d changed, %(unchanged)d unchanged, %(refused)d refused.")
    counts = text % (words | {"refused": len(report.errors)})
    return " ".join([counts, _("Nothing was changed (dry run).")]) if report.dry_run else counts
