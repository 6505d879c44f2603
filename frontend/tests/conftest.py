"""A small city with painted people, a queue that a test empties step by step, and a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from citysearch.searches.tests import cast

SCREENS = Path(__file__).resolve().parents[2] / "test-results"
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
# Chromium on a busy machine of two cores; nothing waits this long where it goes well.
PATIENCE_MS = 60_000
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
def gallery(cameras: list[Any], engine: cast.PaintEngine) -> list[Any]:
    """Three people before four cameras, three crops each time: 36 crops, indexed. Returns the cameras."""
    version = cast.make_version()
    cast.walk(cameras, PEOPLE)
    cast.index(cameras, version)
    return cameras


class Steps(cast.Queue):
    """The tasks that were sent; a test lets the worker do one at a time and looks at the page in between."""

    def step(self) -> None:
        first = self[0]
        rest = cast.Queue(self[1:])
        self[:] = [first]
        _run_one(self)
        self[:] = [*rest, *self]


def _run_one(queue: cast.Queue) -> None:
    from citysearch.searches import tasks

    name, argument = queue.pop(0)
    getattr(tasks, name.removeprefix("searches.")).run(argument)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """What was sent to the workers, in order; nothing runs until the test says so."""
    from celery import Task

    from citysearch.searches import services

    sent = Steps()
    monkeypatch.setattr(Task, "delay", lambda self, *arguments: sent.append((self.name, arguments[0])))
    monkeypatch.setattr(services, "_messages_waiting", lambda: len(sent))
    return sent


@pytest.fixture
def start(queue: Steps, gallery: list[Any], django_capture_on_commit_callbacks: Any) -> Callable[..., Any]:
    """Start a search of person 1 as `user` in `unit`; it waits in the queue."""
    from citysearch.searches.services import search_start

    def begin(user: Any, unit: Any, person: int = 1, **fields: Any) -> Any:
        values = {"purpose": "missing person", "case": "2026-17"} | fields
        with django_capture_on_commit_callbacks(execute=True):
            return search_start(user, unit, [cast.photo_of(person)], **values)

    return begin


@pytest.fixture
def finished(start: Callable[..., Any], queue: Steps, operator: Any, city: Any) -> Any:
    """A finished search of the whole city for person 1."""
    search = start(operator, city)
    queue.run()
    search.refresh_from_db()
    return search


@pytest.fixture
def samples(settings: Any, own_folders: None) -> list[str]:
    """Two sample photos, as the demo city leaves them."""
    folder = Path(settings.MEDIA_ROOT) / "samples"
    folder.mkdir(parents=True)
    rows = []
    for person in PEOPLE[:2]:
        (folder / f"walker-{person}.jpg").write_bytes(cast.photo_of(person, format="JPEG", quality=95))
        rows.append({"file": f"walker-{person}.jpg", "person_id": person, "cameras": 4})
    facts = {"seed": 1, "people": 3, "day": "2026-03-01", "crops": 36, "samples": rows}
    (folder / "samples.json").write_text(json.dumps(facts))
    return [row["file"] for row in rows]


# The browser.


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return browser_context_args | {
        "viewport": {"width": 1440, "height": 900},
        "locale": "en-GB",
        "reduced_motion": "reduce",
    }


class Watch:
    """What a page did that it must not do: errors in the console, requests to anywhere but its own server."""

    def __init__(self, page: Any, origin: str) -> None:
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.origin = origin
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(f"{error}\n{error.stack}"))
        page.on("request", self._request)

    def _console(self, message: Any) -> None:
        # Chromium reports every answer of 400 and above here; the tests of bad input ask for those on purpose.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.errors.append(f"{message.text} {message.location}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.origin, "data:", "blob:" + self.origin)):
            self.foreign.append(request.url)


@pytest.fixture
def watch(page: Any, live_server: Any) -> Watch:
    return Watch(page, live_server.url)


@pytest.fixture
def desk(page: Any, watch: Watch) -> Iterator[Any]:
    """A page of the live server; fails the test when anything foreign was asked for or an error was logged."""
    page.set_default_timeout(PATIENCE_MS)
    yield page
    assert not watch.foreign, f"requests left the server: {watch.foreign}"
    assert not watch.errors, watch.errors


@pytest.fixture
def log_in_by_form(desk: Any, live_server: Any) -> Callable[[str], Any]:
    """Log in as a person does; returns the page, ready for use."""

    def by_form(name: str) -> Any:
        desk.goto(f"{live_server.url}/login/")
        desk.get_by_label("Username").fill(name)
        desk.get_by_label("Password").fill("a long password")
        desk.get_by_role("button", name="Log in", exact=True).click()
        return _ready(desk)

    return by_form


@pytest.fixture
def log_in(desk: Any, live_server: Any) -> Callable[[str], Any]:
    """Be logged in, by a session made here; returns the home page, ready for use."""

    def by_cookie(name: str) -> Any:
        client = Client()
        client.force_login(get_user_model().objects.get(username=name))
        desk.context.add_cookies(
            [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}]
        )
        desk.goto(live_server.url)
        return _ready(desk)

    return by_cookie


def _ready(page: Any) -> Any:
    page.wait_for_selector("html[data-ready]", state="attached")
    return page


@pytest.fixture
def screenshot(desk: Any, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Keep a picture of the page among the artefacts: test-results/<test>-<name>.png."""

    def keep(name: str) -> None:
        SCREENS.mkdir(exist_ok=True)
        test = re.sub(r"\W+", "-", request.node.name).strip("-")
        desk.screenshot(path=SCREENS / f"{test}-{name}.png")

    return keep
