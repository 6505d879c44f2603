"""An import that somebody stops: queued --> stopped at once, running --> stopping --> stopped between two batches.

What was committed stays, the archive too, so that it can be run again and goes on. Nothing is killed: the worker looks
after every batch.
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from citysearch.changes import change_tell
from citysearch.errors import Conflict, ServiceError
from citysearch.gallery.models import GalleryImport

State = GalleryImport.State


class ImportStopped(ServiceError):
    """Ends a running import that somebody stopped."""

    code = "stopped"

    def __init__(self) -> None:
        super().__init__(_("Stopped. What was imported so far is kept; run it again to go on."))


@transaction.atomic
def import_stop(row: GalleryImport) -> GalleryImport:
    """Stop an import that waits or runs. Raises Conflict for one that does neither."""
    rows = GalleryImport.objects.filter(pk=row.pk)
    stopped = {"state": State.STOPPED, "message": ImportStopped().message, "finished_at": timezone.now()}
    waited = rows.filter(state=State.QUEUED).update(**stopped)
    if not waited and not rows.filter(state=State.RUNNING).update(state=State.STOPPING):
        raise Conflict(_("This import is not running: there is nothing to stop."))
    change_tell("import", "stop", number=row.pk)
    row.refresh_from_db()
    return row


def stop_check(row: GalleryImport, done: int, total: int) -> None:
    """Raise ImportStopped where somebody stopped the import and something is left of it."""
    if done < total and GalleryImport.objects.filter(pk=row.pk, state=State.STOPPING).exists():
        raise ImportStopped
