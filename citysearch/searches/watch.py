"""What a worker does for the searches beside its tasks: take up lost ones every few seconds, and load the model, and
what the next verdict needs, before it is asked. A lost search is claimed by a filtered update."""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery.signals import worker_ready
from django.db import connections

from citysearch.watch import Watch

log = logging.getLogger(__name__)


@worker_ready.connect
def warm_start(sender: Any = None, **_kwargs: Any) -> None:
    """A worker of the engine's queue loads the model beside its first tasks."""
    if sender is None or _serves_engine(sender):
        threading.Thread(target=engine_warm, name="engine-warm", daemon=True).start()


def engine_warm() -> None:
    """Load the active model, so that the first search need not wait for it, and measure the latest search's ways, so
    that its next verdict need not. What fails here is said by the search."""
    from citysearch.engine import engine_of
    from citysearch.research.queries import active_model
    from citysearch.searches.pipeline import latest_foresee

    try:
        version = active_model()
        if version is not None:
            engine_of(version)
            latest_foresee()
    except Exception:
        log.exception("what the next search or verdict needs could not be loaded")
    finally:
        connections.close_all()


def look() -> None:
    """Queue the searches again whose worker is lost."""
    from citysearch.searches.services import searches_requeue

    if count := searches_requeue():
        log.info("%d searches taken up again", count)


def _serves_engine(consumer: Any) -> bool:
    queues = getattr(getattr(consumer.app, "amqp", None), "queues", None)
    return "engine" in getattr(queues, "consume_from", {})


lost = Watch("searches-lost", 5.0, look)
