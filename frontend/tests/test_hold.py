"""Supervisors decide over a search in its evidence dialog; operators see what was decided."""

from __future__ import annotations

from typing import Any

import pytest

from frontend.tests.test_browser import said

pytestmark = [pytest.mark.django_db(transaction=True)]


def opened(page: Any, live_server: Any, search: Any) -> Any:
    page.goto(f"{live_server.url}/search/{search.pk}")
    page.locator(".hit-item .hit").nth(3).wait_for()
    page.locator("#evidence-open").click()
    return page


def test_a_supervisor_puts_a_search_on_hold_the_operator_reads_why_and_it_is_lifted(
    finished: Any, supervisor: Any, log_in: Any, live_server: Any, screenshot: Any
) -> None:
    page = opened(log_in("supervisor"), live_server, finished)
    page.get_by_text("This search is not on hold.").wait_for()
    page.get_by_label("Reason").fill("Appeal at the district court")
    assert page.get_by_role("button", name="Lift the hold").is_hidden()
    page.get_by_role("button", name="Put on hold").click()
    said(page, "Put on hold.")
    page.get_by_text("by supervisor: Appeal at the district court").wait_for()
    assert page.get_by_label("Reason").input_value() == ""
    screenshot("held")

    opened(log_in("operator"), live_server, finished)
    page.get_by_text("by supervisor: Appeal at the district court").wait_for()
    assert page.locator("#hold-form").is_hidden()
    page.goto(f"{live_server.url}/searches/")
    page.locator(".state", has_text="on hold").wait_for()

    opened(log_in("supervisor"), live_server, finished)
    page.get_by_label("Reason").fill("The judgment is final")
    page.keyboard.press("Enter")
    said(page, "The hold is lifted.")
    assert finished.holds.get().lift_reason == "The judgment is final"
    opened(log_in("operator"), live_server, finished)
    page.locator("#evidence-none").wait_for()
    assert page.locator("#hold").is_hidden()


def test_what_is_refused_meanwhile_is_said_in_the_dialog(
    finished: Any, supervisor: Any, log_in: Any, live_server: Any
) -> None:
    from citysearch.cases.holding import hold_place

    page = opened(log_in("supervisor"), live_server, finished)
    page.get_by_text("This search is not on hold.").wait_for()
    hold_place(finished, supervisor, "by a colleague")
    page.get_by_label("Reason").fill("late")
    page.get_by_role("button", name="Put on hold").click()
    page.locator("#hold-error", has_text="This search is on hold already.").wait_for()
    supervisor.memberships.update(role="operator")
    page.get_by_role("button", name="Put on hold").click()
    page.locator("#hold-error", has_text="Only a supervisor of the searched unit can do that.").wait_for()


def test_an_operator_asks_for_an_export_a_supervisor_refuses_one_and_approves_the_next(
    finished: Any, operator: Any, supervisor: Any, log_in: Any, live_server: Any, screenshot: Any
) -> None:
    from citysearch.cases.services import evidence_add

    first, second = finished.candidates.values_list("crop", flat=True)[:2]
    evidence_add(finished, first, operator)
    page = opened(log_in("operator"), live_server, finished)
    page.get_by_text("The export needs a supervisor’s approval of exactly this evidence.").wait_for()
    page.get_by_role("button", name="Ask for the export").click()
    said(page, "The export is asked for. A supervisor of the unit has to approve it.")
    page.locator("#approval-words", has_text="Asked for on").wait_for()
    assert page.get_by_role("button", name="Ask for the export").is_disabled()

    opened(log_in("supervisor"), live_server, finished)
    page.get_by_text("operator asks for an export of 1 piece").wait_for()
    screenshot("asked")
    page.get_by_role("button", name="Refuse").click()
    page.locator("#approval-error", has_text="Say why it is refused.").wait_for()
    page.get_by_label("Reason for refusing").fill("Not without an order of the court")
    page.get_by_role("button", name="Refuse").click()
    said(page, "The export is refused.")
    assert page.locator("#approval").is_hidden() and page.locator("#approval-error").is_hidden()

    opened(log_in("operator"), live_server, finished)
    page.locator("#approval-words", has_text="Not without an order of the court").wait_for()
    page.get_by_role("button", name="Ask for the export").click()
    said(page, "The export is asked for. A supervisor of the unit has to approve it.")

    opened(log_in("supervisor"), live_server, finished)
    page.get_by_text("operator asks for an export").wait_for()
    evidence_add(finished, second, supervisor)
    page.get_by_role("button", name="Approve").click()
    page.locator("#approval-error", has_text="It has to be asked for anew.").wait_for()
    opened(log_in("operator"), live_server, finished)
    page.get_by_text("The export needs a supervisor’s approval").wait_for()
    page.get_by_role("button", name="Ask for the export").click()
    said(page, "The export is asked for. A supervisor of the unit has to approve it.")
    opened(log_in("supervisor"), live_server, finished)
    page.get_by_text("operator asks for an export of 2 pieces").wait_for()
    page.get_by_role("button", name="Approve").click()
    said(page, "The export is approved.")
    opened(log_in("operator"), live_server, finished)
    page.get_by_text("Approved by supervisor").wait_for()
    with page.expect_download():
        page.get_by_role("button", name="Export as a ZIP").click()
