"""What administrators change are lines of the same log: who, what, when; and who reads them."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from citysearch.cases.access import log_of
from citysearch.cases.log import log_faults
from citysearch.cases.models import LogEntry
from citysearch.cases.words import told as told_in_words
from citysearch.gallery import services as gallery_services
from citysearch.gallery.models import Crop
from citysearch.research import services as model_services
from citysearch.searches.models import Search
from citysearch.searches.tests import cast
from units import services, tree
from units.models import Camera, Indicator, Membership, Role, Unit

pytestmark = pytest.mark.django_db


def hilly() -> Unit:
    """A region of West that has no grids yet."""
    area = {"type": "Polygon", "coordinates": [[[120, 30.02], [120.01, 30.02], [120.01, 30.03], [120, 30.02]]]}
    return tree.unit_add(Unit.objects.get(code="330101001"), name="Hills", code="330101001009", polygon=area)


@pytest.fixture
def desk(administrator: Any) -> Client:
    client = Client()
    client.force_login(administrator)
    return client


def told() -> list[tuple[str, str, str]]:
    """(user, subject, what was done) of every line that belongs to no search."""
    lines = LogEntry.objects.filter(search=None).order_by("id")
    return [(line.user, line.action, line.details["did"]) for line in lines]


def test_page_api_and_command_line_leave_the_same_line_with_who_it_was(
    city: Unit, cameras: list[Camera], desk: Client, administrator: Any, tmp_path: Any
) -> None:
    east = Unit.objects.get(code="330102")
    form = {"parent": city.pk, "name": "Sunrise", "code": east.code, "polygon": json.dumps(east.polygon)}
    assert (
        desk.post(reverse("admin:units_unit_change", args=[east.pk]), form | {"retention_days": 7}).status_code == 302
    )
    api = APIClient()
    token = api.post("/api/v1/token/", {"username": "administrator", "password": "a long password"}).json()["token"]
    api.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    assert api.patch(f"/api/v1/cameras/{cameras[0].pk}/", {"clock_offset_s": 3}).status_code == 200
    assert api.patch(f"/api/v1/cameras/{cameras[0].pk}/", {"clock_offset_s": 3}).status_code == 200, "nothing new"
    (tmp_path / "c.csv").write_text("code,name,longitude,latitude,free_code\ncam-9,Quay,120.03,30.005,1\n")
    call_command("import_cameras", tmp_path / "c.csv", stdout=io.StringIO())
    [unit, made, camera, imported] = LogEntry.objects.all()
    assert (made.user, made.action, made.details) == ("administrator", "token", {"did": "add"})
    assert token not in json.dumps(made.details)
    assert (unit.user, unit.details) == (
        "administrator",
        {
            "did": "change", "unit": "330102", "area": False,
            "changes": {"name": ["East", "Sunrise"], "retention_days": [None, 7]},
        },
    )  # fmt: skip
    assert (camera.user, camera.details["changes"]) == ("administrator", {"clock_offset_s": [0.0, 3.0]})
    assert imported.user.startswith("os:") and imported.details == {
        "did": "import", "codes": ["cam-9"], "added": 1, "changed": 0, "refused": 0,
    }  # fmt: skip


def test_what_is_refused_or_only_looked_at_leaves_no_line(cameras: list[Camera], desk: Client) -> None:
    west = Unit.objects.get(code="330101")
    refused = desk.post(reverse("admin:units_unit_change", args=[west.pk]), {"name": "W", "code": "77", "parent": ""})
    assert refused.status_code == 200
    table = SimpleUploadedFile("c.csv", b"code,name,longitude,latitude,free_code\ncam-9,Quay,120.03,30.005,1\n")
    assert b"cam-9" in desk.post(reverse("admin:units_camera_import"), {"file": table}).content
    services.grid_generate(hilly(), 500, dry_run=True)
    assert told() == []


def test_roles_people_and_cameras_come_and_go_in_the_log(
    cameras: list[Camera], desk: Client, stranger: Any, city: Unit
) -> None:
    desk.post(reverse("admin:units_membership_add"), {"user": stranger.pk, "role": Role.OPERATOR, "unit": city.pk})
    given = Membership.objects.get(user=stranger)
    desk.post(reverse("admin:auth_user_change", args=[stranger.pk]), {"username": "stranger", "first_name": "Ada"})
    words = {"password1": "a word of mine", "password2": "a word of mine", "usable_password": "true"}
    desk.post(reverse("admin:auth_user_password_change", args=[stranger.pk]), words)
    desk.post(reverse("admin:units_membership_delete", args=[given.pk]), {"post": "yes"})
    desk.post(reverse("admin:units_camera_delete", args=[cameras[0].pk]), {"post": "yes"})
    assert told() == [
        ("administrator", "membership", "give"),
        ("administrator", "person", "change"),
        ("administrator", "person", "change"),
        ("administrator", "membership", "take back"),
        ("administrator", "camera", "delete"),
    ]
    text = json.dumps(list(LogEntry.objects.values_list("details", flat=True)))
    assert "Ada" not in text and "word of mine" not in text and "First name" in text


def test_government_data_readings_tokens_and_groups_come_and_go_in_the_log(
    city: Unit, desk: Client, admin_client: Client, operator: Any
) -> None:
    value = {"unit": city.pk, "indicator": "population", "value": 9, "year": 2025, "source": "census"}
    desk.post(reverse("admin:units_indicator_add"), value)
    row = Indicator.objects.get()
    desk.post(reverse("admin:units_indicator_change", args=[row.pk]), value | {"value": 4711})
    desk.post(reverse("admin:units_indicator_delete", args=[row.pk]), {"post": "yes"})
    table = SimpleUploadedFile("r.csv", b"unit,kind,time,value\n330100,footfall,2026-03-01 08:00:00,4\n")
    looked = desk.post(
        reverse("admin:units_sensorreading_import"), {"import_file": table, "format": "0", "resource": "0"}
    )
    confirmed = looked.context["confirm_form"].initial
    desk.post(reverse("admin:units_sensorreading_process_import"), confirmed)
    admin_client.post(reverse("admin:authtoken_tokenproxy_add"), {"user": operator.pk})
    admin_client.post(reverse("admin:auth_group_add"), {"name": "Night shift"})
    assert [line[1:] for line in told()] == [
        ("indicator", "add"), ("indicator", "change"), ("indicator", "delete"), ("reading", "import"),
        ("token", "add"), ("group", "add"),
    ]  # fmt: skip
    details = list(LogEntry.objects.order_by("id").values_list("details", flat=True))
    assert details[2] == {"did": "delete", "indicator": ["330100 population 2025"], "count": 1}
    assert details[3] == {"did": "import", "added": 1, "changed": 0}
    assert details[4] == {"did": "add", "token": "operator"} and "4711" not in json.dumps(details)


def test_erasures_imports_and_models_are_told_and_the_chain_holds_them_beside_searches(
    found: Search, administrator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_services, "model_verify", lambda version: None)
    new = cast.make_version("next", "ready", "e" * 64)
    for _again in range(2):
        model_services.model_activate(new, anyway=True)
    model_services.model_index(new)
    chosen = Crop.objects.filter(pk__in=list(Crop.objects.values_list("pk", flat=True)[:3]))
    gallery_services.crops_erase(chosen)
    gallery_services.crops_erase([])
    assert [line[1:] for line in told()] == [
        ("model", "activate"), ("model", "index"), ("erasure", "begin"), ("erasure", "end"),
    ]  # fmt: skip
    end = LogEntry.objects.last().details
    assert (end["erased"]["crops"], end["left"]["crops"]) == (3, 0)
    assert not any("altered" in fault or "before it" in fault for fault in log_faults())
    line = LogEntry.objects.get(details__did="activate")
    LogEntry.objects.filter(pk=line.pk).update(details={"did": "activate", "model": "other"})
    assert f"{line.pk}: altered" in list(log_faults())
    LogEntry.objects.filter(pk=line.pk).delete()
    assert f"{line.pk + 1}: a line before it is missing" in list(log_faults())


@pytest.mark.parametrize(("unit", "seen"), [("330100", ["unit", "search"]), ("330102", [])])
def test_an_auditor_reads_as_far_as_his_unit_reaches(
    found: Search, auditor: Any, unit: str, seen: list[str], administrator: Any
) -> None:
    services.unit_update(Unit.objects.get(code="330101"), name="Dusk")
    auditor.memberships.update(unit=Unit.objects.get(code=unit))
    assert [line.action for line in log_of(auditor)] == seen
    assert not log_of(administrator).exists()


def test_a_line_says_what_was_changed_from_what_to_what(city: Unit) -> None:
    services.unit_update(Unit.objects.get(code="330101"), name="Dusk")
    assert "changed" in (text := told_in_words(LogEntry.objects.get())) and "→ Dusk" in text


def test_digests_and_verdicts_are_said_in_few_words(found: Search) -> None:
    line = LogEntry.objects.get(action="search")
    digest = found.photos.get().sha256
    assert f"photos {digest[:12]}…" in told_in_words(line) and digest not in told_in_words(line)
    line.details = {"verdicts": [[7, "confirmed"], [9, "rejected"]]}
    assert told_in_words(line) == "verdicts 7 confirmed, 9 rejected"
