"""Photos with boxes, hits, verdicts of two, evidence, history and comparison: in the browser."""

from __future__ import annotations

import re
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


@pytest.fixture
def opened(stage: Any, finished: Any, log_in: Any, live_server: Any) -> Any:
    """The page of a finished search, ready for keys."""
    page = log_in("operator")
    page.goto(f"{live_server.url}/search/{finished.pk}")
    page.locator(".hit-item .hit").nth(3).wait_for()
    return page


def test_evidence_is_kept_by_a_key_seen_by_a_colleague_exported_and_printed(
    opened: Any, finished: Any, supervisor: Any, tmp_path: Path, screenshot: Any
) -> None:
    from django.core.management import call_command

    from citysearch.cases.approving import export_decide
    from citysearch.cases.models import LogEntry
    from citysearch.cases.services import evidence_add

    page = opened
    page.keyboard.press("e")
    said(page, "Choose a hit first: J takes the next one.")
    page.keyboard.press("j")
    page.keyboard.press("e")
    said(page, "Added to the evidence.")
    page.locator("[data-act=keep][aria-pressed=true]").wait_for()
    page.keyboard.press("e")
    said(page, "Taken from the evidence.")
    page.keyboard.press("j")
    page.keyboard.press("e")
    said(page, "Added to the evidence.")
    last = page.locator(".hit-item").nth(3).get_attribute("data-key")
    evidence_add(finished, int(last), supervisor)

    page.get_by_role("button", name="Evidence 1").click()
    page.locator("#evidence-list", has_text="added by supervisor").wait_for()
    page.get_by_role("button", name="Ask for the export").click()
    page.get_by_text("A supervisor of the unit has to approve it.").first.wait_for()
    export_decide(finished, finished.export_requests.get().pk, supervisor, approved=True)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Evidence 2").click()
    page.get_by_text("Approved by supervisor").wait_for()
    screenshot("evidence")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as a ZIP").click()
    download.value.save_as(tmp_path / "case.zip")
    call_command("verify_export", tmp_path / "case.zip", verbosity=0)
    with page.context.expect_page() as paper:
        page.get_by_role("link", name="Page for printing").click()
    paper.value.get_by_text("Appearance match, not identification.").wait_for()
    until(paper.value, "[...document.images].length === 3 && [...document.images].every(one => one.naturalWidth > 0)")
    actions = list(LogEntry.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["search", "keep", "drop", "keep", "keep", "ask", "approve", "export", "print"]


def test_a_case_is_exported_from_my_searches(
    finished: Any, supervisor: Any, log_in: Any, live_server: Any, tmp_path: Path, screenshot: Any
) -> None:
    from django.core.management import call_command

    from citysearch.cases.services import evidence_add

    page = log_in("supervisor")
    page.goto(f"{live_server.url}/searches/?whose=all")
    page.get_by_label("Case", exact=True).select_option(finished.case)
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("button", name="Export the case").click()
    page.get_by_role("alert").get_by_text("No search of this case that you may see has evidence yet.").wait_for()
    assert page.get_by_label("Case", exact=True).input_value() == finished.case
    evidence_add(finished, finished.candidates.first().crop_id, supervisor)
    screenshot("case")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export the case").click()
    download.value.save_as(tmp_path / "case.zip")
    call_command("verify_export", tmp_path / "case.zip", verbosity=0)


def test_a_hit_is_enlarged_to_its_original_and_explained(opened: Any, finished: Any, screenshot: Any) -> None:
    from citysearch.cases.models import LogEntry
    from citysearch.searches.photos import photo_file, photos_folder

    page = opened
    page.keyboard.press("j")
    crop = page.locator(".hit-item").first.get_attribute("data-key")
    sheet = photos_folder(finished.pk) / f"explanation-{crop}-0.png"
    sheet.write_bytes(photo_file(finished.photos.get()).read_bytes())
    page.keyboard.press(" ")
    until(page, "document.getElementById('compare-crop').src.includes('/image/?signature=')")
    assert LogEntry.objects.last().details["crop"] == int(crop)
    page.keyboard.press("x")
    page.get_by_text("Photo, its map, the hit's map, the hit.").wait_for()
    assert page.locator("#compare-body").is_hidden()
    page.keyboard.press("x")
    assert page.locator("#compare-sheet").is_hidden() and page.locator("#compare-body").is_visible()


def test_two_operators_see_each_others_verdicts_and_none_is_lost(
    opened: Any, finished: Any, queue: Any, supervisor: Any, browser: Any, browser_context_args: Any, live_server: Any
) -> None:
    from django.test import Client

    client = Client()
    client.force_login(supervisor)
    with browser.new_context(**browser_context_args) as context:
        cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
        context.add_cookies([cookie])
        other = context.new_page()
        other.goto(f"{live_server.url}/search/{finished.pk}")
        other.locator(".hit-item .hit").nth(3).wait_for()
        mine, theirs = (page.locator(".hit-item") for page in (opened, other))
        first, last = mine.nth(0).get_attribute("data-key"), mine.nth(3).get_attribute("data-key")
        opened.locator(f"[data-key='{first}'] .yes").click()
        theirs.nth(3).locator(".no").click()
        for page in (opened, other):
            page.locator(f"[data-key='{first}'] .hit[data-verdict=confirmed]").wait_for()
            page.locator(".hit[data-verdict=rejected]").wait_for()
        queue.run()
        until(other, "document.getElementById('progress').dataset.revision.split('.').at(-1) !== '0'")
    said = dict(finished.verdicts.values_list("crop", "user__username"))
    assert said[int(first)] == "operator" and said[int(last)] == "supervisor"


def test_two_thousand_hits_have_their_places_and_only_those_in_sight_are_drawn(opened: Any, finished: Any) -> None:
    from citysearch.searches.queries import hits

    page = opened
    pattern = "**/api/v1/searches/*/hits/?*"
    first = hits(finished)[0]
    rows = [
        first | {"rank": n, "crop": n, "sighting": n, "burst": [n], "image": f"/api/v1/crops/{n}/thumbnail/"}
        for n in range(1, 2001)
    ]

    def answer(route: Any) -> None:
        number = int((re.search(r"[?&]page=(\d+)", route.request.url) or [0, 1])[1])
        more = "more" if number < 4 else None
        body = {"count": 2000, "next": more, "previous": None, "state": "done", "sightings": 2000, "crops": 2000}
        route.fulfill(json=body | {"results": rows[500 * number - 500 : 500 * number]})

    page.route(pattern, answer)
    page.route("**/thumbnail/", lambda route: route.fulfill(status=204))
    page.reload()
    until(page, "document.querySelector('.hit-item')?.ariaSetSize === '2000'")
    height = page.evaluate("document.getElementById('results-scroll').scrollHeight")
    page.evaluate(
        """() => {
          const [box, list] = [document.getElementById("results-scroll"), document.getElementById("hits")];
          box.scrollTop = list.offsetTop + (1499 / 2000) * list.offsetHeight;
        }"""
    )
    until(page, "document.querySelector('[aria-posinset=\"1500\"] .hit') !== null")
    assert page.evaluate("document.getElementById('results-scroll').scrollHeight") == height, "nothing jumps"
    assert page.locator(".hit-item").count() < 80, "what nobody sees costs no frame: it has no element"
    assert page.locator('[aria-posinset="1500"]').get_attribute("aria-setsize") == "2000"

    flown = """async () => {
      const box = document.getElementById("results-scroll");
      const bare = () => document.querySelectorAll(".hit-item .crop-picture:not([src])").length;
      for (let step = 0; step < 3; step += 1) {
        box.scrollTop = 9000 * (step + 1);
        await new Promise(requestAnimationFrame);
      }
      return bare();
    }"""
    assert page.evaluate(flown) > 0, "a picture that flies past is not asked for"
    until(page, "!document.querySelector('.hit-item .crop-picture:not([src])')")
    assert page.locator(".hit-item .crop-picture[hidden]").count() == 0
    page.evaluate(
        """() => {
          const [box, list] = [document.getElementById("results-scroll"), document.getElementById("hits")];
          box.scrollTop = list.offsetTop + (1499 / 2000) * list.offsetHeight;
        }"""
    )
    until(page, "document.querySelector('[aria-posinset=\"1500\"] .hit') !== null")

    rows[:] = [row | {"rank": n} for n, row in enumerate(reversed(rows), start=1)]
    page.evaluate(
        """() => {
          window.lowest = Infinity;
          const list = document.getElementById("hits");
          const measure = () => (window.lowest = Math.min(window.lowest, list.offsetHeight));
          new MutationObserver(measure).observe(list, { childList: true, attributes: true });
          const progress = document.getElementById("progress");
          progress.dataset.revision = "scored again";
          document.body.dispatchEvent(new CustomEvent("htmx:afterSwap", { detail: { target: progress } }));
        }"""
    )
    # Rank 1500 is the hit that was 501st, on the page that is read third.
    until(page, "document.querySelector('[aria-posinset=\"1500\"]')?.dataset.key === '501'")
    until(page, f"document.getElementById('results-scroll').scrollHeight === {height}")
    assert page.evaluate("window.lowest") > height * 0.7, "a new scoring does not take away what one looks at"


def test_two_searches_are_chosen_from_the_history_and_compared(
    start: Any, queue: Any, operator: Any, supervisor: Any, city: Any, cameras: list[Any], client: Any
) -> None:
    from units.models import Unit

    whole = start(operator, city, case="A-1")
    west = start(operator, Unit.objects.get(code="330101"), case="B-2")
    start(supervisor, city, case="C-3")
    queue.run()
    client.force_login(operator)
    mine = client.get("/searches/").content.decode()
    assert "A-1" in mine and mine.count('name="with"') == 2
    assert client.get("/searches/?whose=all").content.decode().count('name="with"') == 3
    assert client.get("/searches/?case=B-2&state=done").content.decode().count('name="with"') == 1
    assert client.get("/searches/?state=failed").content.decode().count('name="with"') == 0

    page = " ".join(client.get(f"/searches/compare?with={whole.pk}&with={west.pk}").content.decode().split())
    assert "Found by both: 2 sightings" in page
    assert "Only in A: 2" in page and "Only in B: 0" in page
    for wrong in ("", f"?with={whole.pk}", "?with=x&with=y", f"?with={whole.pk}&with={west.pk}&with={west.pk}"):
        answer = client.get(f"/searches/compare{wrong}")
        assert answer.status_code == 400 and "Choose two searches to compare." in answer.content.decode()


def test_a_search_is_run_again_from_the_history_and_nobody_elses_can_be(
    finished: Any, operator: Any, operator_east: Any, client: Any
) -> None:
    client.force_login(operator_east)
    assert client.post(f"/search/{finished.pk}/again").status_code == 404
    assert client.get(f"/searches/compare?with={finished.pk}&with={finished.pk}").status_code == 404
    client.force_login(operator)
    answer = client.post(f"/search/{finished.pk}/again")
    assert answer.status_code == 302 and answer["Location"].startswith("/search/")
    assert answer["Location"] != f"/search/{finished.pk}"
