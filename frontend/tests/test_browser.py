"""The operator's page in a real browser: from a photo to a path on the map, and everything on the way."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from citysearch.searches.models import Search
from citysearch.searches.tests import cast

pytestmark = [pytest.mark.django_db(transaction=True)]
PATIENCE_S = 60
CROPS = "/api/v1/crops/"
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def stage(gallery: list[Any], samples: list[str], queue: Any, operator: Any) -> Any:
    """Everything the operator's page needs, before the browser is opened."""
    return queue


def until(page: Any, script: str, argument: Any = None) -> None:
    """Wait until the script says true. The browser's own way of waiting needs eval, which the policy refuses."""
    until_true(page, lambda: page.evaluate(script, argument), script)


def until_true(page: Any, question: Callable[[], bool], words: str = "") -> None:
    """Wait until the answer is true, while the page goes on."""
    end = time.monotonic() + PATIENCE_S
    while not question():
        assert time.monotonic() < end, f"never came true: {words}"
        page.wait_for_timeout(100)


def click_on_map(page: Any, longitude: float, latitude: float) -> None:
    """Click where a place is drawn: the map is asked for the pixel, the mouse does the rest."""
    script = """async ([lon, lat]) => {
        const { map } = await import(document.querySelector('script[type=module]').src.replace('search.js', 'map.js'));
        const point = map.latLngToContainerPoint([lat, lon]);
        const box = document.getElementById('map').getBoundingClientRect();
        return [box.left + point.x, box.top + point.y];
    }"""
    page.mouse.click(*page.evaluate(script, [longitude, latitude]))


def wait_for_unit(page: Any, unit: Any) -> None:
    page.wait_for_selector(f'#map[data-unit="{unit.pk}"]', state="attached")


def fill(page: Any) -> None:
    """A sample photo, a case and a purpose; the unit is left to the test."""
    page.locator(".sample").first.click()
    page.get_by_label("Case", exact=True).fill("2026-17")
    page.get_by_label("Purpose").fill("Missing person, last seen at the harbour")


def press_search(page: Any) -> Search:
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_url("**/search/*")
    return Search.objects.get(pk=page.url.rsplit("/", 1)[-1])


def cards(page: Any) -> Any:
    return page.locator(".hit-item")


def search_to_the_end(page: Any, queue: Any) -> Search:
    """The whole city for the person of the first sample, found."""
    fill(page)
    page.locator("#tree .node").first.locator(".node-name").first.click()
    page.wait_for_selector(".chosen.set")
    search = press_search(page)
    queue.run()
    page.wait_for_selector('#main[data-state="done"]')
    cards(page).first.wait_for()
    page.locator("#player").wait_for()
    return search


def test_from_a_photo_to_a_path(stage: Any, log_in_by_form: Any, screenshot: Any, city: Any) -> None:
    from units.models import Unit

    page = log_in_by_form("operator")
    page.wait_for_selector("#map[data-unit=top]", state="attached")
    screenshot("1-empty")

    fill(page)
    district = Unit.objects.get(code="330101")
    click_on_map(page, 120.005, 30.005)
    wait_for_unit(page, district)
    assert page.locator("#chosen-unit b").inner_text() == "West"
    page.locator("#breadcrumb button", has_text="Lakeside").click()
    wait_for_unit(page, city)
    screenshot("2-filled")

    before = page.evaluate("performance.timeOrigin")
    search = press_search(page)
    assert search.unit_id == city.pk
    page.get_by_text("The search is in the queue.").wait_for()
    screenshot("3-queued")

    stage.step()
    page.locator(".stages .now", has_text="compare").wait_for()
    page.get_by_text("The first hits appear as soon as").wait_for()
    stage.step()
    cards(page).first.wait_for()
    assert page.locator("#main").get_attribute("data-state") == "running"
    assert cards(page).count() == 2, "the first district's hits are there before the second one is compared"
    screenshot("4-partial")

    stage.run()
    page.wait_for_selector('#main[data-state="done"]')
    until(page, "document.querySelectorAll('.hit-item').length === 4")
    assert page.evaluate("performance.timeOrigin") == before, "no reload on the way"
    assert "4 sightings (12 crops) of 36 crops in 2 units, 4 cameras, exact" in page.locator("#coverage").inner_text()
    stops = page.locator(".stop-marker span")
    stops.first.wait_for()
    assert sorted(stops.all_inner_texts()) == ["1", "2", "3", "4"]
    assert page.locator(".leaflet-path-pane path").count() > 3
    screenshot("5-done")

    page.get_by_role("button", name="Play the path").click()
    page.locator("#clock-badge").wait_for()
    until(page, "!document.getElementById('player-note').textContent.startsWith('Stop 1 ')")
    page.keyboard.press("p")
    assert page.locator("#play").get_attribute("aria-pressed") == "false"
    here = page.locator(".stop-marker.here span").inner_text()
    assert here in "234"
    assert page.locator("#player-note").inner_text().startswith(f"Stop {here} of 4")
    screenshot("6-playing")

    cards(page).first.get_by_role("button", name="Same").click()
    page.locator('.hit[data-verdict="confirmed"]').first.wait_for()
    until_true(page, lambda: bool(stage))
    stage.run()
    until(page, "document.getElementById('progress').dataset.revision.split('.').at(-1) !== '0'")
    search.refresh_from_db()
    assert search.scored_verdict == search.verdicts.get().pk
    page.locator('.hit[data-verdict="confirmed"]').first.wait_for()
    screenshot("7-confirmed")


