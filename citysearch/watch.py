"""What a worker does beside its tasks: it looks for something every so often, in a thread of its own.

A thread in every worker, instead of a scheduler that would be one more process to start, watch and lose. So every look
must bear being taken by several workers at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from celery.signals import worker_ready, worker_shutting_down
from django.db import close_old_connections, connections

log = logging.getLogger(__name__)


class Watch:
    """Calls `look` at once and then every so many seconds, from the worker's start to its end; no error ends it."""

    def __init__(self, name: str, every_s: float, look: Callable[[], object]) -> None:
        self.name, self.every_s, self.look = name, every_s, look
        self.ended = threading.Event()
        worker_ready.connect(self.start, weak=False, dispatch_uid=f"{name}-start")
        worker_shutting_down.connect(self.stop, weak=False, dispatch_uid=f"{name}-stop")

    def start(self, **_kwargs: Any) -> None:
        self.ended.clear()
        threading.Thread(target=self.run, name=self.name, daemon=True).start()

    def stop(self, **_kwargs: Any) -> None:
        self.ended.set()

    def run(self) -> None:
        while not self.ended.is_set():
            close_old_connections()
            try:
                self.look()
            except Exception:
                log.exception("%s could not be done; it is tried again in %g s", self.name, self.every_s)
            self.ended.wait(self.every_s)
        connections.close_all()
