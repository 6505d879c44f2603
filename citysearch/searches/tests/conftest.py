from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from citysearch.searches.tests import cast

PEOPLE = (1, 2, 3)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[cast.PaintEngine]:
    """The painted people's engine behind the door that leads to torch."""
    from citysearch import engine as door

    paint = cast.PaintEngine()
    door.engines_forget()
    monkeypatch.setattr(door, "_load", lambda version: paint)
    yield paint
    door.engines_forget()


@pytest.fixture
def version(db: None) -> Any:
    return cast.make_version()


@pytest.fixture
def gallery(cameras: list[Any], version: Any, engine: cast.PaintEngine) -> list[Any]:
    """Three people before four cameras, three crops each time: 36 crops, indexed. Returns the cameras."""
    cast.walk(cameras, PEOPLE)
    cast.index(cameras, version)
    return cameras


@pytest.fixture
def api(operator: Any) -> Any:
    """The operator's client."""
    return client_of(operator)


def client_of(user: Any) -> Any:
    from rest_framework.test import APIClient

    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def start(api: Any, eager_tasks: None, django_capture_on_commit_callbacks: Any) -> Any:
    """Post a search and let it run to its end: returns the response of the POST."""

    def post(unit: Any, person: int = 1, client: Any = None, **fields: Any) -> Any:
        data = {"photos": [cast.upload(cast.photo_of(person))], "unit": getattr(unit, "code", unit)}
        data |= {"purpose": "missing person", "case": "2026-17"} | fields
        data = {name: value for name, value in data.items() if value is not None}
        with django_capture_on_commit_callbacks(execute=True):
            return (client or api).post("/api/v1/searches/", data, format="multipart")

    return post


@pytest.fixture
def found(start: Any, city: Any, gallery: list[Any]) -> Any:
    """A finished search of the whole city for person 1."""
    from citysearch.searches.models import Search

    return Search.objects.get(pk=start(city).json()["id"])


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> cast.Queue:
    from celery import Task

    from citysearch.searches import services

    sent = cast.Queue()
    monkeypatch.setattr(Task, "delay", lambda self, *arguments: sent.append((self.name, arguments[0])))
    monkeypatch.setattr(services, "_messages_waiting", lambda: len(sent))
    return sent


@pytest.fixture
def queued(operator: Any, city: Any, gallery: Any) -> Any:
    """A search that waits in the queue."""
    from citysearch.searches import services

    return services.search_start(operator, city, [cast.photo_of(1)], "purpose", "case")


@pytest.fixture
def own_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread closes its connections; in a test that thread is the test's own."""
    from citysearch import watch as common
    from citysearch.searches import watch

    for module in (watch, common):
        monkeypatch.setattr(module, "connections", SimpleNamespace(close_all=lambda: None))
    monkeypatch.setattr(common, "close_old_connections", lambda: None)
