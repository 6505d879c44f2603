"""axe-core finds no serious fault on any page of the operator. Its script is vendored: MPL 2.0, vendor/README.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from citysearch.searches.models import Search
from citysearch.searches.tests import cast

pytestmark = [pytest.mark.django_db(transaction=True)]
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
GRAVE = ("serious", "critical")
RULES = ["best-practice", "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# The dark scheme changes colours and nothing else; these are the rules that look at colours.
COLOUR_RULES = ["color-contrast", "link-in-text-block"]


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    """The pages' own policy refuses foreign scripts, axe among them; it is set aside in these tests alone."""
    return browser_context_args | {"bypass_csp": True}


@pytest.fixture(autouse=True, params=["en", pytest.param("zh-hans", marks=pytest.mark.slow)])
def language(request: pytest.FixtureRequest, desk: Any, live_server: Any) -> str:
    """The pages speak English, and in the slow suite Chinese."""
    desk.context.add_cookies([{"name": "django_language", "value": request.param, "url": live_server.url}])
    return str(request.param)


# Two frames on, transitions have begun; a colour on its way is none of either scheme. Endless animations are left.
SETTLED = """async () => {
  await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  const moving = document.getAnimations().filter((animation) => animation instanceof CSSTransition);
  await Promise.allSettled(moving.map((animation) => animation.finished));
}"""


@pytest.fixture
def people(gallery: list[Any], samples: list[str], queue: Any, operator: Any) -> Any:
    return operator


def faults(page: Any, rules: list[str] = RULES) -> list[str]:
    """What axe-core calls serious or critical on the page as it stands, with the element each is on.

    A running search's progress is swapped in each second, under axe's eyes too: what it finds it has to find again.
    """
    if not page.evaluate("() => 'axe' in window"):
        page.add_script_tag(path=AXE)
    return looked_at(page, rules) and looked_at(page, rules)


def looked_at(page: Any, rules: list[str]) -> list[str]:
    page.evaluate(SETTLED)
    found = page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", rules)
    assert found["testEngine"]["name"] == "axe-core"
    return [
        f"{fault['id']}: {fault['help']}: {node['html'][:160]} ({node.get('failureSummary', '')[:240]})"
        for fault in found["violations"]
        if fault["impact"] in GRAVE
        for node in fault["nodes"]
    ]


def in_both_schemes(page: Any) -> list[str]:
    """The faults in the dark and in the light colours; the page stays light."""
    page.emulate_media(color_scheme="dark")
    dark = faults(page, COLOUR_RULES)
    page.emulate_media(color_scheme="light")
    return [f"dark: {fault}" for fault in dark] + faults(page)


def test_axe_sees_a_fault_where_there_is_one(desk: Any, live_server: Any) -> None:
    desk.goto(f"{live_server.url}/login/")
    desk.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert any(fault.startswith("button-name") for fault in faults(desk))


def test_the_login_has_no_serious_fault(desk: Any, live_server: Any) -> None:
    desk.goto(f"{live_server.url}/login/")
    assert not in_both_schemes(desk)


def test_the_empty_search_page_has_no_serious_fault(people: Any, log_in: Any) -> None:
    page = log_in("operator")
    page.wait_for_selector("#map[data-unit=top]", state="attached")
    assert not in_both_schemes(page)


def test_a_finished_search_has_no_serious_fault(people: Any, finished: Any, log_in: Any, live_server: Any) -> None:
    page = log_in("operator")
    page.goto(f"{live_server.url}/search/{finished.pk}")
    page.locator(".stop-marker span").first.wait_for()
    page.locator(".hit-item").nth(3).wait_for()
    page.keyboard.press("j")
    assert not in_both_schemes(page)
    page.keyboard.press(" ")
    page.locator("#compare[open]").wait_for()
    assert not in_both_schemes(page)
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    page.locator("#evidence-open").click()
    page.locator("#evidence-list li").wait_for()
    assert not in_both_schemes(page)
    page.keyboard.press("Escape")
    page.locator(".photo-open").click()
    page.locator("#cropper[open]").wait_for()
    assert not in_both_schemes(page)
    page.keyboard.press("Escape")
    page.locator(".photo-place").click()
    page.locator("#taken[open]").wait_for()
    assert not in_both_schemes(page)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.locator("#help[open]").wait_for()
    assert not in_both_schemes(page)
    page.goto(f"{live_server.url}/search/{finished.pk}/evidence")
    assert not in_both_schemes(page)


