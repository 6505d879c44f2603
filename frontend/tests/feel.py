"""docs/feel.md: how the search page feels, measured in Chromium on a quiet machine: `make feel`.

The demo city and a made city of 100,000 crops, each served as in production with one engine worker; both are built once
below VAR_DIR. Seconds are those that a person waits: from the key or click to the frame in which the page shows it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("FEEL_DIR", ROOT / "var" / "feel"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "citysearch.settings")
os.environ["VAR_DIR"] = str(FOLDER / "demo")

import django  # noqa: E402

django.setup()

from playwright.sync_api import Page, sync_playwright  # noqa: E402

from frontend.tests.conftest import CHROMIUM, FLAGS  # noqa: E402

LARGE = "districts=10, streets=5, regions=4, grids=10, cameras=2000, crops=50"
RUNS = 5
PATIENCE_MS = 120_000

# Runs in the page: moments of what is shown, shifts of the layout that nobody asked for, and frames.
WATCH = """window.seen = { shifts: 0 };
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) if (!one.hadRecentInput) window.seen.shifts += one.value;
}).observe({ type: 'layout-shift', buffered: true });
window.when = (name, shows) => {
  const look = () => (shows() ? (window.seen[name] = performance.now()) : requestAnimationFrame(look));
  look();
};
window.addEventListener('DOMContentLoaded', () => window.when('ready', () =>
  document.getElementById('main')?.dataset.shown && document.querySelector('.stop-marker')
  && document.querySelector('.hit-item .hit') && document.querySelector('#map[data-unit]')));"""
PRESSED = """() => {
  const done = () => document.getElementById('main').dataset.state === 'done';
  window.seen.shifts = 0;
  document.getElementById('search-button').addEventListener('click', () => {
    window.seen.pressed = performance.now();
    window.when('first', () => document.querySelector('.hit-item .crop-picture'));
    window.when('done', done);
    window.when('path', () => done() && document.querySelector('.stop-marker'));
  }, { capture: true, once: true });
}"""
JUDGED = """() => {
  const scored = () => document.getElementById('main').dataset.shown.split('.').at(-1);
  const before = [scored(), document.querySelector('.leaflet-stops-pane').innerHTML];
  window.seen.shifts = 0;
  document.addEventListener('keydown', () => {
    window.seen.pressed = performance.now();
    window.when('verdict', () => document.querySelector('.hit[data-verdict=confirmed]'));
    window.when('scored', () => scored() !== before[0]);
    window.when('redrawn', () => document.querySelector('.leaflet-stops-pane').innerHTML !== before[1]);
  }, { capture: true, once: true });
}"""
SCROLL = """async () => {
  const box = document.getElementById('results-scroll');
  const frames = [];
  let last = performance.now();
  for (let step = 0; step < 120; step += 1) {
    box.scrollTop += 240;
    await new Promise(requestAnimationFrame);
    frames.push(performance.now() - last);
    last = performance.now();
  }
  return frames;
}"""


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        rows = []
        for what, figure in chain(demo_rows(browser), large_rows(browser), city_rows(browser)):
            rows.append(f"| {what} | {figure} |")
            print(rows[-1], flush=True)
        browser.close()
    (ROOT / "docs" / "feel.md").write_text(HEAD + "\n".join(rows) + "\n")


HEAD = f"""# How the search page feels

Measured by `make feel` in Chromium on two CPU cores, no GPU, with one engine worker that has loaded its model; the
median of {RUNS} times and the worst of them. The demo city has some 2,600 crops, the large one 100,000 of 2,000
cameras; the whole city has 44,111 units, 20,000 cameras and a million crops, of which a district's 100,000 are searched
(row k of performance.md). A new ranking is counted when its hits are on the page. No test looks at a clock; they look
at what the page does, and at what must not move.

