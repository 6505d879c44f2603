"""What a worker does beside its tasks."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

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

    monkeypatch.setattr(watch.threading, "Thread", Thread)
    return started


@pytest.fixture
def own_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop closes its thread's connections; in a test that thread is the test's own."""
    monkeypatch.setattr(watch, "connections", SimpleNamespace(close_all=lambda: None))
    monkeypatch.setattr(watch, "close_old_connections", lambda: None)


def consumer_of(*queues: str) -> Any:
    return SimpleNamespace(app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=queues))))


def test_every_worker_watches_and_the_engines_worker_loads_the_model(threads: list[str]) -> None:
    watch.watch_start(consumer_of("default"))
    assert threads == ["searches-watch"]
    watch.watch_start(consumer_of("engine", "default"))
    assert threads == ["searches-watch", "searches-watch", "engine-warm"]


def test_no_error_ends_the_watch(own_connections: None, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    calls: list[int] = []

    def look() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("the database went away")
        if len(calls) == 3:
            watch.watch_stop()
        return len(calls) - 2

    monkeypatch.setattr(services, "searches_requeue", look)
    monkeypatch.setattr(watch, "EVERY_S", 0.001)
    watch._stop.clear()
    with caplog.at_level(logging.INFO):
        watch._watch()
    assert len(calls) == 3
    assert "could not be looked for" in caplog.text and "1 searches taken up again" in caplog.text


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
