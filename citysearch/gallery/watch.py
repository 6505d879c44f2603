"""What a worker does for the gallery beside its tasks: take up what no broker or no worker was there for, and have
everything erased once a day that is older than its unit keeps it."""

from __future__ import annotations

from typing import Any

from celery.signals import worker_ready

from citysearch.gallery.queueing import note_leave, note_take, sent
from citysearch.watch import Watch


@worker_ready.connect
def note_first(**_kwargs: Any) -> None:
    """A worker that starts looks once, whatever happened before."""
    note_leave()


def look() -> bool:
    """Queue unfinished work again if a note says that there may be some; True when there was a note."""
    from citysearch.gallery.tasks import gallery_catch_up

    if not note_take():
        return False
    try:
        gallery_catch_up()
    except Exception:
        note_leave()
        raise
    return True


def purge_queue() -> None:
    """Have the gallery purged; several workers may ask, the second purge finds nothing to do."""
    from citysearch.gallery.tasks import purge_task

    sent(purge_task)


unfinished = Watch("gallery-unfinished", 10.0, look)
purge = Watch("gallery-purge", 24 * 3600.0, purge_queue)
