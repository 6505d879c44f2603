"""What a worker does beside its tasks."""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from celery.signals import worker_ready

from citysearch import watch as common
from citysearch.gallery import watch as gallery_watch  # noqa: F401  connects itself to the worker
from citysearch.searches import services, watch


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the threads that would be started; none is."""
    started: list[str] = []

    class Thread:
        def __init__(self, target: Any, name: str, daemon: bool) -> None:
            self.name, self.daemon = name, daemon

        def start(self) -> None:
            assert self.daemon
            started.append(self.name)

    monkeypatch.setattr(threading, "Thread", Thread)
    return started


class Consumer:
    """As much of a celery worker as says which queues it serves."""

    def __init__(self, *queues: str) -> None:
        self.app = SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=queues)))


def test_every_worker_watches_and_the_engines_worker_loads_the_model(threads: list[str]) -> None:
    worker_ready.send(Consumer("default"))
    watches = ["gallery-purge", "gallery-unfinished", "searches-lost"]
    assert sorted(threads) == watches
    worker_ready.send(Consumer("engine", "default"))
    assert sorted(threads) == sorted([*watches, *watches, "engine-warm"])


def test_no_error_ends_a_watch(own_connections: None, caplog: Any) -> None:
    calls: list[int] = []

    def look() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("the database went away")
        if len(calls) == 3:
            watched.stop()

    watched = common.Watch("a-test", 0.001, look)
    watched.run()
    assert len(calls) == 3 and "a-test could not be done" in caplog.text


def test_searches_taken_up_again_are_counted(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(services, "searches_requeue", lambda: 2)
    with caplog.at_level(logging.INFO):
        watch.look()
    assert "2 searches taken up again" in caplog.text


@pytest.mark.django_db
def test_the_model_is_loaded_before_it_is_asked_for(own_connections: None, version: Any, engine: Any) -> None:
    from citysearch import engine as door

    watch.engine_warm()
    assert door._engines == {version.sha256: engine}


@pytest.mark.django_db
def test_a_model_that_cannot_be_loaded_is_logged_not_fatal(own_connections: None, version: Any, caplog: Any) -> None:
    from citysearch import engine as door

    door.engines_forget()
    watch.engine_warm()
    assert "could not be loaded" in caplog.text and not door._engines
