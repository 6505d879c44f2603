"""The map editors and the tree in a real browser: what a mouse does reaches the database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from units import services
from units.models import Camera, Unit
from units.projection import from_wgs84
from units.tests.cast import EAST, WEST, unit_of
from units.tree import children

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page(browser: Browser, live_server: Any, client: Any, administrator: Any) -> Iterator[Page]:
    """A tab of the administrator; a script error or a refused resource fails the test."""
    client.force_login(administrator)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 1600})
    context.add_cookies([cookie])
    tab, problems = context.new_page(), []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("console", lambda told: problems.append(told.text) if "Content Security Policy" in told.text else None)
    yield tab
    context.close()
    assert problems == []


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(end[0], end[1] - 3, steps=5)
    page.mouse.move(*end, steps=3)
    page.wait_for_timeout(300)
    page.mouse.up()


def middle(page: Page, selector: str) -> tuple[float, float]:
    box = page.locator(selector).first.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def send(page: Page) -> None:
    with page.expect_navigation():
        page.click("input[name=_continue]")


def test_an_area_is_drawn_and_its_corner_dragged(page: Page, city: Unit) -> None:
    services.roads_replace([{"line": [[120, 30], [120.04, 30.02]]}])
    page.goto(f"/admin/units/unit/add/?parent={unit_of(EAST).pk}")
    page.wait_for_selector(".area-map:not([aria-busy])")
    page.fill("#id_name", "Quay")
    page.fill("#id_code", "330102002")
    page.click(".leaflet-draw-draw-polygon")
    x, y = middle(page, ".area-map")
    for right, down in ((-90, -60), (90, -60), (90, 60)):
        page.mouse.move(x + right, y + down)
        page.mouse.click(x + right, y + down)
        page.wait_for_timeout(200)
    send(page)  # the shape is still open: sending closes it
    quay = unit_of("330102002")
    assert len(quay.polygon["coordinates"][0]) == 4 and quay.is_child_of(unit_of(EAST))
    page.wait_for_selector(".area-map:not([aria-busy])")
    page.click(".leaflet-draw-edit-edit")
    corner = middle(page, ".leaflet-editing-icon")
    drag(page, corner, (corner[0] - 50, corner[1] - 25))
    send(page)  # without pressing Done
    assert unit_of("330102002").west < quay.west and unit_of("330102002").north > quay.north


def test_a_camera_is_placed_by_click_and_turned_by_its_handle(page: Page, city: Unit) -> None:
    page.goto("/admin/units/camera/add/")
    page.wait_for_selector(".place-map:not([aria-busy])")
    page.fill("#id_name", "Quay")
    page.fill("#id_code", "33010200071320000001")
    page.mouse.click(*middle(page, ".place-map"))
    page.wait_for_selector(".map-handle")
    handle = middle(page, ".map-handle")
    camera = middle(page, ".map-camera")
    assert abs(handle[0] - camera[0]) < 2 and handle[1] < camera[1]  # north
    drag(page, handle, (camera[0] + 120, camera[1]))
    send(page)
    placed = Camera.objects.get()
    assert placed.unit.level == 5 and placed.heading == pytest.approx(90, abs=3) and placed.view_radius_m > 40


def test_the_opening_is_dragged_and_numbers_of_another_system_are_drawn_where_they_are_stored(
    page: Page, cameras: list[Camera]
) -> None:
    camera = cameras[0]
    page.goto(f"/admin/units/camera/{camera.pk}/change/")
    page.wait_for_selector(".place-map:not([aria-busy])")
    here, corner = middle(page, ".map-camera"), middle(page, ".map-corner >> nth=1")
    assert corner[0] > here[0] and page.input_value("#id_field_of_view") == "90.0"
    page.locator(".map-corner").nth(1).hover()
    drag(page, corner, (here[0] + 90, here[1]))
    assert float(page.input_value("#id_field_of_view")) == pytest.approx(180, abs=6)
    page.fill("#id_field_of_view", "60")
    moved = middle(page, ".map-corner >> nth=1")
    assert here[0] < moved[0] < corner[0], "the numbers move what is drawn"
    longitude, latitude = from_wgs84(camera.longitude, camera.latitude, "bd09")
    page.select_option("#id_coordinate_system", "bd09")
    page.fill("#id_longitude", f"{longitude:.7f}")
    page.fill("#id_latitude", f"{latitude:.7f}")
    said = page.locator(".place-note").inner_text()
    assert said.startswith("Read as BD-09")
    drawn = [float(number) for number in re.findall(r"\d+\.\d{6}", said)]
    assert drawn == pytest.approx([camera.longitude, camera.latitude], abs=2e-6)
    assert middle(page, ".map-camera") == pytest.approx(here, abs=2)
    send(page)
    stored = Camera.objects.get(pk=camera.pk)
    assert (stored.longitude, stored.latitude) == pytest.approx((camera.longitude, camera.latitude), abs=1e-6)
    assert stored.field_of_view == 60 and page.locator(".place-note").is_hidden(), "a place that stays is not converted"


def test_sides_that_cross_are_not_sent_and_corners_are_put_back(page: Page, city: Unit) -> None:
    mill = unit_of("330101001001")
    before = mill.polygon
    page.goto(f"/admin/units/unit/{mill.pk}/change/")
    page.wait_for_selector(".area-map:not([aria-busy])")
    page.click(".leaflet-draw-edit-edit")
    x, y = middle(page, ".area-map")
    icons = page.locator(".leaflet-marker-icon.leaflet-editing-icon")
    places = [icon.bounding_box() for icon in icons.all()]
    left = min(places, key=lambda box: box["x"] + box["y"])
    drag(page, (left["x"] + 4, left["y"] + 4), (2 * x - left["x"] + 60, y + 20))
    page.wait_for_selector(".map-problem:has-text('cross each other')")
    page.click("input[name=_continue]")
    page.wait_for_timeout(300)
    mill.refresh_from_db()
    assert mill.polygon == before and page.locator("#id_name").is_visible()
    page.keyboard.press("Control+z")
    page.wait_for_selector(".map-problem", state="hidden")
    assert page.locator(".area-undo").is_disabled()
    send(page)
    mill.refresh_from_db()
    assert mill.polygon == before


def test_the_unit_above_is_found_by_typing(page: Page, city: Unit) -> None:
    page.goto("/admin/units/unit/add/")
    page.wait_for_selector(".area-map:not([aria-busy])")
    assert page.locator("#id_parent option").count() <= 1, "no list of all units"
    page.click(".field-parent .select2-selection")
    page.keyboard.type("Harbour")
    page.click("li.select2-results__option:has-text('Lakeside / East / Harbour Street (330102001)')")
    page.wait_for_selector(".map-above")
    page.fill("#id_name", "Quay")
    page.fill("#id_code", "330102001002")
    send(page)
    assert unit_of("330102001002").is_child_of(unit_of("330102001"))


def test_a_unit_is_dragged_in_the_tree_and_a_forbidden_drop_is_told(page: Page, city: Unit) -> None:
    page.goto("/admin/units/unit/")
    page.click("a.treebeard-collapsed")
    page.wait_for_selector(f"text={EAST}")
    row = "#result_list tr:has-text('{}')".format
    drop(page, f"{row(EAST)} .drag-handler", row(WEST), "As Sibling")
    page.wait_for_selector(".messagelist .success")
    assert [unit.name for unit in children(city)] == ["East", "West"]
    page.wait_for_selector(f"text={EAST}")  # the tree is unfolded again
    page.wait_for_timeout(500)
    drop(page, f"{row(EAST)} .drag-handler", row(WEST), "As child")
    page.wait_for_selector("text=Not moved. A district belongs below a city")
    assert [unit.name for unit in children(city)] == ["East", "West"]


def drop(page: Page, start: str, target: str, wanted: str) -> None:
    """Drag over a row, up or down a little until the tree says what letting go would do, then let go."""
    box = page.locator(target).first.bounding_box()
    assert box is not None
    page.mouse.move(*middle(page, start))
    page.mouse.down()
    height = 0.25 if wanted == "As Sibling" else 0.75
    for step in range(40):
        page.mouse.move(box["x"] + 250 + step % 2, box["y"] + box["height"] * height + step % 2)
        page.wait_for_timeout(100)
        if page.locator("#drag-tooltip").text_content() == wanted:
            break
    page.mouse.up()
