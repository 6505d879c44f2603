"""What a worker does for the gallery beside its tasks: take up what no broker or no worker was there for, and have
everything erased once a day that is older than its unit keeps it."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from celery.signals import worker_ready, worker_shutting_down
from django.db import close_old_connections, connections

from citysearch.gallery.queueing import note_leave, note_take, sent

log = logging.getLogger(__name__)

EVERY_S = 10.0
PURGE_EVERY_S = 24 * 3600.0

_stop = threading.Event()


@worker_ready.connect
def watch_start(**_kwargs: Any) -> None:
    """A worker that starts looks once, whatever happened before."""
    _stop.clear()
    note_leave()
    threading.Thread(target=_watch, name="gallery-watch", daemon=True).start()


@worker_shutting_down.connect
def watch_stop(**_kwargs: Any) -> None:
    _stop.set()


def look() -> bool:
    """Queue unfinished work again if a note says that there may be some; True when there was a note."""
    from citysearch.gallery.tasks import gallery_catch_up

    if not note_take():
        return False
    try:
        gallery_catch_up()
    except Exception:
        log.exception("the gallery's unfinished work could not be queued; trying again")
        note_leave()
    return True


def purge_queue() -> None:
    """Have the gallery purged; several workers may ask, the second purge finds nothing to do."""
    from citysearch.gallery.tasks import purge_task

    sent(purge_task)


def _watch() -> None:
    purged = -PURGE_EVERY_S
    while not _stop.is_set():
        close_old_connections()
        look()
        if time.monotonic() - purged >= PURGE_EVERY_S:
            purge_queue()
            purged = time.monotonic()
        _stop.wait(EVERY_S)
    connections.close_all()
