"""What a worker does beside its tasks: take up lost searches every few seconds, and load the model before it is asked.

A thread in every worker, instead of a scheduler that would be one more process to start, watch and lose. It may run in
any number of workers: a lost search is claimed by a filtered update.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery.signals import worker_ready, worker_shutting_down
from django.db import close_old_connections, connections

log = logging.getLogger(__name__)

EVERY_S = 5.0

_stop = threading.Event()


@worker_ready.connect
def watch_start(sender: Any = None, **_kwargs: Any) -> None:
    """Start the threads of this worker."""
    _stop.clear()
    threading.Thread(target=_watch, name="searches-watch", daemon=True).start()
    if sender is None or _serves_engine(sender):
        threading.Thread(target=engine_warm, name="engine-warm", daemon=True).start()


@worker_shutting_down.connect
def watch_stop(**_kwargs: Any) -> None:
    _stop.set()


def engine_warm() -> None:
    """Load the active model, so that the first search need not wait for it. What fails here is said by the search."""
    from citysearch.engine import engine_of
    from citysearch.research.queries import active_model

    try:
        version = active_model()
        if version is not None:
            engine_of(version)
    except Exception:
        log.exception("the active model could not be loaded")
    finally:
        connections.close_all()


def _watch() -> None:
    """Look for lost searches until the worker shuts down; no error ends the watch."""
    from citysearch.searches.services import searches_requeue

    while not _stop.is_set():
        close_old_connections()
        try:
            count = searches_requeue()
            if count:
                log.info("%d searches taken up again", count)
        except Exception:
            log.exception("lost searches could not be looked for")
        _stop.wait(EVERY_S)
    connections.close_all()


def _serves_engine(consumer: Any) -> bool:
    queues = getattr(getattr(consumer.app, "amqp", None), "queues", None)
    return "engine" in getattr(queues, "consume_from", {})
