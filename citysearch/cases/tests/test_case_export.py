"""A whole case as one package: every search of it that one may see and that has evidence, and no other."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from citysearch.cases.contents import short_names
from citysearch.cases.models import ExportRequest, LogEntry
from citysearch.cases.services import evidence_add
from citysearch.searches.models import Search
from citysearch.searches.tests.conftest import client_of
from units.models import Membership, Role

ADDRESS = "/api/v1/cases/export/"
CASE = "2026-17"


def kept(search: Search, user: Any) -> int:
    """The best hit, kept as evidence."""
    crop = int(search.candidates.first().crop_id)
    evidence_add(search, crop, user)
    return crop


@pytest.fixture
def second(start: Any, city: Any, found: Search) -> Search:
    """Another search of the same case."""
    return Search.objects.get(pk=start(city, person=2).json()["id"])


@pytest.fixture
def boss(supervisor: Any) -> Any:
    return client_of(supervisor)


def saved(answer: Any, folder: Path) -> Path:
    assert answer["Content-Type"] == "application/zip"
    path = folder / "case.zip"
    path.write_bytes(b"".join(answer))
    return path


def test_two_searches_of_a_case_are_one_signed_package(
    found: Search, second: Search, start: Any, city: Any, boss: Any, operator: Any, tmp_path: Path
) -> None:
    crops = {search: kept(search, operator) for search in (found, second)}
    kept(Search.objects.get(pk=start(city, person=3, case="another").json()["id"]), operator)
    start(city, person=3)
    answer = boss.post(ADDRESS, {"case": CASE})
    assert answer["Content-Disposition"] == 'attachment; filename="case-2026-17.zip"'
    path = saved(answer, tmp_path)
    with zipfile.ZipFile(path) as package:
        files = {name: package.read(name) for name in package.namelist()}
    told = json.loads(files["searches.json"])
    folders = [f"searches/{str(search.pk)[:8]}" for search in (found, second)]
    assert told["case"] == CASE and [one["folder"] for one in told["searches"]] == folders
    assert all({"coverage", "period", "conditions", "model"} <= one.keys() for one in told["searches"])
    for folder, (search, crop) in zip(folders, crops.items(), strict=True):
        names = {name.removeprefix(f"{folder}/") for name in files if name.startswith(folder)}
        pictures = {f"crops/{crop}.png", "photos/0.png"}
        assert names == pictures | {f"watermarked/{name}" for name in pictures} | {
            "report.html", "report.pdf", "sightings.json", "sightings.csv", "trajectory.geojson", "trajectory.gpx",
        }  # fmt: skip
        assert str(search.pk) in files[f"{folder}/report.html"].decode()
    lines = [json.loads(line) for line in files["custody.jsonl"].splitlines()]
    assert [line["action"] for line in lines] == ["search", "search", "keep", "keep", "export", "export"]
    assert {line["search"] for line in lines} == {str(found.pk), str(second.pk)}
    call_command("verify_export", path, verbosity=0)


def test_an_altered_watermarked_copy_of_one_search_is_found(
    found: Search, boss: Any, operator: Any, tmp_path: Path, capsys: Any
) -> None:
    crop = kept(found, operator)
    path = saved(boss.post(ADDRESS, {"case": CASE}), tmp_path)
    altered = f"searches/{str(found.pk)[:8]}/watermarked/crops/{crop}.png"
    with zipfile.ZipFile(path) as package:
        files = {name: package.read(name) for name in package.namelist()}
    with zipfile.ZipFile(path, "w") as package:
        for name, data in files.items():
            package.writestr(name, data + b"x" if name == altered else data)
    with pytest.raises(CommandError):
        call_command("verify_export", path, verbosity=0)
    assert capsys.readouterr().err.strip() == f"{altered}: altered"


def test_a_search_out_of_sight_is_left_out(
    found: Search, start: Any, operator: Any, operator_east: Any, stranger: Any, tmp_path: Path
) -> None:
    """Of a search of the whole city and one of the east, both with evidence, the east's supervisor gets his own."""
    eastern = Search.objects.get(pk=start("330102").json()["id"])
    for search in (found, eastern):
        kept(search, operator)
    Membership.objects.filter(user=operator_east).update(role=Role.SUPERVISOR)
    path = saved(client_of(operator_east).post(ADDRESS, {"case": CASE}), tmp_path)
    with zipfile.ZipFile(path) as package:
        told = json.loads(package.read("searches.json"))["searches"]
        lines = package.read("custody.jsonl").decode()
        folders = {name.split("/")[1] for name in package.namelist() if name.startswith("searches/")}
    assert [one["id"] for one in told] == [str(eastern.pk)] and folders == {str(eastern.pk)[:8]}
    assert str(found.pk) not in lines
    assert client_of(stranger).post(ADDRESS, {"case": CASE}).status_code == 409
    assert LogEntry.objects.filter(action="export").count() == 1


def test_without_evidence_and_without_a_case_it_says_so(found: Search, api: Any) -> None:
    answer = api.post(ADDRESS, {"case": CASE})
    assert answer.status_code == 409 and "has evidence yet" in answer.json()["error"]["message"]
    assert api.post(ADDRESS, {"case": "nobody's"}).status_code == 409
    assert api.post(ADDRESS, {}).status_code == 400
    assert client_of(None).post(ADDRESS, {"case": CASE}).status_code == 401


def test_an_operators_case_waits_for_the_approval_of_each_search(
    found: Search, second: Search, api: Any, boss: Any, operator: Any, tmp_path: Path
) -> None:
    for search in (found, second):
        kept(search, operator)
    answer = api.post(ADDRESS, {"case": CASE})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_approved")
    assert all(name in answer.json()["error"]["message"] for name in short_names([found, second]))
    for request in ExportRequest.objects.all():
        assert api.post(ADDRESS, {"case": CASE}).status_code == 409
        decision = f"/api/v1/searches/{request.search_id}/export/decision/"
        boss.post(decision, {"request": request.pk, "approved": True})
    call_command("verify_export", saved(api.post(ADDRESS, {"case": CASE}), tmp_path), verbosity=0)


def test_searches_that_begin_alike_keep_their_whole_ids() -> None:
    one, other = Search(pk="0123abcd-0000"), Search(pk="0123abcd-1111")
    assert short_names([one, other]) == ["0123abcd-0000", "0123abcd-1111"]
    assert short_names([one]) == ["0123abcd"]


def test_my_searches_offer_the_case_they_are_narrowed_to(found: Search, operator: Any, supervisor: Any) -> None:
    client = Client()
    client.force_login(supervisor)
    assert "Export the case" not in client.get("/searches/?whose=all").content.decode()
    narrowed = f"?case={CASE}&whose=all"
    assert "Export the case" in client.get(f"/searches/{narrowed}").content.decode()
    refused = client.post(f"/searches/export{narrowed}", {"case": CASE})
    assert refused.status_code == 409 and "has evidence yet" in refused.content.decode()
    kept(found, operator)
    answer = client.post(f"/searches/export{narrowed}", {"case": CASE})
    with zipfile.ZipFile(io.BytesIO(b"".join(answer))) as package:
        assert "searches.json" in package.namelist()
    assert answer["Cache-Control"] == "no-store"
