"""Evidence from the first look to the exported file, and a log in which nothing is changed unnoticed."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from citysearch.cases.log import log_faults
from citysearch.cases.models import LogEntry
from citysearch.cases.package import package_faults
from citysearch.cases.tests.papers import pdf_text
from citysearch.gallery.files import sha256_of
from citysearch.searches.models import Search
from citysearch.searches.tests import cast
from citysearch.searches.tests.conftest import client_of

Files = dict[str, bytes]


def base(search: Search) -> str:
    return f"/api/v1/searches/{search.pk}/"


def approve(asked: Any, search: Search, supervisor: Any) -> None:
    """A supervisor approves what an operator has just asked for."""
    assert (asked.status_code, asked.json()["state"]) == (202, "asked")
    boss = client_of(supervisor)
    [request] = boss.get(base(search) + "export/").json()["requests"]
    answer = boss.post(base(search) + "export/decision/", {"request": request["id"], "approved": True})
    assert answer.status_code == 200 and answer.json()["requests"] == []


@pytest.fixture
def package(found: Search, api: Any, supervisor: Any, tmp_path: Path, django_capture_on_commit_callbacks: Any) -> Path:
    """One hit confirmed, another one added, both exported by the operator after a supervisor has approved."""
    confirmed, added = found.candidates.values_list("crop", flat=True)[:2]
    with django_capture_on_commit_callbacks(execute=True):
        api.post(base(found) + "verdicts/", {"crop": confirmed, "verdict": "confirmed"})
        api.post(base(found) + "evidence/", {"crop": added})
        api.post(base(found) + "evidence/", {"crop": added})
        approve(api.post(base(found) + "export/"), found, supervisor)
        answer = api.post(base(found) + "export/")
    assert answer["Content-Type"] == "application/zip"
    path = tmp_path / "case.zip"
    path.write_bytes(b"".join(answer))
    return path


def files_of(path: Path) -> Files:
    with zipfile.ZipFile(path) as package:
        return {name: package.read(name) for name in package.namelist()}


def test_the_package_holds_what_a_case_needs(package: Path, found: Search) -> None:
    files = files_of(package)
    rows = json.loads(files["sightings.json"])["sightings"]
    assert len(rows) == 2 and {row["verdict"] for row in rows} == {"confirmed", None}
    assert {"sha256", "time", "camera_time", "clock_offset_s", "clock_uncertainty_s", "likelihood"} <= rows[0].keys()
    assert list(csv.DictReader(io.StringIO(files["sightings.csv"].decode("utf-8-sig"))))[1]["crop"] == str(
        rows[1]["crop"]
    )
    search = json.loads(files["search.json"])
    assert (search["purpose"], search["case"], search["model"]) == ("missing person", "2026-17", "paint")
    lines = [json.loads(line) for line in files["custody.jsonl"].splitlines()]
    actions = [line["action"] for line in lines]
    assert actions == ["search", "verdicts", "keep", "ask", "approve", "export"], "added once, logged once"
    report = files["report.html"].decode()
    assert "Appearance match, not identification." in report
    assert lines[-1]["digest"] in report and rows[0]["sha256"] in report
    assert files["report.pdf"].startswith(b"%PDF") and f"{rows[0]['sha256']}" in pdf_text(files["report.pdf"])
    crop = found.candidates.get(crop=rows[0]["crop"]).crop
    original = f"crops/{crop.pk}.png"
    assert sha256_of(files[original]) == crop.sha256 and files[original] != files[f"watermarked/{original}"]
    assert {"photos/0.png", "watermarked/photos/0.png"} <= files.keys() and b"<wpt" in files["trajectory.gpx"]
    call_command("verify_export", package, verbosity=0)


def rewritten(path: Path, change: Callable[[Files], Any]) -> None:
    files = files_of(path)
    change(files)
    with zipfile.ZipFile(path, "w") as package:
        for name, data in files.items():
            package.writestr(name, data)


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files.update({"sightings.csv": files["sightings.csv"] + b" "}),
        lambda files: files.pop("custody.jsonl"),
        lambda files: files.pop("report.pdf"),
        lambda files: files.update({"crops/extra.png": b"x"}),
        lambda files: files.update({"manifest.json": files["manifest.json"].replace(b"report", b"rep0rt")}),
        lambda files: files.update({one: files[one] + b" " for one in files if one.startswith("watermarked/crops")}),
        lambda files: files.pop("watermarked/photos/0.png"),
        lambda files: files.pop("manifest.sig"),
        lambda files: files.clear(),
    ],
)
def test_a_package_that_was_touched_is_refused(package: Path, change: Callable[[Files], Any]) -> None:
    rewritten(package, change)
    with pytest.raises(CommandError):
        call_command("verify_export", package, verbosity=0)


def test_a_file_that_is_there_twice_or_broken_inside_is_found(package: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(package, "a") as opened:
        opened.writestr("sightings.csv", files_of(package)["sightings.csv"])
    assert list(package_faults(package)) == ["sightings.csv: there twice"]
    with zipfile.ZipFile(package) as opened:
        start = opened.getinfo("report.html").header_offset
    data = bytearray(package.read_bytes())
    data[start + 200 : start + 400] = b"\xff" * 200
    package.write_bytes(data)
    assert str(package) in list(package_faults(package))[-1]


def test_a_package_cut_short_or_signed_elsewhere_is_refused(package: Path, settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path / "elsewhere"
    settings.VAR_DIR.mkdir()
    with pytest.raises(CommandError):
        call_command("verify_export", package, verbosity=0)
    package.write_bytes(package.read_bytes()[:-200])
    with pytest.raises(CommandError):
        call_command("verify_export", package, verbosity=0)


def test_without_evidence_there_is_nothing_to_export(found: Search, api: Any) -> None:
    answer = api.post(base(found) + "export/")
    assert answer.status_code == 409 and "Confirm a hit" in answer.json()["error"]["message"]


def test_a_full_size_view_is_logged_and_leads_to_the_original(found: Search, api: Any) -> None:
    crop = found.candidates.first().crop
    address = api.post(f"{base(found)}hits/{crop.pk}/original/").json()["url"]
    assert api.get(address).content[:4] == b"\x89PNG"
    line = LogEntry.objects.last()
    assert (line.action, line.user, line.case, line.details["crop"]) == ("view", "operator", "2026-17", crop.pk)


def test_what_is_not_ones_own_is_not_there(
    found: Search,
    stranger: Any,
    administrator: Any,
    operator_east: Any,
    gallery: Any,
) -> None:
    crop = found.candidates.first().crop_id
    calls = [("post", "export/"), ("get", "evidence/"), ("post", "evidence/"), ("post", f"hits/{crop}/original/")]
    calls.append(("delete", f"evidence/{crop}/"))
    for user in (stranger, administrator, operator_east):
        client = client_of(user)
        answers = [getattr(client, verb)(base(found) + path, {"crop": crop}).status_code for verb, path in calls]
        assert answers == [404] * 5
    assert LogEntry.objects.exclude(action="search").count() == 0


def test_evidence_is_added_and_taken_out_and_no_other_crop_can_be(
    found: Search,
    api: Any,
    gallery: Any,
) -> None:
    crop = found.candidates.first().crop_id
    assert [row["crop"] for row in api.post(base(found) + "evidence/", {"crop": crop}).json()] == [crop]
    assert api.delete(f"{base(found)}evidence/{crop}/").status_code == 204
    assert api.get(base(found) + "evidence/").json() == []
    [other] = cast.store_vectors(gallery[0], found.model_version, cast.bands(cast.painted(9))[None].astype("float16"))
    assert api.post(base(found) + "evidence/", {"crop": other}).status_code == 404


def test_a_log_that_was_edited_or_cut_is_found_out(package: Path) -> None:
    call_command("verify_audit", verbosity=0)
    whole = list(LogEntry.objects.values("id", "case", "details"))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE cases_logentry SET purpose = 'other' WHERE id = %s", [whole[1]["id"]])
    assert [fault.partition(":")[0] for fault in log_faults()] == [str(whole[1]["id"])]
    LogEntry.objects.filter(pk=whole[1]["id"]).delete()
    assert any("missing" in fault for fault in log_faults())
    LogEntry.objects.filter(pk__gt=whole[0]["id"]).delete()
    with pytest.raises(CommandError):
        call_command("verify_audit", verbosity=0)
