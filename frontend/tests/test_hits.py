"""Photos with boxes, hits, verdicts of two, evidence, history and comparison: in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from frontend.tests.test_browser import press_search, said, until

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def stage(gallery: list[Any], samples: list[str], queue: Any, operator: Any) -> Any:
    """Everything the operator's page needs, before the browser is opened."""
    return queue


def scene(*people: int) -> bytes:
    """Walkers of the demo city side by side in a wide, plain street."""
    import io

    from PIL import Image

    from citysearch.demo.drawing import draw_sample

    ground = Image.linear_gradient("L").resize((900, 420)).convert("RGB")
    for place, person in enumerate(people):
        ground.paste(draw_sample(7, person).resize((170, 340)), (150 + 380 * place, 40))
    buffer = io.BytesIO()
    ground.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_whole_scene_gets_a_box_by_itself_by_choice_or_by_hand(
    stage: Any, log_in: Any, screenshot: Any, tmp_path: Path
) -> None:
    (tmp_path / "one.png").write_bytes(scene(2))
    (tmp_path / "two.png").write_bytes(scene(2, 5))
    page = log_in("operator")
    page.locator("#photo-input").set_input_files(tmp_path / "one.png")
    said(page, "One person was found on the photo and boxed. Open the photo to change the box.")
    page.locator("#photo-input").set_input_files(tmp_path / "two.png")
    page.locator("#photo-notes", has_text="2 people are on it: choose one.").wait_for()

    page.locator(".photo-open").nth(1).click()
    page.get_by_role("button", name="Person 2").click()
    screenshot("cropper")
    page.get_by_role("button", name="Compare this part").click()
    until(page, "!document.getElementById('photo-notes').textContent.includes('2 people')")

    page.locator(".photo-open").nth(1).click()
    frame = page.locator("#crop-frame").bounding_box()
    page.mouse.move(frame["x"] + frame["width"] * 0.1, frame["y"] + frame["height"] * 0.05)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.4, frame["y"] + frame["height"] * 0.95)
    page.mouse.up()
    drawn = page.locator("#crop-size").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator("#crop-size").inner_text() == drawn, "moved, not sized"
    page.keyboard.press("Shift+ArrowLeft")
    assert page.locator("#crop-size").inner_text() != drawn
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Compare this part").click()

    page.get_by_label("Case", exact=True).fill("2026-17")
    page.get_by_label("Purpose").fill("Missing person")
    page.locator("#tree .node").first.locator(".node-name").first.click()
    page.wait_for_selector(".chosen.set")
    first, second = press_search(page).photos.order_by("position")
    assert abs((first.box[0] + first.box[2]) / 2 - 235) < 40
    left, top, right, bottom = second.box
    assert abs(left - 99) < 9 and abs(right - 360) < 9 and abs(top - 21) < 9 and abs(bottom - 399) < 9
    stage.run()
    page.wait_for_selector('#main[data-state="done"]')
    page.reload()
    until(page, "[...document.querySelectorAll('.photo img')].filter(i => i.src.startsWith('blob:')).length === 2")
