"""An operator's export needs a supervisor's approval of exactly that evidence; a supervisor's own needs nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from citysearch.cases.approving import NotApproved, export_ask, exported_crops
from citysearch.cases.models import ExportRequest, LogEntry
from citysearch.cases.services import evidence_add, evidence_export, evidence_remove
from citysearch.searches.models import Search
from citysearch.searches.tests.conftest import client_of


def export_of(search: Search) -> str:
    return f"/api/v1/searches/{search.pk}/export/"


@pytest.fixture
def crops(found: Search, operator: Any) -> list[int]:
    """Two hits that are evidence, and a third that is not."""
    chosen = sorted(found.candidates.values_list("crop", flat=True)[:3])
    for crop in chosen[:2]:
        evidence_add(found, crop, operator)
    return chosen


@pytest.fixture
def asked(found: Search, crops: list[int], api: Any) -> int:
    """The id of the request of an operator who wants to export them."""
    assert api.post(export_of(found)).status_code == 202
    return int(ExportRequest.objects.get().pk)


@pytest.fixture
def boss(supervisor: Any) -> Any:
    return client_of(supervisor)


def decide(client: Any, search: Search, request: int, approved: bool = True, **said: str) -> Any:
    return client.post(export_of(search) + "decision/", {"request": request, "approved": approved, **said})


def actions() -> list[str]:
    names = ("ask", "approve", "refuse", "export")
    return list(LogEntry.objects.filter(action__in=names).order_by("id").values_list("action", flat=True))


def test_an_export_is_asked_for_once_approved_and_given_as_often_as_it_is_wanted(
    found: Search, crops: list[int], api: Any, boss: Any, operator: Any
) -> None:
    assert api.get(export_of(found)).json()["state"] == "needed"
    with pytest.raises(NotApproved):
        evidence_export(found, operator)
    for _time in range(2):
        answer = api.post(export_of(found))
        assert (answer.status_code, answer.json()["state"]) == (202, "asked")
    assert answer.json()["requests"] == [], "what waits is a supervisor's to read"
    state = boss.get(export_of(found)).json()
    [request] = state["requests"]
    assert state["state"] == "free"
    assert (request["user"], request["crops"], request["changed"]) == ("operator", crops[:2], False)

    assert decide(boss, found, request["id"]).json()["requests"] == []
    state = api.get(export_of(found)).json()
    assert (state["state"], state["user"]) == ("approved", "supervisor")
    for _time in range(2):
        assert api.post(export_of(found))["Content-Type"] == "application/zip"
    assert actions() == ["ask", "approve", "export", "export"]
    line = LogEntry.objects.get(action="approve")
    assert (line.user, line.details) == ("supervisor", {"asked_by": "operator", "crops": crops[:2]})
    call_command("verify_audit", verbosity=0)


def test_a_refusal_says_why_and_pressing_again_asks_again(found: Search, asked: int, api: Any, boss: Any) -> None:
    answer = decide(boss, found, asked, approved=False)
    assert answer.status_code == 400 and answer.json()["error"]["fields"] == {"reason": ["Say why it is refused."]}
    assert decide(boss, found, asked, approved=False, reason="No order of the court").status_code == 200
    state = api.get(export_of(found)).json()
    assert (state["state"], state["user"], state["reason"]) == ("refused", "supervisor", "No order of the court")
    assert decide(boss, found, asked).status_code == 409, "decided is decided"
    assert api.post(export_of(found)).json()["state"] == "asked"
    assert actions() == ["ask", "refuse", "ask"]
    assert LogEntry.objects.get(action="refuse").details["reason"] == "No order of the court"


@pytest.mark.parametrize("more", [True, False])
def test_other_evidence_needs_another_approval(
    found: Search, crops: list[int], asked: int, api: Any, boss: Any, operator: Any, more: bool
) -> None:
    decide(boss, found, asked)
    if more:
        api.post(f"/api/v1/searches/{found.pk}/verdicts/", {"crop": crops[2], "verdict": "confirmed"})
    else:
        evidence_remove(found, crops[0], operator)
    assert api.get(export_of(found)).json()["state"] == "needed"
    assert api.post(export_of(found)).status_code == 202
    [request] = boss.get(export_of(found)).json()["requests"]
    assert request["crops"] == (crops if more else crops[1:2])


def test_what_changed_while_it_waited_cannot_be_approved_and_is_replaced_when_asked_anew(
    found: Search, crops: list[int], asked: int, api: Any, boss: Any, operator: Any
) -> None:
    evidence_add(found, crops[2], operator)
    assert boss.get(export_of(found)).json()["requests"][0]["changed"]
    answer = decide(boss, found, asked)
    assert answer.status_code == 409 and "has to be asked for anew" in answer.json()["error"]["message"]
    assert api.post(export_of(found)).status_code == 202
    assert decide(boss, found, asked, approved=False, reason="late").status_code == 409
    [request] = boss.get(export_of(found)).json()["requests"]
    assert request["crops"] == crops and ExportRequest.objects.get(pk=asked).state == "replaced"
    decide(boss, found, request["id"])
    assert api.post(export_of(found))["Content-Type"] == "application/zip"


def test_a_supervisors_own_export_needs_nobody_and_nobody_elses_approval_is_ones_own(
    found: Search, crops: list[int], asked: int, boss: Any, city: Any
) -> None:
    from conftest import make_user

    assert boss.post(export_of(found))["Content-Type"] == "application/zip"
    assert actions() == ["ask", "export"]
    decide(boss, found, asked)
    colleague = client_of(make_user("colleague", "operator", city))
    assert colleague.post(export_of(found)).status_code == 202


def test_only_supervisors_of_the_unit_decide(
    found: Search, asked: int, api: Any, boss: Any, operator_east: Any, administrator: Any, stranger: Any
) -> None:
    answer = decide(api, found, asked)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "supervisors_only")
    for user in (operator_east, administrator, stranger):
        assert decide(client_of(user), found, asked).status_code == 404
        assert client_of(user).get(export_of(found)).status_code == 404
    assert decide(boss, found, asked + 1).status_code == 404
    assert ExportRequest.objects.get().state == "asked" and actions() == ["ask"]


def test_who_may_no_longer_see_the_evidence_gets_no_approval(
    found: Search, asked: int, boss: Any, operator: Any
) -> None:
    operator.memberships.all().delete()
    assert exported_crops(found, operator) == []
    assert decide(boss, found, asked).status_code == 409


def test_nothing_is_asked_for_without_evidence(found: Search, api: Any) -> None:
    assert api.post(export_of(found)).status_code == 409
    assert not ExportRequest.objects.exists()


def test_two_who_press_at_once_ask_once(
    found: Search, crops: list[int], operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from citysearch.cases import approving

    monkeypatch.setattr(approving, "_latest", lambda *_facts: None)
    create = ExportRequest.objects.create

    def overtaken(**fields: Any) -> ExportRequest:
        monkeypatch.undo()
        create(**fields)
        return create(**fields)

    monkeypatch.setattr(ExportRequest.objects, "create", overtaken)
    ExportRequest.objects.bulk_create([ExportRequest(search=found, user=operator, crops=[1])])
    assert export_ask(found, operator, crops[:2])
    assert ExportRequest.objects.filter(state="asked").count() == 1


def test_the_administration_lists_requests_and_the_list_of_searches_marks_them(
    found: Search, asked: int, administrator: Any, supervisor: Any, client: Client
) -> None:
    client.force_login(administrator)
    page = client.get("/admin/cases/exportrequest/").content.decode()
    assert "2026-17" in page and "asked for" in page
    assert client.get(f"/admin/cases/exportrequest/{asked}/change/").status_code == 200
    assert client.post(f"/admin/cases/exportrequest/{asked}/change/", {"state": "approved"}).status_code == 403
    client.force_login(supervisor)
    assert 'data-state="asked">export asked for<' in client.get("/searches/?whose=all").content.decode()
