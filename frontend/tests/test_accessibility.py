"""axe-core finds no serious fault on any page of the operator. Its script is vendored: MPL 2.0, vendor/README.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.django_db(transaction=True)]
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
GRAVE = ("serious", "critical")
RULES = ["best-practice", "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    """The pages' own policy refuses foreign scripts, axe among them; it is set aside in these tests alone."""
    return browser_context_args | {"bypass_csp": True}


@pytest.fixture
def people(gallery: list[Any], samples: list[str], queue: Any, operator: Any) -> Any:
    return operator


def faults(page: Any) -> list[str]:
    """What axe-core calls serious or critical on the page as it stands, with the element each is on."""
    page.add_script_tag(path=AXE)
    found = page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES)
    assert found["testEngine"]["name"] == "axe-core"
    return [
        f"{fault['id']}: {fault['help']}: {node['html'][:160]} ({node.get('failureSummary', '')[:240]})"
        for fault in found["violations"]
        if fault["impact"] in GRAVE
        for node in fault["nodes"]
    ]


def in_both_schemes(page: Any) -> list[str]:
    """The faults in the light and in the dark colours."""
    light = faults(page)
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(200)
    dark = faults(page)
    page.emulate_media(color_scheme="light")
    return light + [f"dark: {fault}" for fault in dark]


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
    page.keyboard.press("?")
    page.locator("#help[open]").wait_for()
    assert not in_both_schemes(page)


def test_the_list_of_searches_and_a_unit_have_no_serious_fault(
    people: Any, finished: Any, log_in: Any, live_server: Any
) -> None:
    page = log_in("operator")
    page.goto(f"{live_server.url}/searches/")
    assert not in_both_schemes(page)
    page.goto(f"{live_server.url}/units/{finished.unit_id}/")
    assert not in_both_schemes(page)
