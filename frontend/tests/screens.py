"""docs/screens/: every state of the search page, in both languages, on a desk and on a phone: `make screens`.

Shown is the demo city alone, whose people are rendered by our own code. The city is built once below VAR_DIR. The
worker's steps are taken one at a time here, so that a state that lasts a tenth of a second can be looked at.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("VAR_DIR", str(ROOT / "var" / "screens"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "citysearch.settings")
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

import django  # noqa: E402

django.setup()

from celery import Task  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402

from citysearch.cases.services import evidence_add  # noqa: E402
from citysearch.demo.facts import samples_folder  # noqa: E402
from citysearch.demo.queries import demo_city, sample_photos  # noqa: E402
from citysearch.gallery.models import Segment  # noqa: E402
from citysearch.searches import services  # noqa: E402
from citysearch.searches.models import Search  # noqa: E402
from citysearch.searches.queries import hits  # noqa: E402
from frontend.pages import FLOOR  # noqa: E402
from frontend.tests.conftest import CHROMIUM, FLAGS, Steps  # noqa: E402
from units.models import Level, Unit  # noqa: E402

FOLDER = ROOT / "docs" / "screens"
SIZES = {"1440": {"width": 1440, "height": 900}, "390": {"width": 390, "height": 844}}
LANGUAGES = {"en": "en", "zh": "zh-hans"}
COLOURS = 200
QUIET_MS = 900
TEXTS = {
    "en": {"case": "2026-17", "purpose": "Missing person, last seen at the lake"},
    "zh": {"case": "2026-17", "purpose": "寻找走失人员，最后在湖边出现"},
}


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def served() -> Iterator[str]:
    """The site on a free port of this machine, its address."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), QuietHandler)
    server.daemon_threads = True
    server.set_app(get_wsgi_application())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class Studio:
    """A browser page of one language, and the worker whose steps are taken by hand."""

    def __init__(self, page: Page, address: str, language: str, queue: Steps) -> None:
        self.page, self.address, self.language, self.queue = page, address, language, queue

    def open(self, user: str, path: str = "/", ready: str = "html[data-ready]") -> None:
        client = Client()
        client.force_login(get_user_model().objects.get(username=user))
        cookies = {"sessionid": client.cookies["sessionid"].value, "django_language": LANGUAGES[self.language]}
        self.page.context.add_cookies([{"name": n, "value": v, "url": self.address} for n, v in cookies.items()])
        self.page.goto(self.address + path)
        self.page.wait_for_selector(ready, state="attached")

    def start(self) -> Search:
        """A search of the whole city for the first sample, waiting in the queue, and its page."""
        search = begin(demo_city(), sample(0), self.language)
        self.open("operator", f"/search/{search.pk}")
        return search

    def wait(self, state: str) -> None:
        self.page.wait_for_selector(f'#main[data-state="{state}"]', state="attached")

    def keep(self, name: str) -> None:
        """The page as it stands, on a phone and on a desk."""
        for size in ("390", "1440"):
            self.page.set_viewport_size(SIZES[size])  # type: ignore[arg-type]
            self.page.wait_for_timeout(QUIET_MS)
            shrunk(self.page.screenshot(), FOLDER / f"{name}-{self.language}-{size}.png")


