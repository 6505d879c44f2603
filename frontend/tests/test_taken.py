"""A photo's own place and time: said in a dialog with a map, shown on the page's map, first on the path."""

from __future__ import annotations

from typing import Any

import pytest

from citysearch.searches.models import Search, Verdict
from frontend.tests.test_browser import PHONE, cards, fill, press_search, until

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def stage(gallery: list[Any], samples: list[str], queue: Any, operator: Any) -> Any:
    """Everything the operator's page needs, before the browser is opened."""
    return queue


def say(page: Any, name: str, value: str) -> None:
    page.locator(f"#taken-{name}").fill(value)


def test_where_and_when_a_photo_was_taken_becomes_the_first_stop_of_the_path(
    stage: Any, log_in: Any, screenshot: Any
) -> None:
    page = log_in("operator")
    page.set_viewport_size(PHONE)
    page.locator('.tabs [data-tab="query"]').click()
    fill(page)
    page.get_by_role("button", name="Say where and when it was taken").click()
    use = page.get_by_role("button", name="The path passes there")
    use.click()
    page.get_by_text("Both are needed").wait_for()
    say(page, "time", "2026-03-01T11:50")
    page.locator("#taken-map").click(position={"x": 150, "y": 120})
    clicked = float(page.locator("#taken-latitude").input_value())
    page.locator("#taken-map").focus()
    page.keyboard.press("Enter")
    assert float(page.locator("#taken-latitude").input_value()) != clicked, "the middle of the map, by keyboard"
    say(page, "latitude", "30.005")
    say(page, "longitude", "120.005")
    screenshot("dialog")
    use.click()
    page.locator("#photo-notes", has_text="2026-03-01 11:50, 30.0050, 120.0050").wait_for()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.locator("#map .photo-marker span").wait_for()

    page.locator("#tree .node").first.locator(".node-name").first.click()
    page.wait_for_selector(".chosen.set")
    search = press_search(page)
    taken = search.photos.get().taken
    assert (taken["longitude"], taken["latitude"], taken["time"]) == (120.005, 30.005, "2026-03-01T11:50:00+08:00")
    stage.run()
    page.locator(".stop-marker span", has_text="5").wait_for()
    assert page.locator("#map .photo-marker").count() == 0, "it is a stop of the path now"
    page.locator("#itinerary-toggle").click()
    first = page.locator("#itinerary-list li").first
    assert "Photo 1" in first.inner_text() and "place and time as given" in first.inner_text()
    first.locator("button").click()
    page.locator("#player-note", has_text="Stop 1 of 5 · Photo 1").wait_for()
    assert page.locator(".lane-name", has_text="Photo 1").count() == 1
    screenshot("path")

    page.reload()
    page.locator("#photo-notes", has_text="2026-03-01 11:50").wait_for()
    page.locator(".photo-place").click()
    assert page.locator("#taken-time").input_value() == "2026-03-01T11:50"
    page.get_by_role("button", name="Not known").click()
    page.get_by_role("button", name="Say where and when it was taken").wait_for()


def test_what_the_file_says_is_proposed(stage: Any, log_in: Any, tmp_path: Any) -> None:
    from PIL import Image

    from citysearch.searches.tests import cast

    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (30.0, 0.0, 18.0), 3: "E", 4: (120.0, 0.0, 18.0)})
    exif.get_ifd(0x8769).update({0x9003: "2026:03:01 11:50:00"})
    (tmp_path / "phone.jpg").write_bytes(cast.photo_of(1, format="JPEG", exif=exif))
    page = log_in("operator")
    page.locator("#photo-input").set_input_files(tmp_path / "phone.jpg")
    page.locator(".photo-place").click()
    page.get_by_text("Proposed is what the photo’s file says").wait_for()
    assert page.locator("#taken-longitude").input_value() == "120.005"
    assert page.locator("#taken-time").input_value() == "2026-03-01T11:50"
    page.keyboard.press("Escape")
    assert page.locator("#photo-notes li.known").count() == 0, "nothing is taken over that was not agreed to"


SHIFTS = """window.shifts = [];
new PerformanceObserver((list) => window.shifts.push(...list.getEntries().filter((one) => !one.hadRecentInput)))
  .observe({ type: "layout-shift", buffered: true });"""


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_nothing_jumps_while_hits_stream_in(
    stage: Any, start: Any, operator: Any, city: Any, log_in: Any, desk: Any, live_server: Any, size: tuple[int, int]
) -> None:
    desk.set_viewport_size({"width": size[0], "height": size[1]})
    desk.add_init_script(SHIFTS)
    page = log_in("operator")
    search = start(operator, city, person=2)
    page.goto(f"{live_server.url}/search/{search.pk}")
    page.get_by_text("The search is in the queue.").wait_for()
    page.evaluate("window.shifts.length = 0")
    stage.step()
    stage.step()
    cards(page).first.wait_for()
    stage.run()
    page.wait_for_selector('#main[data-state="done"]')
    until(page, "document.querySelectorAll('.hit-item').length === 4 && !!document.querySelector('.stop-marker')")
    page.wait_for_timeout(400)
    moved = page.evaluate("window.shifts.reduce((sum, one) => sum + one.value, 0)")
    assert moved < 0.01, page.evaluate(
        "window.shifts.map((one) => [one.value, ...one.sources.map((source) => source.node?.outerHTML?.slice(0, 80))])"
    )


def test_behind_a_dialog_keys_judge_nothing(stage: Any, finished: Search, log_in: Any, live_server: Any) -> None:
    page = log_in("operator")
    page.goto(f"{live_server.url}/search/{finished.pk}")
    cards(page).nth(3).wait_for()
    page.keyboard.press("j")
    page.locator(".photo-open").click()
    page.locator("#cropper[open]").wait_for()
    page.keyboard.press("y")
    page.keyboard.press("Escape")
    page.locator(".photo-place").click()
    page.locator("#taken-map").focus()
    page.keyboard.press("n")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    assert not Verdict.objects.exists()