def test_what_a_supervisor_decides_in_the_evidence_has_no_serious_fault(
    people: Any, finished: Any, operator: Any, supervisor: Any, log_in: Any, live_server: Any
) -> None:
    from citysearch.cases.holding import hold_place
    from citysearch.cases.services import evidence_add, evidence_ask

    evidence_add(finished, finished.candidates.first().crop_id, operator)
    assert evidence_ask(finished, operator)
    page = log_in("supervisor")
    for held in (False, True):
        page.goto(f"{live_server.url}/search/{finished.pk}")
        page.locator(".hit-item").nth(3).wait_for()
        page.locator("#evidence-open").click()
        page.locator("#hold-form").wait_for()
        page.locator("#approval-list form").wait_for()
        assert not in_both_schemes(page)
        if not held:
            hold_place(finished, supervisor, "Appeal at the district court")


def test_the_list_of_searches_and_a_unit_have_no_serious_fault(
    people: Any, finished: Any, log_in: Any, live_server: Any
) -> None:
    page = log_in("operator")
    page.goto(f"{live_server.url}/searches/")
    assert not in_both_schemes(page)
    page.goto(f"{live_server.url}/searches/compare?with={finished.pk}&with={finished.pk}")
    assert not in_both_schemes(page)
    page.goto(f"{live_server.url}/units/{finished.unit_id}/")
    assert not in_both_schemes(page)


def see(page: Any, state: str) -> None:
    page.wait_for_selector(f'#main[data-state="{state}"]', state="attached")


def test_no_state_of_a_search_has_a_serious_fault(
    people: Any, start: Any, queue: Any, log_in: Any, live_server: Any, city: Any, gallery: list[Any]
) -> None:
    page = log_in("operator")
    page.locator("#search-button").click()
    page.locator("#photos-error").wait_for()
    found = {"blocked": in_both_schemes(page)}
    search = start(people, city)
    page.goto(f"{live_server.url}/search/{search.pk}")
    see(page, "queued")
    found["queued"] = in_both_schemes(page)
    queue.step()
    see(page, "running")
    found["running"] = in_both_schemes(page)
    queue.step()
    page.locator(".hit-item").first.wait_for()
    found["partial"] = in_both_schemes(page)
    queue.run()
    see(page, "done")
    cast.walk(gallery[:1], (7,))
    cast.index(gallery[:1], search.model_version)
    page.locator("[data-act=rerun]").wait_for()
    page.locator("#itinerary-toggle").click()
    page.locator(".gap-button").first.click()
    page.locator("#reach-show").check()
    page.locator("#reach-result p").first.wait_for()
    found["stale"] = in_both_schemes(page)
    error = {"code": "store_corrupt", "stage": "match", "message": "segment 3", "kept": 0}
    Search.objects.filter(pk=search.pk).update(state="failed", stage="match", error=error)
    see(page, "failed")
    found["failed"] = in_both_schemes(page)
    stranger = start(people, city, person=50)
    queue.run()
    page.goto(f"{live_server.url}/search/{stranger.pk}")
    page.locator("[data-act=show-all]").wait_for()
    found["none"] = in_both_schemes(page)
    assert not {state: faults for state, faults in found.items() if faults}


def test_drawing_guide_and_refusal_have_no_serious_fault(
    people: Any, log_in: Any, administrator: Any, desk: Any
) -> None:
    page = log_in("operator")
    page.wait_for_selector("#map[data-unit=top]", state="attached")
    page.locator("[data-guide]").first.click()
    found = {"guide": in_both_schemes(page)}
    page.keyboard.press("Escape")
    page.locator("#conditions summary").click()
    page.locator("[data-preset]").first.click()
    page.locator("#area-draw").click()
    for key in ("Enter", "ArrowLeft", "Enter", "ArrowDown", "Enter"):
        page.keyboard.press(key)
        page.wait_for_timeout(350)
    found["drawing"] = in_both_schemes(page)
    page.keyboard.press("f")
    page.locator(".leaflet-editing-icon").first.wait_for()
    found["drawn"] = in_both_schemes(page)
    desk.context.clear_cookies()
    page = log_in("administrator")
    page.locator("#refused").wait_for()
    found["refused"] = in_both_schemes(page)
    assert not {name: faults for name, faults in found.items() if faults}
