"""A search on hold: its evidence and photos outlive retention and erasure until a supervisor lifts the hold."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from citysearch.cases.models import Hold, LogEntry
from citysearch.cases.services import evidence_add, evidence_remove
from citysearch.gallery import files
from citysearch.gallery.models import Crop
from citysearch.gallery.services import crops_erase, crops_purge
from citysearch.searches.models import Search
from citysearch.searches.photos import photos_folder
from citysearch.searches.tests.conftest import client_of
from units.models import Unit

LATER = timezone.now() + timedelta(days=40000)


def hold_of(search: Search) -> str:
    return f"/api/v1/searches/{search.pk}/hold/"


@pytest.fixture
def evidence(found: Search, operator: Any, api: Any) -> list[int]:
    """One hit added, another one confirmed."""
    added, confirmed = found.candidates.values_list("crop", flat=True)[:2]
    evidence_add(found, added, operator)
    api.post(f"/api/v1/searches/{found.pk}/verdicts/", {"crop": confirmed, "verdict": "confirmed"})
    return sorted([added, confirmed])


@pytest.fixture
def held(found: Search, evidence: list[int], supervisor: Any) -> Search:
    """That search, put on hold."""
    answer = client_of(supervisor).post(hold_of(found), {"reason": "Appeal at the district court"})
    assert answer.status_code == 200, answer.content
    return found


def test_a_hold_is_placed_seen_by_all_and_lifted_with_reasons_that_the_log_keeps(
    held: Search, evidence: list[int], api: Any, supervisor: Any
) -> None:
    seen = api.get(hold_of(held)).json()
    assert (seen["held"], seen["user"], seen["reason"]) == (True, "supervisor", "Appeal at the district court")
    assert seen["since"] and not seen["may_change"]
    boss = client_of(supervisor)
    assert boss.get(hold_of(held)).json()["may_change"]
    again = boss.post(hold_of(held), {"reason": "once more"})
    assert (again.status_code, again.json()["error"]["message"]) == (409, "This search is on hold already.")
    assert boss.delete(hold_of(held), {"reason": " "}).json()["error"]["fields"].keys() == {"reason"}
    assert boss.delete(hold_of(held), {"reason": "Judgment is final"}).json()["held"] is False
    assert boss.delete(hold_of(held), {"reason": "Judgment is final"}).status_code == 409
    lines = LogEntry.objects.filter(action__in=["hold", "lift"]).values_list("action", "user", "details")
    assert list(lines) == [
        ("hold", "supervisor", {"reason": "Appeal at the district court", "crops": evidence}),
        ("lift", "supervisor", {"reason": "Judgment is final"}),
    ]
    row = Hold.objects.get()
    assert (row.user, row.lifted_by, row.lift_reason) == (supervisor, supervisor, "Judgment is final")
    assert boss.post(hold_of(held), {"reason": "A new appeal"}).json()["held"] and Hold.objects.count() == 2
    call_command("verify_audit", verbosity=0)


def test_only_supervisors_of_the_unit_or_above_decide(
    held: Search, api: Any, operator_east: Any, administrator: Any, stranger: Any, auditor: Any
) -> None:
    for verb in ("post", "delete"):
        answer = getattr(api, verb)(hold_of(held), {"reason": "mine"})
        assert answer.status_code == 403
        assert answer.json()["error"]["message"] == "Only a supervisor of the searched unit can do that."
        for user in (operator_east, administrator, stranger, auditor):
            assert getattr(client_of(user), verb)(hold_of(held), {"reason": "mine"}).status_code == 404
    operator_east.memberships.update(role="supervisor")
    assert client_of(operator_east).get(hold_of(held)).status_code == 404, "he supervises a part of the unit only"
    assert Hold.objects.filter(lifted_at=None).count() == 1


def test_the_purge_leaves_what_is_held_and_says_so(
    held: Search, evidence: list[int], supervisor: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    would = crops_purge(now=LATER, dry_run=True)
    assert (would.erased["crops"], sorted(would.holds)) == (34, evidence)
    report = crops_purge(now=LATER)
    assert report.as_dict()["held"] == 2 and report.erased["crops"] == 34 and report.is_complete
    assert report.erased["photos"] == 0 and report.left["photos"] == 0 and photos_folder(held.pk).exists()
    assert sorted(Crop.objects.values_list("pk", flat=True)) == evidence
    assert all(files.picture_path(crop.image).exists() for crop in Crop.objects.all())
    held.refresh_from_db()
    assert held.features is not None and sorted(held.candidates.values_list("crop", flat=True)) == evidence

    Unit.objects.filter(depth=1).update(retention_days=1)
    call_command("purge_gallery", "--dry-run")
    printed = capsys.readouterr().out
    assert "0 crops are older" in printed and "2 more are on hold and stay:" in printed
    assert "Evidence of case 2026-17 is on hold since" in printed and "by supervisor" in printed

    client_of(supervisor).delete(hold_of(held), {"reason": "over"})
    report = crops_purge(now=LATER)
    assert (report.erased["crops"], report.erased["photos"], report.as_dict()["held"]) == (2, 1, 0)
    assert not Crop.objects.exists() and not photos_folder(held.pk).exists()


def test_what_is_taken_from_the_evidence_stays_held_and_what_is_added_is_held_too(
    held: Search, evidence: list[int], operator: Any, api: Any
) -> None:
    evidence_remove(held, evidence[0], operator)
    evidence_remove(held, evidence[1], operator)
    api.post(f"/api/v1/searches/{held.pk}/verdicts/", [{"crop": pk, "verdict": "rejected"} for pk in evidence])
    late = held.candidates.exclude(crop__in=evidence).first().crop_id
    evidence_add(held, late, operator)
    crops_purge(now=LATER)
    assert sorted(Crop.objects.values_list("pk", flat=True)) == sorted([*evidence, late])


def test_an_erasure_leaves_held_crops_and_erases_the_others(held: Search, evidence: list[int]) -> None:
    other = held.candidates.exclude(crop__in=evidence).first().crop_id
    report = crops_erase(Crop.objects.filter(pk__in=[*evidence, other]))
    assert report.erased["crops"] == 1 and report.as_dict()["held"] == 2 and report.is_complete
    assert not Crop.objects.filter(pk=other).exists() and Crop.objects.filter(pk__in=evidence).count() == 2
    line = LogEntry.objects.filter(action="erasure").last()
    assert (line.details["erased"]["crops"], line.details["held"]) == (1, 2)


def test_the_api_refuses_to_erase_a_held_crop_by_the_holds_name(
    held: Search, evidence: list[int], administrator: Any, supervisor: Any
) -> None:
    office, address = client_of(administrator), f"/api/v1/crops/{evidence[0]}/"
    answer = office.delete(address)
    assert answer.status_code == 409
    assert "Evidence of case 2026-17 is on hold since" in answer.json()["error"]["message"]
    assert "Appeal" not in answer.content.decode(), "why is not an administrator's business"
    assert Crop.objects.filter(pk=evidence[0]).exists()
    client_of(supervisor).delete(hold_of(held), {"reason": "over"})
    answer = office.delete(address)
    assert (answer.status_code, answer.json()["held"]) == (200, 0)
    assert not Crop.objects.filter(pk=evidence[0]).exists()


def test_the_administration_names_the_hold_lists_holds_and_changes_none(
    held: Search, evidence: list[int], administrator: Any, client: Client
) -> None:
    client.force_login(administrator)
    other = held.candidates.exclude(crop__in=evidence).first().crop_id
    chosen = {"action": "erase", "_selected_action": [*evidence, other], "confirmed": "1"}
    page = client.post("/admin/gallery/crop/", chosen, follow=True).content.decode()
    assert "Evidence of case 2026-17 is on hold since" in page and "2 crops were not erased." in page
    assert sorted(Crop.objects.filter(pk__in=[*evidence, other]).values_list("pk", flat=True)) == evidence

    listed = client.get("/admin/cases/hold/").content.decode()
    assert "2026-17" in listed and "Appeal at the district court" in listed
    row = Hold.objects.get()
    assert client.get(f"/admin/cases/hold/{row.pk}/change/").status_code == 200
    assert client.post(f"/admin/cases/hold/{row.pk}/change/", {"reason": "x"}).status_code == 403
    assert client.get("/admin/cases/hold/add/").status_code == 403
    assert client.post(f"/admin/cases/hold/{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_my_searches_mark_what_is_on_hold(held: Search, operator: Any, supervisor: Any, client: Client) -> None:
    client.force_login(operator)
    assert 'data-state="held">on hold<' in client.get("/searches/").content.decode()
    client_of(supervisor).delete(hold_of(held), {"reason": "over"})
    assert 'data-state="held"' not in client.get("/searches/").content.decode()