def test_what_is_missing_is_said_beside_its_field_and_nothing_is_sent(stage: Any, log_in: Any, screenshot: Any) -> None:
    page = log_in("operator")
    page.get_by_role("button", name="Search", exact=True).click()
    for place in ("photos", "unit", "case", "purpose"):
        assert page.locator(f"#{place}-error").is_visible()
    assert page.locator("#case").get_attribute("aria-invalid") == "true"
    screenshot("blocked")
    page.locator("#period-from").fill("2026-03-02T10:00")
    page.locator("#period-to").fill("2026-03-01T10:00")
    page.get_by_role("button", name="Search", exact=True).click()
    assert "ends before it starts" in page.locator("#from-error").inner_text()
    assert not Search.objects.exists()


def test_a_bad_photo_is_refused_in_words_and_the_form_keeps_everything(stage: Any, log_in: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(cast.photo_of(1, format="JPEG")[:400])
    page = log_in("operator")
    page.locator("#photo-input").set_input_files(broken)
    page.get_by_label("Case", exact=True).fill("2026-17")
    page.get_by_label("Purpose").fill("Missing person")
    page.locator("#tree .node").first.locator(".node-name").first.click()
    page.wait_for_selector(".chosen.set")
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_text("Photo 1 is damaged or cut short.").wait_for()
    assert page.get_by_label("Case", exact=True).input_value() == "2026-17"
    assert not Search.objects.exists()


def test_photos_are_chosen_shown_limited_and_taken_away(stage: Any, log_in: Any, tmp_path: Path) -> None:
    files = []
    for number in range(6):
        files.append(tmp_path / f"{number}.png")
        files[-1].write_bytes(cast.photo_of(1, number))
    page = log_in("operator")
    page.locator("#photo-input").set_input_files(files)
    page.locator(".photo").nth(4).wait_for()
    assert page.locator(".photo").count() == 5
    assert "At most 5 photos" in page.locator("#photos-error").inner_text()
    page.get_by_role("button", name="Remove: Photo 1").click()
    assert page.locator(".photo").count() == 4
    small = tmp_path / "small.png"
    cast.painted(1, 0, (40, 80)).save(small)
    page.locator("#photo-input").set_input_files(small)
    page.locator(".photo .quality", has_text="small").wait_for()


def test_the_first_search_is_one_click_from_the_sample(stage: Any, log_in: Any) -> None:
    page = log_in("operator")
    page.get_by_role("button", name="Fill the form with a sample").click()
    page.wait_for_selector(".chosen.set")
    assert page.locator(".photo").count() == 1
    press_search(page)
    stage.run()
    page.wait_for_selector('#main[data-state="done"]')
    cards(page).first.wait_for()


def test_hits_are_sorted_hidden_and_judged_by_keyboard_alone(stage: Any, log_in: Any, screenshot: Any) -> None:
    page = log_in("operator")
    search = search_to_the_end(page, stage)
    page.locator("#results-scroll").focus()

    page.keyboard.press("j")
    page.keyboard.press("j")
    current = page.locator('.hit[aria-current="true"]')
    assert current.get_attribute("aria-label").startswith("Hit 2:")
    page.keyboard.press("k")
    assert current.get_attribute("aria-label").startswith("Hit 1:")

    page.keyboard.press("n")
    page.locator('.hit[data-verdict="rejected"]').wait_for()
    until(page, "document.getElementById('announce').textContent === 'Rejected.'")
    page.keyboard.press("u")
    until(page, "document.getElementById('announce').textContent === 'Undecided.'")
    given = list(search.verdicts.order_by("id").values_list("value", flat=True))
    assert given == ["rejected"] * 3 + ["undecided"] * 3, "of every crop of the sighting"

    page.keyboard.press(" ")
    page.locator("#compare[open]").wait_for()
    assert page.locator("#compare-burst button").count() == 3, "every crop of the sighting"
    screenshot("compare")
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.locator("#help[open]").wait_for()
    screenshot("help")
    page.keyboard.press("Escape")

    page.locator("#floor").focus()
    page.locator("#floor").fill("0")
    until(page, "document.querySelectorAll('.hit-item').length === 12")
    page.locator("#sort input[value=time]").check()
    times = page.locator(".hit-item time").all_inner_texts()
    assert times == sorted(times)
    page.locator("#sort input[value=camera]").check()
    names = page.locator('.hit-item [data-f="camera"]').all_inner_texts()
    assert names == sorted(names)


def test_the_timeline_has_a_lane_per_camera_and_narrows_the_hits(stage: Any, log_in: Any, screenshot: Any) -> None:
    page = log_in("operator")
    search_to_the_end(page, stage)
    assert page.locator(".lane-name").count() == 4
    assert page.locator(".lanes .stop").count() == 4
    ruler = page.locator(".ruler-box").bounding_box()
    page.mouse.move(ruler["x"] + ruler["width"] * 0.55, ruler["y"] + 10)
    page.mouse.down()
    page.mouse.move(ruler["x"] + ruler["width"] - 4, ruler["y"] + 10, steps=6)
    page.mouse.up()
    page.locator("#window-clear").wait_for()
    until(page, "document.querySelectorAll('.hit-item').length < 4")
    screenshot("window")
    page.locator("#window-clear").click()
    until(page, "document.querySelectorAll('.hit-item').length === 4")
    page.locator(".lanes .tick").first.click(force=True)
    page.locator('.hit[aria-current="true"]').wait_for()


def test_a_search_is_stopped_and_keeps_what_was_found(stage: Any, log_in: Any, screenshot: Any) -> None:
    page = log_in("operator")
    fill(page)
    page.locator("#tree .node").first.locator(".node-name").first.click()
    page.wait_for_selector(".chosen.set")
    search = press_search(page)
    stage.step()
    stage.step()
    cards(page).nth(1).wait_for()
    page.get_by_role("button", name="Stop", exact=True).click()
    until_true(page, lambda: Search.objects.filter(pk=search.pk, cancel_requested=True).exists())
    stage.run()
    page.wait_for_selector('#main[data-state="cancelled"]')
    page.get_by_text("stopped after 1 of 2 units").wait_for()
    assert cards(page).count() == 2
    screenshot("cancelled")


def test_nobody_found_is_an_answer_and_the_search_can_be_widened(
    stage: Any, log_in: Any, screenshot: Any, tmp_path: Path, city: Any
) -> None:
    photo = tmp_path / "stranger.png"
    photo.write_bytes(cast.photo_of(50))
    page = log_in("operator")
    page.locator("#photo-input").set_input_files(photo)
    page.get_by_label("Case", exact=True).fill("2026-17")
    page.get_by_label("Purpose").fill("Missing person")
    page.locator("#tree .node-name", has_text="East").click()
    page.wait_for_selector(".chosen.set")
    press_search(page)
    stage.run()
    page.get_by_text("Probably not in this gallery.").wait_for()
    assert cards(page).count() == 0
    screenshot("none")
    page.get_by_role("button", name="Show the most alike all the same").click()
    cards(page).first.wait_for()
    first = page.url
    page.get_by_role("button", name="Search all of Lakeside").click()
    until(page, "address => location.href !== address", first)
    assert Search.objects.get(pk=page.url.rsplit("/", 1)[-1]).unit_id == city.pk


def test_a_failed_search_says_why(stage: Any, log_in: Any, screenshot: Any) -> None:
    page = log_in("operator")
    fill(page)
    page.locator("#tree .node").first.locator(".node-name").first.click()
    page.wait_for_selector(".chosen.set")
    search = press_search(page)
    error = {"code": "store_corrupt", "stage": "match", "message": "segment 3", "kept": 0}
    Search.objects.filter(pk=search.pk).update(state="failed", stage="match", error=error)
    page.get_by_text("The search stopped at").wait_for()
    screenshot("error")
    assert page.get_by_role("button", name="Search again").is_visible()


def test_a_colleagues_verdict_appears_by_itself(stage: Any, log_in: Any, supervisor: Any) -> None:
    page = log_in("operator")
    search = search_to_the_end(page, stage)
    page.locator(".workbench:not([data-reading])").wait_for()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    search.verdicts.create(crop=search.candidates.first().crop, value="confirmed", user=supervisor)
    page.locator('.hit[data-verdict="confirmed"]').wait_for()
    assert not [url for url in asked if "/hits/" in url], "hits are read again when they are scored, not before"


def verdicts_of(search: Search) -> dict[int, str]:
    """The verdicts that count, by crop."""
    return dict(search.verdicts.order_by("id").values_list("crop", "value"))


def said(page: Any, text: str) -> None:
    """Wait until the live region has said it."""
    until(page, "text => document.getElementById('announce').textContent === text", text)


def test_the_last_verdict_is_undone_and_ranking_and_path_follow(stage: Any, log_in: Any) -> None:
    page = log_in("operator")
    search = search_to_the_end(page, stage)
    undo = page.get_by_role("button", name="Undo the last verdict", exact=True)
    assert undo.is_disabled()
    page.keyboard.press("j")
    page.keyboard.press("y")
    said(page, "Confirmed.")
    page.keyboard.press("n")
    said(page, "Rejected.")
    assert sorted(verdicts_of(search).values()) == ["rejected"] * 3

    page.keyboard.press("z")
    said(page, "The last verdict was undone.")
    assert sorted(verdicts_of(search).values()) == ["confirmed", "undecided", "undecided"], "as it was before N"
    page.locator('.hit[data-verdict="confirmed"]').wait_for()
    undo.click()
    until(page, "document.querySelector('.hit[data-verdict=confirmed]') === null")
    assert set(verdicts_of(search).values()) == {"undecided"}
    assert undo.is_disabled()
    stage.run()
    newest = str(search.verdicts.latest("id").pk)
    until(page, "id => document.getElementById('progress').dataset.revision.split('.').at(-1) === id", newest)
    page.keyboard.press("z")
    said(page, "There is no verdict of yours to undo here.")


def test_what_a_colleague_has_said_since_is_not_undone(stage: Any, log_in: Any, supervisor: Any) -> None:
    page = log_in("operator")
    search = search_to_the_end(page, stage)
    page.keyboard.press("j")
    page.keyboard.press("y")
    said(page, "Confirmed.")
    crop = search.verdicts.get().crop
    search.verdicts.create(crop=crop, value="rejected", user=supervisor)
    page.keyboard.press("z")
    page.locator("#floor-note", has_text="A colleague has judged this hit since then").wait_for()
    assert verdicts_of(search) == {crop.pk: "rejected"}


def test_every_crop_of_a_sighting_is_turned_to_on_the_card_and_confirmed_by_itself(stage: Any, log_in: Any) -> None:
    page = log_in("operator")
    search = search_to_the_end(page, stage)
    page.keyboard.press("c")
    said(page, "Choose a hit first: J takes the next one.")
    page.keyboard.press("j")
    card = page.locator(".hit-item").first
    best = card.locator(".crop-picture").get_attribute("src")
    page.keyboard.press("c")
    said(page, "Crop 2 of 3")
    assert card.locator(".burst-button").inner_text() == "2 of 3"
    assert card.locator(".crop-picture").get_attribute("src") != best
    page.keyboard.press("y")
    said(page, "Confirmed.")
    second = search.verdicts.get().crop
    assert card.locator(".crop-picture").get_attribute("src").endswith(f"/{second.pk}/thumbnail/"), "the crop looked at"

    page.keyboard.press(" ")
    page.locator("#compare[open]").wait_for()
    original = f"{CROPS}{second.pk}/image/?signature="
    until(page, "start => document.getElementById('compare-crop').getAttribute('src').startsWith(start)", original)
    page.keyboard.press("c")
    until(page, "document.querySelector('#compare-burst button:nth-child(3)').ariaPressed === 'true'")
    page.keyboard.press("Escape")
    card.get_by_role("button", name="3 of 3").click()
    assert card.locator(".burst-button").inner_text() == "3 crops"
    assert card.locator(".crop-picture").get_attribute("src") == best


def test_a_stale_result_is_run_again_and_the_old_one_stays(
    stage: Any, log_in: Any, gallery: list[Any], screenshot: Any
) -> None:
    from citysearch.research.models import ModelVersion

    page = log_in("operator")
    page.keyboard.press("r")
    said(page, "There is no finished search to run again.")
    old = search_to_the_end(page, stage)
    cast.walk(gallery[:1], (7,))
    cast.index(gallery[:1], ModelVersion.objects.get())
    page.get_by_text("The gallery or the model has changed since this search.").wait_for()
    screenshot("stale")
    first = page.url
    page.get_by_role("button", name="Run it again").click()
    until(page, "address => location.href !== address", first)
    stage.run()
    page.wait_for_selector('#main[data-state="done"]')
    until(page, "document.querySelectorAll('.hit-item').length === 4")
    new = Search.objects.exclude(pk=old.pk).get()
    assert (new.unit_id, new.case, new.purpose) == (old.unit_id, old.case, old.purpose)
    assert page.url.endswith(str(new.pk))
    page.keyboard.press("r")
    until_true(page, lambda: Search.objects.count() == 3)


def test_a_hit_becomes_a_query_photo_beside_those_of_the_search(stage: Any, log_in: Any, screenshot: Any) -> None:
    page = log_in("operator")
    old = search_to_the_end(page, stage)
    page.reload()
    cards(page).nth(3).wait_for()
    page.keyboard.press("q")
    said(page, "Choose a hit first: J takes the next one.")
    page.keyboard.press("j")
    page.keyboard.press("q")
    until(page, "document.querySelectorAll('.photo').length === 2")
    screenshot("two-photos")
    page.keyboard.press("q")
    page.get_by_text("This crop is one of the photos already.").wait_for()
    cards(page).nth(1).get_by_role("button", name="As query").click()
    until(page, "document.querySelectorAll('.photo').length === 3")
    assert page.evaluate("document.activeElement.id") == "search-button"

    first = page.url
    page.keyboard.press("Enter")
    until(page, "address => location.href !== address", first)
    stage.run()
    page.wait_for_selector('#main[data-state="done"]')
    new = Search.objects.exclude(pk=old.pk).get()
    assert (new.unit_id, new.case, new.purpose) == (old.unit_id, old.case, old.purpose)
    assert [photo.position for photo in new.photos.order_by("position")] == [0, 1, 2]
    own, first_crop, _other = (photo.quality for photo in new.photos.order_by("position"))
    assert (own["width"], own["height"]) == (old.photos.get().quality["width"], old.photos.get().quality["height"])
    assert first_crop["width"], "the crop is a photo like any other"


def test_a_sixth_query_photo_is_refused_in_words(stage: Any, log_in: Any) -> None:
    page = log_in("operator")
    search_to_the_end(page, stage)
    page.locator("#floor").fill("0")
    until(page, "document.querySelectorAll('.hit-item').length === 12")
    for number in range(5):
        cards(page).nth(number).locator(".use").click()
        page.wait_for_timeout(50)
        until(page, "n => document.querySelectorAll('.photo').length === Math.min(5, n + 2)", number)
    page.get_by_text("There are 5 photos already. Remove one, then add the crop.").wait_for()


def test_a_search_opens_again_from_the_list_and_after_a_reload(stage: Any, log_in: Any, screenshot: Any) -> None:
    page = log_in("operator")
    search_to_the_end(page, stage)
    page.reload()
    cards(page).nth(3).wait_for()
    assert page.locator(".photo").count() == 1
    page.get_by_role("link", name="My searches").click()
    screenshot("list")
    page.get_by_role("link", name="2026-17").click()
    cards(page).nth(3).wait_for()
    page.locator(".stop-marker span").first.wait_for()


def test_units_are_chosen_by_name_and_by_arrow_keys(stage: Any, log_in: Any) -> None:
    page = log_in("operator")
    page.locator("#unit-find").fill("harbour s")
    page.locator("#tree .node-name", has_text="Harbour Street").wait_for()
    until(page, "document.querySelectorAll('#tree .node').length === 1")
    page.locator("#unit-find").fill("")
    page.locator("#tree .node-name", has_text="West").wait_for()
    page.locator("#tree .node").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.locator("#tree .node-name", has_text="Mill Street").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector(".chosen.set")
    assert page.locator("#chosen-unit b").inner_text() == "Mill Street"


AT_ONCE = """() => new MutationObserver((_, observer) => {
  const node = document.querySelector("#tree .node-name[title^='West']")?.closest(".node");
  if (!node) return;
  observer.disconnect();
  node.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
}).observe(document.querySelector("#tree"), { childList: true })"""


def test_a_branch_opens_in_the_moment_its_row_comes(stage: Any, log_in: Any) -> None:
    page = log_in("operator")
    page.locator("#unit-find").fill("harbour s")
    until(page, "document.querySelectorAll('#tree .node').length === 1")
    page.evaluate(AT_ONCE)
    page.locator("#unit-find").fill("")
    page.locator("#tree .node-name", has_text="Mill Street").wait_for(timeout=10_000)


def test_a_units_data_stand_beside_the_map_and_become_a_condition(
    stage: Any, log_in: Any, city: Any, screenshot: Any
) -> None:
    from datetime import timedelta

    from units.services import indicators_add_bulk, readings_add_bulk

    readings_add_bulk(
        {"unit": city, "kind": "footfall", "value": 100.0 + 10 * n, "time": cast.NOON + timedelta(hours=n)}
        for n in range(8)
    )
    row = {"unit": city, "indicator": "Population", "value": 812000, "unit_of_measure": "people", "year": 2025}
    indicators_add_bulk([row | {"source": "Statistics Bureau"}])
    page = log_in("operator")
    page.locator("#tree .node-name", has_text="Lakeside").click()
    page.get_by_role("button", name="Unit data").click()
    page.get_by_text("812,000 people").wait_for()
    screenshot("unit-data")
    page.get_by_role("button", name="Use as a condition of the search").click()
    assert page.locator("[data-c=kind]").last.input_value() == "footfall"
    assert page.locator("[data-c=value]").last.input_value() == "135.0"


def test_who_may_not_search_is_told_so(stage: Any, log_in: Any, administrator: Any, screenshot: Any) -> None:
    page = log_in("administrator")
    page.get_by_role("heading", name="Your account cannot search").wait_for()
    assert page.locator("#query").get_attribute("inert") is not None
    screenshot("no-permission")


def test_the_page_speaks_chinese_when_asked(stage: Any, log_in: Any, screenshot: Any) -> None:
    page = log_in("operator")
    page.get_by_role("button", name="中文").click()
    page.wait_for_selector('html[lang="zh-hans"][data-ready]', state="attached")
    page.wait_for_selector("#map[data-unit=top]", state="attached")
    page.locator(".leaflet-areas-pane path").first.wait_for()
    screenshot("chinese")
    page.get_by_role("button", name="English").click()
    page.wait_for_selector('html[lang="en"][data-ready]', state="attached")


def test_a_phone_shows_one_part_at_a_time(stage: Any, log_in: Any, desk: Any, screenshot: Any) -> None:
    desk.set_viewport_size(PHONE)
    page = log_in("operator")
    screenshot("1-query")
    fill(page)
    page.locator("#tree .node").first.locator(".node-name").first.click()
    page.wait_for_selector(".chosen.set")
    press_search(page)
    stage.run()
    cards(page).nth(3).wait_for()
    screenshot("2-hits")
    page.get_by_role("button", name="Map", exact=True).click()
    page.locator(".stop-marker span").first.wait_for()
    screenshot("3-map")
    page.get_by_role("button", name="Timeline", exact=True).click()
    page.locator(".lanes .stop").first.wait_for()
    screenshot("4-timeline")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"], "nothing has to be scrolled sideways"


def test_every_button_says_what_it_does(stage: Any, log_in: Any) -> None:
    page = log_in("operator")
    search_to_the_end(page, stage)
    silent = page.evaluate(
        """() => [...document.querySelectorAll('button, a, input:not([type=hidden]), select, textarea, [role=button]')]
            .filter((one) => one.checkVisibility())
            .filter((one) => !(one.textContent.trim() || one.getAttribute('aria-label') || one.title
                || one.labels?.length || one.querySelector('img[alt]:not([alt=""])')))
            .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert not silent
    assert page.evaluate("[...document.images].filter((one) => !one.hasAttribute('alt')).length") == 0
    twice = page.evaluate(
        "(ids => ids.filter((id, n) => ids.indexOf(id) !== n))([...document.querySelectorAll('[id]')].map(e => e.id))"
    )
    assert not twice


def test_a_page_served_in_production_form_has_the_same_policy(log_in: Callable[[str], Any], stage: Any) -> None:
    """The header is on every page; that nothing breaks under it, the console of every test here says."""
    page = log_in("operator")
    policy = page.request.get(page.url).headers["content-security-policy"]
    assert re.search(r"script-src 'self'(;|$)", policy)
    assert "unsafe-eval" not in policy
    assert "http" not in policy


def test_a_server_that_is_away_is_said_and_the_page_goes_on_by_itself(stage: Any, log_in: Any, watch: Any) -> None:
    page = log_in("operator")
    page.get_by_role("button", name="Fill the form with a sample").click()
    page.wait_for_selector(".chosen.set")
    press_search(page)
    page.route("**/status*", lambda route: route.abort())
    page.get_by_text("The server does not answer. This page keeps trying.").wait_for()
    page.unroute("**/status*")
    stage.run()
    page.wait_for_selector('#main[data-state="done"]')
    cards(page).first.wait_for()
    assert page.locator("#offline").is_hidden()
    # The browser logs every request that fails; here they failed on purpose.
    watch.errors.clear()


def call(page: Any, function: str, *arguments: Any) -> Any:
    """What a function of the page's own format.js answers."""
    script = """async ([name, values]) => {
        const source = document.querySelector('script[type=module]').src;
        return (await import(source.replace('search.js', 'format.js')))[name](...values);
    }"""
    return page.evaluate(script, [function, list(arguments)])


def test_scripts_and_templates_say_likelihoods_and_names_in_the_same_words(stage: Any, log_in: Any) -> None:
    from frontend.templatetags.frontend import likelihood_words, odds, place

    page = log_in("operator")
    for likelihood in (0.0, 0.009, 0.05, 0.1, 0.29, 0.3, 0.69, 0.7, 0.89, 0.9, 0.994, 1.0):
        assert call(page, "likelihoodWords", likelihood) == likelihood_words(likelihood)
        assert call(page, "odds", likelihood) == odds(likelihood)
    for name in ("湖滨区 Lakeside", "Camera 7", "运河大道·梧桐路南 Canal Avenue / Plane Road S"):
        assert call(page, "place", name) == place(name)


def test_times_are_shown_on_the_citys_clock_whatever_the_computers_zone_is(stage: Any, log_in: Any) -> None:
    page = log_in("operator")
    assert call(page, "fullTime", "2026-03-01T00:15:07.250000+08:00") == "2026-03-01 00:15:07 UTC+08:00"
    assert call(page, "fullTime", "2026-03-01T23:45:00-03:30") == "2026-03-01 23:45:00 UTC−03:30"
    assert call(page, "fullTime", "2026-03-01T12:00:00Z") == "2026-03-01 12:00:00 UTC+00:00"
    assert [call(page, "span", value) for value in (42, 600, 11_400)] == ["42 s", "10 min", "3 h 10 min"]


def corners(page: Any, places: list[tuple[float, float]]) -> None:
    """Click the corners of an area: a mouse moves before it clicks."""
    script = """async ([lon, lat]) => {
        const { map } = await import(document.querySelector('script[type=module]').src.replace('search.js', 'map.js'));
        const point = map.latLngToContainerPoint([lat, lon]);
        const box = document.getElementById('map').getBoundingClientRect();
        return [box.left + point.x, box.top + point.y];
    }"""
    for longitude, latitude in places:
        page.mouse.move(*page.evaluate(script, [longitude, latitude]), steps=3)
        page.wait_for_timeout(60)
        page.mouse.down()
        page.mouse.up()


def test_an_area_is_drawn_with_the_mouse_searched_shown_again_and_removed(
    stage: Any, log_in: Any, screenshot: Any
) -> None:
    page = log_in("operator")
    page.wait_for_selector("#map[data-unit=top]", state="attached")
    page.locator(".leaflet-areas-pane path").first.wait_for()
    page.get_by_role("button", name="Draw an area to search in").click()
    ring = [(120.003, 30.001), (120.037, 30.001), (120.037, 30.008), (120.003, 30.008)]
    corners(page, [*ring, ring[0]])
    page.locator("#chosen-unit", has_text="Drawn area").wait_for()
    until(page, "document.getElementById('scope-note').textContent === '2 cameras, 18 crops'")
    assert page.locator("#area-bar").is_hidden()
    screenshot("drawn")
    fill(page)
    search = press_search(page)
    assert search.area is not None and search.unit.code == "330100"
    stage.run()
    page.wait_for_selector('#main[data-state="done"]')
    until(page, "document.querySelectorAll('.hit-item').length === 2")
    assert "2 sightings (6 crops) of 18 crops in 2 units, 2 cameras" in page.locator("#coverage").inner_text()
    page.reload()
    page.locator("#chosen-unit", has_text="Drawn area").wait_for()
    page.locator(".leaflet-area-pane path").first.wait_for()
    page.get_by_role("button", name="Remove the area").click()
    until(page, "!document.getElementById('chosen-unit').textContent.includes('Drawn area')")


def test_an_area_is_drawn_by_keyboard_alone(stage: Any, log_in: Any) -> None:
    page = log_in("operator")
    page.wait_for_selector("#map[data-unit=top]", state="attached")
    page.locator(".leaflet-areas-pane path").first.wait_for()
    button = page.get_by_role("button", name="Draw an area on the map")
    button.focus()
    page.keyboard.press("Enter")
    page.locator("#area-bar").wait_for()
    page.keyboard.press("f")
    said(page, "An area needs three corners at least.")
    page.keyboard.press("Enter")
    for key in ("ArrowLeft", "ArrowDown", "ArrowRight"):
        for _ in range(2):
            page.keyboard.press(key)
            page.wait_for_timeout(350)  # a key that is pressed while the map still glides does nothing
        page.keyboard.press("Enter")
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    page.keyboard.press("f")
    page.locator("#chosen-unit", has_text="Drawn area").wait_for()
    until(page, "document.getElementById('scope-note').textContent.includes('camera')")
    button.press("Enter")
    page.keyboard.press("Escape")
    said(page, "The area was not drawn.")
    assert page.locator("#chosen-unit", has_text="Drawn area").is_visible(), "the old one stays"


def test_sensor_conditions_say_when_they_hold_and_what_is_left(
    stage: Any, log_in: Any, city: Any, screenshot: Any
) -> None:
    from datetime import timedelta

    from units.services import readings_add_bulk

    readings_add_bulk(
        {"unit": city, "kind": "weather", "value": float(n in (0, 3)), "time": cast.NOON + timedelta(minutes=30 * n)}
        for n in range(5)
    )
    page = log_in("operator")
    page.locator("#tree .node-name", has_text="Lakeside").click()
    until(page, "document.getElementById('scope-note').textContent === '4 cameras, 36 crops'")
    page.locator("#conditions summary").click()
    page.get_by_role("button", name="While it rained").click()
    page.get_by_text("2 time windows, 60 min").wait_for()
    assert page.locator("#scope-note").inner_text() == "4 cameras, 18 of 36 crops in these times"
    assert page.locator(".window-strip .window").count() == 2
    assert "03-01 12:00 – 03-01 12:30" in page.locator("#windows").inner_text()
    screenshot("windows")
    page.locator("[data-c=value]").fill("5")
    page.get_by_text("At no time. Loosen a condition.").wait_for()
    page.locator("[data-c=value]").fill("0")
    page.get_by_role("button", name="Footfall above …").click()
    page.locator("[data-c=value]").last.fill("5")
    page.locator("#conditions-error", has_text="Nobody measures footfall").wait_for()


def test_the_path_is_read_in_words_with_its_gaps_and_where_it_leads(
    stage: Any, log_in: Any, gallery: list[Any], screenshot: Any
) -> None:
    page = log_in("operator")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/gaps/") else None)
    search_to_the_end(page, stage)
    page.locator(".stop-marker span").first.wait_for()
    assert not asked, "nobody looks at the gaps yet"
    toggle = page.get_by_role("button", name="Stops", exact=True)
    toggle.click()
    rows = page.locator("#itinerary-list .stop-row")
    assert rows.count() == 4
    gap = page.locator(".gap-button").first
    gap.click()
    assert gap.get_attribute("aria-expanded") == "true"
    assert page.locator("[data-leg-row='0'] .gap-cameras").inner_text().count("Camera") == 2
    screenshot("gap")
    rows.nth(2).click()
    page.locator(".stop-marker.here span", has_text="3").wait_for()
    page.get_by_label("Show where the last sighting may lead").check()
    page.locator("#reach-result", has_text="up to 840 m as the crow flies").wait_for()
    assert page.get_by_text("No searched camera lies within it.").is_visible()
    page.locator("#reach-minutes").fill("20")
    page.locator("#reach-result", has_text="Camera 3").wait_for()
    screenshot("reach")
    page.get_by_role("button", name="Search there from then on").click()
    page.locator("#chosen-unit", has_text="Drawn area").wait_for()
    assert page.locator("#period-from").input_value() == "2026-03-01T13:31"
    toggle.focus()
    page.keyboard.press("Enter")
    assert page.locator("#itinerary").is_hidden()


def test_the_first_five_minutes_are_explained_on_the_page(stage: Any, log_in: Any, screenshot: Any) -> None:
    page = log_in("operator")
    page.get_by_role("button", name="Show me around").first.click()
    guide = page.locator("#guide")
    seen = []
    while guide.is_visible():
        seen.append(guide.locator("h2").inner_text())
        assert page.locator(".guided").count() == 1
        assert page.evaluate("document.activeElement.id") == "guide-title"
        guide.locator("#guide-next").click()
    assert len(seen) == len(set(seen)) == 7
    assert page.locator(".guided").count() == 0
    page.keyboard.press("?")
    page.locator("#help").get_by_role("button", name="Show me around").click()
    page.keyboard.press("Escape")
    assert guide.is_hidden()


def test_twenty_thousand_cameras_are_bubbles_that_open_as_one_comes_closer(
    stage: Any, log_in: Any, screenshot: Any
) -> None:
    import random

    dice = random.Random(7)
    fields = {"unit": 1, "unit_name": "", "status": "online", "heading": 0, "field_of_view": 90, "view_radius_m": 30}
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [120 + dice.random() * 0.04, 30 + dice.random() * 0.02]},
            "properties": {"id": number, "code": f"c{number}", "name": f"Camera {number}", **fields},
        }
        for number in range(20_000)
    ]
    collection = {"type": "FeatureCollection", "features": features}
    page = log_in("operator")
    page.route("**/api/v1/cameras/geojson/**", lambda route: route.fulfill(json=collection))
    page.reload()
    bubbles = page.locator(".camera-cluster span")
    bubbles.first.wait_for()
    counts = [int(text.replace(",", "")) for text in bubbles.all_inner_texts()]
    assert sum(counts) > 19_900 and len(counts) < 200, "all but a few are in bubbles"
    screenshot("many-cameras")
    before = page.evaluate("document.querySelector('.leaflet-control-scale-line').textContent")
    bubbles.nth(len(counts) // 2).click()
    until(page, "old => document.querySelector('.leaflet-control-scale-line').textContent !== old", before)
    until(page, "() => document.querySelectorAll('.camera-cluster span').length < 200")
    closer = [int(text.replace(",", "")) for text in bubbles.all_inner_texts()]
    assert max(closer) < max(counts)
