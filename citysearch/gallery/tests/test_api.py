"""Crops and imports over REST: who sees what, what comes back, what is refused."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from PIL import Image
from rest_framework.test import APIClient

from citysearch.gallery import files, services, spool
from citysearch.gallery.models import Crop, GalleryImport, Segment
from citysearch.gallery.originals import original_address
from citysearch.gallery.tests.conftest import NOON, TinyExtractor, items, picture
from units.models import Camera, Unit

pytestmark = pytest.mark.usefixtures("no_broker")


def client_of(user: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def upload(name: str, data: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, "image/jpeg")


def zip_bytes(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_an_operator_lists_crops_with_true_and_camera_time(filled: list[Camera], operator: Any) -> None:
    Camera.objects.filter(code="cam-1").update(clock_offset_s=60)
    body = client_of(operator).get("/api/v1/crops/").json()
    assert body["count"] == 10
    first = body["results"][0]
    assert first["camera"]["code"] == "cam-1"
    assert first["camera_time"] == "2024-05-01T20:00:00+08:00"
    assert first["time"] == "2024-05-01T19:59:00+08:00"
    assert first["image"] == f"/api/v1/crops/{first['id']}/thumbnail/"
    assert "person_id" not in first


def test_lists_narrow_by_camera_unit_and_period(filled: list[Camera], operator: Any) -> None:
    east = Unit.objects.get(code="330102")
    start, end = (NOON + timedelta(seconds=second) for second in (2, 4))
    client = client_of(operator)

    def count(**query: Any) -> int:
        return int(client.get("/api/v1/crops/", query).json()["count"])

    assert count(camera=filled[0].pk) == 6
    assert count(unit=east.pk) == 4
    assert count(**{"from": start.isoformat(), "to": end.isoformat()}) == 3
    assert count(**{"from": "0001-01-02T00:00:00Z"}) == 10
    assert count(**{"unit": east.pk, "to": NOON.isoformat()}) == 0


@pytest.mark.parametrize(
    "query",
    [{"from": "2024-05-02", "to": "2024-05-01"}, {"camera": "x"}, {"from": "yesterday"}, {"unit": "-1"}],
)
def test_a_filter_that_cannot_be_read_is_refused(filled: list[Camera], operator: Any, query: dict[str, str]) -> None:
    answer = client_of(operator).get("/api/v1/crops/", query)
    assert answer.status_code == 400 and answer.json()["error"]["fields"]


def test_a_list_costs_the_same_however_long_it_is(filled: list[Camera], operator: Any) -> None:
    client, costs = client_of(operator), []
    for size in (1, 10):
        with CaptureQueriesContext(connection) as asked:
            client.get("/api/v1/crops/", {"page_size": size})
        costs.append(len(asked))
    assert costs[0] == costs[1] <= 5


def test_an_operator_of_the_east_sees_nothing_of_the_west(filled: list[Camera], operator_east: Any) -> None:
    client = client_of(operator_east)
    west = Crop.objects.filter(camera=filled[0]).first()
    assert {row["camera"]["code"] for row in client.get("/api/v1/crops/").json()["results"]} == {"cam-3"}
    assert client.get(f"/api/v1/crops/{west.pk}/").status_code == 404
    assert client.get(f"/api/v1/crops/{west.pk}/image/").status_code == 404
    assert client.get("/api/v1/crops/", {"camera": filled[0].pk}).status_code == 404
    assert client.get("/api/v1/crops/", {"unit": west.camera.unit_id}).status_code == 404


@pytest.mark.parametrize("who", ["stranger", "auditor", "researcher"])
def test_whoever_has_no_business_with_crops_finds_none(filled: list[Camera], who: str, request: Any) -> None:
    client = client_of(request.getfixturevalue(who))
    crop = Crop.objects.first()
    assert client.get("/api/v1/crops/").json()["results"] == []
    for method, address in (
        ("get", f"/api/v1/crops/{crop.pk}/"),
        ("get", f"/api/v1/crops/{crop.pk}/image/"),
        ("delete", f"/api/v1/crops/{crop.pk}/"),
        ("post", f"/api/v1/cameras/{crop.camera_id}/crops/"),
        ("get", "/api/v1/imports/"),
        ("post", "/api/v1/imports/"),
    ):
        assert getattr(client, method)(address).status_code == 404, address
    assert Crop.objects.filter(pk=crop.pk).exists()


def test_without_a_login_there_is_nothing(filled: list[Camera]) -> None:
    assert APIClient().get("/api/v1/crops/").status_code == 401
    assert APIClient().get(f"/api/v1/crops/{Crop.objects.first().pk}/image/").status_code == 401


@pytest.mark.parametrize(("form", "kind"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")])
def test_an_original_comes_as_it_came_in(cameras: list[Camera], operator: Any, form: str, kind: str) -> None:
    data = picture(1, form=form)
    crop, _ = services.crop_add(cameras[0], data, NOON)
    address, _until = original_address(crop, operator)
    answer = client_of(operator).get(address, HTTP_ACCEPT="image/avif,image/*")
    assert answer.status_code == 200 and answer.content == data and answer["Content-Type"] == kind
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "private" in answer["Cache-Control"] and "public" not in answer["Cache-Control"]
    again = client_of(operator).get(address, HTTP_IF_NONE_MATCH=answer["ETag"])
    assert again.status_code == 304 and again.content == b"" and again["ETag"] == answer["ETag"]


def test_an_address_of_an_original_is_for_one_crop_one_reader_and_a_short_time(
    filled: list[Camera], operator: Any, supervisor: Any, settings: Any
) -> None:
    crop, other = Crop.objects.order_by("pk")[:2]
    address, _until = original_address(crop, operator)
    elsewhere = address.replace(f"/{crop.pk}/", f"/{other.pk}/")
    plain = address.partition("?")[0]
    refused = [(operator, elsewhere), (operator, plain), (operator, address[:-2]), (supervisor, address)]
    answers = [client_of(user).get(url) for user, url in refused]
    assert {(answer.status_code, answer.json()["error"]["code"]) for answer in answers} == {(403, "address_invalid")}
    settings.ORIGINAL_SECONDS = -1
    assert client_of(operator).get(address).status_code == 403


def test_a_thumbnail_is_small_and_a_small_picture_stays_as_it_is(cameras: list[Camera], operator: Any) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((300, 900), 60).convert("RGB").save(buffer, "PNG")
    large, _ = services.crop_add(cameras[0], buffer.getvalue(), NOON)
    small, _ = services.crop_add(cameras[0], picture(1, form="PNG"), NOON)
    answer = client_of(operator).get(f"/api/v1/crops/{large.pk}/thumbnail/")
    assert answer["Content-Type"] == "image/jpeg" and Image.open(io.BytesIO(answer.content)).size == (85, 256)
    answer = client_of(operator).get(f"/api/v1/crops/{small.pk}/thumbnail/")
    assert answer["Content-Type"] == "image/png" and answer.content == picture(1, form="PNG")


def test_a_picture_that_is_gone_is_said_in_json(filled: list[Camera], operator: Any) -> None:
    crop = Crop.objects.first()
    files.pictures_remove([crop.image])
    answer = client_of(operator).get(f"/api/v1/crops/{crop.pk}/thumbnail/", HTTP_ACCEPT="image/*")
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "picture_missing"


def test_uploads_answer_file_by_file(
    cameras: list[Camera],
    administrator: Any,
    version: Any,
    no_broker: list[Any],
    django_capture_on_commit_callbacks: Any,
) -> None:
    services.crop_add(cameras[0], picture(2), NOON)
    sent = [
        upload("20240501T120000Z.jpg", picture(1)),
        upload("known.jpg", picture(2)),
        upload("broken.jpg", b"no"),
        upload("empty.jpg", b""),
        upload("twice.jpg", picture(1)),
        upload("big.jpg", b"\xff\xd8\xff" + bytes(20971520)),
    ]
    with django_capture_on_commit_callbacks(execute=True):
        answer = client_of(administrator).post(
            f"/api/v1/cameras/{cameras[0].pk}/crops/", {"files": sent}, format="multipart"
        )
    body = answer.json()
    assert answer.status_code == 201, body
    assert (body["added"], body["known"], body["refused"]) == (1, 2, 3)
    assert [(row["name"], row["code"]) for row in body["results"]] == [
        ("20240501T120000Z.jpg", "added"),
        ("known.jpg", "known"),
        ("broken.jpg", "not_a_picture"),
        ("empty.jpg", "not_a_picture"),
        ("twice.jpg", "known"),
        ("big.jpg", "too_large"),
    ]
    assert [row["reason"] for row in body["results"]][1:3] == ["", "Not a JPEG, PNG or WEBP picture."]
    crop = Crop.objects.get(pk=body["results"][0]["crop"])
    assert crop.captured_at == NOON and crop.gallery_import_id == body["gallery_import"]
    assert GalleryImport.objects.get(pk=body["gallery_import"]).lines.count() == 3
    assert ("citysearch.gallery.tasks.index_task", ([cameras[0].pk], version.pk)) in no_broker


def test_an_upload_with_nothing_new_is_no_creation(cameras: list[Camera], administrator: Any) -> None:
    services.crop_add(cameras[0], picture(1), NOON)
    address = f"/api/v1/cameras/{cameras[0].pk}/crops/"
    answer = client_of(administrator).post(address, {"files": [upload("a.jpg", picture(1))]}, format="multipart")
    assert answer.status_code == 200 and answer.json()["known"] == 1


def test_an_upload_may_state_its_time(cameras: list[Camera], administrator: Any) -> None:
    given = {"files": [upload("a.jpg", picture(1))], "captured_at": "2024-05-01T12:00:00Z"}
    client_of(administrator).post(f"/api/v1/cameras/{cameras[0].pk}/crops/", given, format="multipart")
    assert Crop.objects.get().captured_at == NOON


def test_uploads_need_files_a_camera_and_an_administrator(
    cameras: list[Camera], operator: Any, administrator: Any
) -> None:
    address = f"/api/v1/cameras/{cameras[0].pk}/crops/"
    given = {"files": [upload("a.jpg", picture(1))]}
    assert client_of(operator).post(address, given, format="multipart").status_code == 404
    assert client_of(administrator).post("/api/v1/cameras/999999/crops/", given, format="multipart").status_code == 404
    assert client_of(administrator).post(address, {}, format="multipart").status_code == 400
    assert not Crop.objects.exists()


def test_a_full_disk_is_an_answer(cameras: list[Camera], administrator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "write", full)
    answer = client_of(administrator).post(
        f"/api/v1/cameras/{cameras[0].pk}/crops/", {"files": [upload("a.jpg", picture(1))]}, format="multipart"
    )
    assert answer.status_code == 507 and answer.json()["error"]["code"] == "disk_full"
    assert list(files.pictures_on_disk()) == [] and GalleryImport.objects.get().state == "failed"


def test_an_administrator_erases_and_reads_the_counts(
    filled: list[Camera], administrator: Any, version: Any, extractor: TinyExtractor
) -> None:
    services.index_cameras([filled[0].pk], version, extractor=extractor)
    crop = Crop.objects.filter(camera=filled[0]).first()
    answer = client_of(administrator).delete(f"/api/v1/crops/{crop.pk}/")
    assert answer.status_code == 200
    assert answer.json()["erased"] | {"crops": 1, "images": 1, "features": 1} == answer.json()["erased"]
    assert set(answer.json()["left"].values()) == {0}
    assert client_of(administrator).get(f"/api/v1/crops/{crop.pk}/").status_code == 404
    assert Segment.objects.get().rows == 5


def test_an_operator_erases_nothing(filled: list[Camera], operator: Any) -> None:
    crop = Crop.objects.first()
    assert client_of(operator).delete(f"/api/v1/crops/{crop.pk}/").status_code == 404
    assert Crop.objects.filter(pk=crop.pk).exists()


def test_a_zip_is_queued_imported_and_reported(
    cameras: list[Camera], administrator: Any, no_broker: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    from citysearch.gallery.tasks import import_task

    client = client_of(administrator)
    data = zip_bytes({"cam-1/a.jpg": picture(1), "cam-1/b.jpg": b"broken", "cam-9/c.jpg": picture(3)})
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post("/api/v1/imports/", {"file": upload("day.zip", data)}, format="multipart")
    assert answer.status_code == 202 and answer.json()["state"] == "queued"
    row_id = answer.json()["id"]
    assert ("citysearch.gallery.tasks.import_task", (row_id,)) in no_broker
    import_task(row_id)
    body = client.get(f"/api/v1/imports/{row_id}/").json()
    assert (body["state"], body["total"], body["added"], body["refused"]) == ("done", 3, 1, 2)
    assert {line["name"]: line["code"] for line in body["lines"]} == {
        "cam-1/b.jpg": "not_a_picture",
        "cam-9/c.jpg": "unknown_camera",
    }
    assert all(line["reason"] and line["message"] for line in body["lines"])
    assert not spool.spool_path(row_id).exists()
    import_task(row_id)
    assert client.get(f"/api/v1/imports/{row_id}/").json() == body
    assert client.post(f"/api/v1/imports/{row_id}/run/").status_code == 409


def test_an_import_that_failed_is_run_again(
    cameras: list[Camera], administrator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from citysearch.gallery.tasks import import_task

    client = client_of(administrator)
    data = zip_bytes({"cam-1/a.jpg": picture(1)})
    row_id = client.post("/api/v1/imports/", {"file": upload("day.zip", data)}, format="multipart").json()["id"]

    def full(handle: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(files.os, "write", full)
        import_task(row_id)
    body = client.get(f"/api/v1/imports/{row_id}/").json()
    assert body["state"] == "failed" and "disk is full" in body["message"]
    assert client.post(f"/api/v1/imports/{row_id}/run/").json()["state"] == "queued"
    import_task(row_id)
    assert client.get(f"/api/v1/imports/{row_id}/").json()["added"] == 1


def test_what_is_no_zip_leaves_no_import(cameras: list[Camera], administrator: Any) -> None:
    answer = client_of(administrator).post(
        "/api/v1/imports/", {"file": upload("day.zip", b"not a zip")}, format="multipart"
    )
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "bad_source"
    assert not GalleryImport.objects.exists() and not list((settings.VAR_DIR / "imports").glob("*"))


def test_imports_are_seen_by_those_they_concern(cameras: list[Camera], administrator: Any, db: None) -> None:
    from conftest import make_user

    east = make_user("east", "administrator", Unit.objects.get(code="330102"))
    own = services.import_create("zip", "own.zip", east)
    other = services.import_create("zip", "other.zip", administrator)
    services.crops_add_bulk(cameras[2], items(1), services.import_create("folder", "east"))
    services.crops_add_bulk(cameras[0], items(1), services.import_create("folder", "west"))
    both = services.import_create("folder", "both")
    services.crops_add_bulk(cameras[0], items(1, start=50), both)
    services.crops_add_bulk(cameras[2], items(1, start=50), both)
    assert both.source in {row["source"] for row in client_of(administrator).get("/api/v1/imports/").json()["results"]}
    seen = {row["source"] for row in client_of(east).get("/api/v1/imports/").json()["results"]}
    assert seen == {"own.zip", "east"}
    assert client_of(east).get(f"/api/v1/imports/{other.pk}/").status_code == 404
    assert client_of(east).get(f"/api/v1/imports/{own.pk}/").status_code == 200


def test_a_broker_that_is_gone_loses_nothing(
    cameras: list[Camera],
    administrator: Any,
    version: Any,
    broker_gone: None,
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = client_of(administrator).post(
            f"/api/v1/cameras/{cameras[0].pk}/crops/", {"files": [upload("a.jpg", picture(1))]}, format="multipart"
        )
    assert answer.status_code == 201 and Crop.objects.count() == 1