| what | measured |
|---|---|
"""


def demo_rows(browser: Any) -> Iterator[tuple[str, str]]:
    with served(FOLDER / "demo", []) as address:
        page = opened(browser, address, "operator", "citysearch")
        begin(page, ".sample")
        found = [begin(page, ".sample") for _run in range(RUNS)]
    yield "demo city: Search to the first hit", spread([one["first"] - one["pressed"] for one in found])
    yield "demo city: Search to the finished search", spread([one["done"] - one["pressed"] for one in found])
    yield "demo city: Search to the path on the map", spread([one["path"] - one["pressed"] for one in found])
    yield "layout shift while hits stream in (0.1 is the usual limit)", f"{max(one['shifts'] for one in found):.4f}"


def large_rows(browser: Any) -> Iterator[tuple[str, str]]:
    folder = FOLDER / "large"
    subprocess.run([sys.executable, "-c", BUILD], env=environment(folder), check=True, cwd=ROOT)
    (folder / "photo.jpg").write_bytes(photo())
    with served(folder, ["--no-demo"]) as address:
        page = opened(browser, address, "bench", "benchmark-city")
        # Nobody in the made city looks like the photo: the page shows hits and a path when it is told to.
        begin(page, str(folder / "photo.jpg"), "done")
        page.locator("#floor").fill("0")
        page.wait_for_timeout(4000)
        frames = page.evaluate(SCROLL)
        page.evaluate("document.getElementById('results-scroll').scrollTop = 0")
        judge(page, "y")
        judge(page, "z")
        found = [judge(page, key) for _run in range(RUNS) for key in "yz"]
        hits = int(page.locator(".hit-item").first.get_attribute("aria-setsize") or 0)
    for name, words in (("scored", "the new ranking"), ("redrawn", "the new path on the map")):
        yield f"100,000 crops: Y to {words}", spread([one[name] - one["pressed"] for one in found[::2]])
    yield "100,000 crops: Z to the new ranking", spread([one["scored"] - one["pressed"] for one in found[1::2]])
    yield f"scrolling {hits:,} hits: frames a second", f"{1000 / median(frames):.0f}"


def city_rows(browser: Any) -> Iterator[tuple[str, str]]:
    """The city of benchmarks' row k, in the folder where those build it."""
    folder = ROOT / "var" / "benchmarks" / "city-20000x50"
    subprocess.run([sys.executable, "-c", WHOLE], env=environment(folder), check=True, cwd=ROOT)
    (folder / "photo.jpg").write_bytes(photo())
    with served(folder, ["--no-demo"]) as address:
        page = opened(browser, address, "bench", "benchmark-city")
        begin(page, str(folder / "photo.jpg"), "done", unit=1)
        page.locator("#floor").fill("0")
        for key in "yz":
            judge(page, key)
        found = [judge(page, key) for _run in range(RUNS) for key in "yz"][::2]
        judge(page, "y")
        opening = []
        for _run in range(RUNS):
            page.reload()
            opening.append(moments(page, "ready")["ready"])
    yield "20,000 cameras, 44,111 units, 2,000 hits: the page opened until hits and path are shown", spread(opening)
    for name, words in (("scored", "the new ranking"), ("redrawn", "the new path on the map")):
        yield f"20,000 cameras: Y to {words}", spread([one[name] - one["pressed"] for one in found])


BUILD = f"import django; django.setup(); from benchmarks.city import Size, build; build(Size({LARGE}))"
WHOLE = "import django; django.setup(); from benchmarks.city import FULL, build; build(FULL)"


def photo() -> bytes:
    from benchmarks.city import query_photo

    return query_photo()


def environment(folder: Path) -> dict[str, str]:
    """The made city's crops are of one day of the past: the daily purge must leave them."""
    return os.environ | {
        "VAR_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "citysearch.settings", "LOG_LEVEL": "WARNING",
        "RETENTION_DAYS": "3650",
    }  # fmt: skip


@contextmanager
def served(folder: Path, options: list[str]) -> Iterator[str]:
    """The site over this folder, as `make run` serves it, on a free port; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "manage.py", "serve", "--port", port, *options]
    server = subprocess.Popen(command, cwd=ROOT, env=environment(folder), stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if address in line:
                break
        urllib.request.urlopen(f"{address}/login/", timeout=60).close()  # noqa: S310  our own server
        yield address
    finally:
        server.terminate()
        server.wait(60)


def opened(browser: Any, address: str, user: str, password: str) -> Page:
    page: Page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-GB")
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script(WATCH)
    page.goto(f"{address}/login/")
    page.locator("input[name=username]").fill(user)
    page.locator("input[name=password]").fill(password)
    page.locator("input[name=password]").press("Enter")
    page.wait_for_selector("html[data-ready]", state="attached")
    return page


def begin(page: Page, photo: str, last: str = "path", unit: int = 0) -> dict[str, float]:
    """A search of the whole city, or of its district `unit`, from a new page to the moment `last`; in milliseconds."""
    page.locator(".brand").click()
    page.wait_for_selector("html[data-ready]", state="attached")
    page.wait_for_selector("#map[data-unit=top]", state="attached")
    if photo.startswith("."):
        page.locator(photo).first.click()
    else:
        page.locator("#photo-input").set_input_files(photo)
    page.locator("#tree .node-name").nth(unit).click()
    page.wait_for_selector(".chosen.set")
    page.locator("#case").fill("feel")
    page.locator("#purpose").fill("How the page feels")
    page.wait_for_timeout(2000)
    page.evaluate(PRESSED)
    page.locator("#search-button").click()
    return moments(page, last)


def judge(page: Page, key: str) -> dict[str, float]:
    """A verdict on the next hit, or its undoing, until the path is drawn anew."""
    if key == "y":
        page.keyboard.press("j")
    page.wait_for_timeout(1500)
    page.evaluate(JUDGED if key == "y" else JUDGED.replace("[data-verdict=confirmed]", ""))
    page.keyboard.press(key)
    return moments(page, "redrawn")


def moments(page: Page, last: str) -> dict[str, float]:
    for _look in range(PATIENCE_MS // 100):
        page.wait_for_timeout(100)
        if page.evaluate("name => name in window.seen", last):
            break
    page.wait_for_timeout(1500)
    found: dict[str, float] = page.evaluate("window.seen")
    page.evaluate("window.seen = { shifts: 0 }")
    return found


def spread(milliseconds: list[float]) -> str:
    return f"{median(milliseconds) / 1000:.2f} s (worst {max(milliseconds) / 1000:.2f} s)"


if __name__ == "__main__":
    main()