def shrunk(png: bytes, path: Path) -> None:
    """A picture of few colours: a third of the bytes, no difference to the eye."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def sample(number: int) -> bytes:
    return (samples_folder() / sample_photos()[number]["file"]).read_bytes()


def begin(unit: Unit | None, photo: bytes, language: str) -> Search:
    operator = get_user_model().objects.get(username="operator")
    return services.search_start(operator, unit, [photo], **TEXTS[language])


def nobody(queue: Steps, language: str) -> Search:
    """A finished search that found nobody: the first street and sample for which that is so."""
    for unit in Unit.objects.filter(level__in=(Level.STREET, Level.REGION)).order_by("path"):
        for number in range(len(sample_photos())):
            search = quietly(unit, number, language)
            if search is None:
                continue
            queue.run()
            if all(hit["likelihood"] < FLOOR for hit in hits(search)[:1]):
                return search
            search.delete()
    raise SystemExit("Every sample was found in every street; build the demo city with another seed.")


def quietly(unit: Unit, number: int, language: str) -> Search | None:
    """A search of the unit, None where there is nothing to search."""
    try:
        return begin(unit, sample(number), language)
    except services.SearchRefused:
        return None


# The states, in the order in which an operator meets them.


def empty(studio: Studio) -> None:
    studio.open("operator")
    studio.page.wait_for_selector("#map[data-unit=top]", state="attached")
    studio.keep("empty")


def blocked(studio: Studio) -> None:
    studio.page.locator(".sample").first.click()
    studio.page.locator("#tree .node-name").first.click()
    studio.page.wait_for_selector(".chosen.set")
    studio.page.locator("#search-button").click()
    studio.page.locator("#purpose-error").wait_for()
    studio.keep("blocked")


def from_queue_to_end(studio: Studio) -> None:
    """queued, running, partial, and the finished search of the README, which then is stale."""
    search = studio.start()
    studio.wait("queued")
    studio.keep("queued")
    studio.queue.step()
    studio.wait("running")
    studio.keep("running")
    studio.queue.step()
    studio.queue.step()
    studio.page.locator(".hit-item").first.wait_for()
    studio.keep("partial")
    studio.queue.run()
    studio.wait("done")
    studio.page.locator(".stop-marker span").first.wait_for()
    studio.page.wait_for_timeout(QUIET_MS)
    shrunk(studio.page.screenshot(), FOLDER / ("search.png" if studio.language == "en" else "search-zh.png"))
    stale(studio, search)


def stale(studio: Studio, search: Search) -> None:
    segment = Segment.objects.filter(model_version=search.model_version).earliest("pk")
    Segment.objects.filter(pk=segment.pk).update(created_at=timezone.now())
    studio.page.locator("[data-act=rerun]").wait_for()
    studio.keep("stale")


def none(studio: Studio) -> None:
    search = nobody(studio.queue, studio.language)
    studio.open("operator", f"/search/{search.pk}")
    studio.page.locator("[data-act=show-all]").wait_for()
    studio.keep("none")


def error(studio: Studio) -> None:
    search = studio.start()
    studio.queue.step()
    studio.queue.clear()
    said = {"code": "store_corrupt", "stage": "match", "message": "segment 3", "kept": 0}
    Search.objects.filter(pk=search.pk).update(state="failed", stage="match", error=said)
    studio.wait("failed")
    studio.keep("error")


def evidence(studio: Studio) -> None:
    """The evidence dialog of an operator; the export he asks for; a supervisor's decision on it; a hold on it."""
    search = begin(demo_city(), sample(0), studio.language)
    studio.queue.run()
    operator = get_user_model().objects.get(username="operator")
    for hit in hits(search)[:3]:
        evidence_add(search, hit["crop"], operator)
    dialog(studio, "operator", search)
    studio.keep("evidence")
    studio.page.locator("#evidence-export").click()
    studio.page.locator("#evidence-export[disabled]").wait_for()
    studio.keep("export-asked")
    dialog(studio, "supervisor", search)
    studio.page.locator("#approval-list li").wait_for()
    studio.keep("export-decided")


def dialog(studio: Studio, user: str, search: Search) -> None:
    """The evidence of a search as a user sees it, once all of its parts are there."""
    studio.open(user, f"/search/{search.pk}")
    studio.page.locator(".hit-item .hit").nth(3).wait_for()
    studio.page.locator("#evidence-open").click()
    studio.page.locator("#evidence-list li").nth(2).wait_for()
    studio.page.locator("#approval").wait_for()


def no_permission(studio: Studio) -> None:
    studio.open("administrator")
    studio.page.locator("#refused").wait_for()
    studio.keep("no-permission")


STATES: list[Callable[[Studio], None]] = [empty, blocked, from_queue_to_end, none, error, evidence, no_permission]


def prepare() -> Steps:
    """The demo city, no searches but those made here, and tasks that wait until they are asked for."""
    call_command("migrate", verbosity=0)
    if demo_city() is None:
        call_command("demo_city")
    queue = Steps()
    Task.delay = lambda self, *arguments: queue.append((self.name, arguments[0]))
    services._messages_waiting = lambda: len(queue)
    return queue


def main(*names: str) -> None:
    """The states of these names, or all."""
    wanted = [state for state in STATES if not names or state.__name__ in names]
    queue = prepare()
    FOLDER.mkdir(exist_ok=True)
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for language in LANGUAGES:
            Search.objects.all().delete()
            page = browser.new_page(viewport=SIZES["1440"], locale="en-GB", reduced_motion="reduce")  # type: ignore[arg-type]
            for state in wanted:
                state(Studio(page, address, language, queue))
                print(language, state.__name__, flush=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
