"""The administrator's pages: crops as pictures, imports with their lines, nothing to type over."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from citysearch.gallery import services, tasks
from citysearch.gallery.admin import spreadsheet_safe
from citysearch.gallery.models import Crop, GalleryImport, ImportLine, Segment
from citysearch.gallery.tests.conftest import Queued, TinyExtractor, make_version, picture

CROPS = "/admin/gallery/crop/"
IMAGE = '<img src="/api/v1/crops/'


@pytest.fixture
def desk(administrator: Any) -> Client:
    client = Client()
    client.force_login(administrator)
    return client


def test_crops_are_shown_as_pictures(filled: list[Any], desk: Client) -> None:
    text = desk.get(CROPS).content.decode()
    crop = Crop.objects.first()
    assert text.count(IMAGE) == 10
    assert f'<img src="{reverse("crop-thumbnail", args=[crop.pk])}"' in text
    assert desk.get(f"{CROPS}{crop.pk}/change/").status_code == 200


def test_nothing_can_be_typed_over(filled: list[Any], desk: Client) -> None:
    crop = Crop.objects.first()
    assert desk.get(f"{CROPS}add/").status_code == 403
    assert desk.post(f"{CROPS}{crop.pk}/change/", {"width": 1}).status_code == 403
    assert desk.post(f"{CROPS}{crop.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Crop.objects.count() == 10


def test_erase_asks_first_and_then_tells_the_counts(
    filled: list[Any], desk: Client, version: Any, extractor: TinyExtractor
) -> None:
    services.index_cameras([camera.pk for camera in filled], version, extractor=extractor)
    chosen = list(Crop.objects.values_list("pk", flat=True)[:2])
    form = {"action": "erase", "_selected_action": chosen}
    asked = desk.post(CROPS, form)
    assert asked.status_code == 200 and b"2 crops will be erased" in asked.content
    assert Crop.objects.count() == 10
    done = desk.post(CROPS, {**form, "confirmed": "yes"}, follow=True)
    assert "crops 2 → 0" in done.content.decode() and "features 2 → 0" in done.content.decode()
    assert not Crop.objects.filter(pk__in=chosen).exists()


def test_index_now_queues_the_cameras_of_the_crops(
    filled: list[Any],
    desk: Client,
    version: Any,
    no_broker: Queued,
    django_capture_on_commit_callbacks: Any,
) -> None:
    chosen = list(Crop.objects.filter(camera=filled[2]).values_list("pk", flat=True))
    with django_capture_on_commit_callbacks(execute=True):
        answer = desk.post(CROPS, {"action": "index", "_selected_action": chosen}, follow=True)
    assert [arguments for _task, arguments in no_broker] == [([filled[2].pk], version.pk)]
    assert b"1 camera is being indexed" in answer.content


def test_imports_show_their_lines(filled: list[Any], desk: Client, administrator: Any) -> None:
    row = GalleryImport.objects.create(layout="zip", source="day.zip", state="done", user=administrator, refused=1)
    ImportLine.objects.create(gallery_import=row, line=3, name="b.jpg", code="truncated", message="cut at byte 900")
    text = desk.get(f"/admin/gallery/galleryimport/{row.pk}/change/").content.decode()
    assert "b.jpg" in text and "damaged or cut short" in text and "cut at byte 900" in text


def archive() -> SimpleUploadedFile:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("cam-1/20240501T120000.jpg", picture(1))
        made.writestr("cam-1/broken.jpg", b"no picture")
        made.writestr("nowhere/1.jpg", picture(2))
    return SimpleUploadedFile("day.zip", buffer.getvalue())


def test_a_zip_is_uploaded_imported_in_the_background_and_reported(
    cameras: list[Any], desk: Client, version: Any, no_broker: Queued, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        page = desk.post("/admin/gallery/galleryimport/add/", {"file": archive(), "layout": "zip"}, follow=True)
    row = GalleryImport.objects.get()
    assert no_broker == [("citysearch.gallery.tasks.import_task", (row.pk,))]
    assert page.redirect_chain[0][0] == f"/admin/gallery/galleryimport/{row.pk}/change/"
    assert "You may leave this page" in page.content.decode() and "data-ended" not in page.content.decode()
    tasks.import_task.run(row.pk)
    bars = desk.get(f"/admin/gallery/galleryimport/{row.pk}/progress/").content.decode()
    assert 'data-done="3" data-total="3" data-ended' in bars  # the import
    assert 'data-done="0" data-total="1">' in bars  # the features of its one new crop
    page = desk.get(f"/admin/gallery/galleryimport/{row.pk}/change/").content.decode()
    assert "<b>1</b> Not a JPEG, PNG or WEBP picture." in page and "nowhere/1.jpg" in page
    table = desk.get(f"/admin/gallery/galleryimport/{row.pk}/refused/").content.decode()
    assert table.splitlines()[0] == "line,name,reason,message" and "cam-1/broken.jpg,not_a_picture" in table


def test_what_is_no_archive_or_names_an_unknown_camera_is_refused_at_once(cameras: list[Any], desk: Client) -> None:
    address = "/admin/gallery/galleryimport/add/"
    page = desk.post(address, {"file": SimpleUploadedFile("a.zip", b"x"), "layout": "zip"})
    assert "no ZIP archive" in page.content.decode()
    page = desk.post(address, {"file": archive(), "layout": "market1501", "cameras": "cam-1,cam-9"})
    assert "no camera with the code cam-9" in page.content.decode() and not GalleryImport.objects.exists()


def test_another_administrators_import_is_not_there(cameras: list[Any], administrator: Any) -> None:
    from conftest import make_user
    from units.models import Unit

    row = services.import_create("zip", "day.zip", administrator)
    client = Client()
    client.force_login(make_user("east", "administrator", Unit.objects.get(code="330102")))
    for word in ("progress", "refused", "again", "stop"):
        assert client.post(f"/admin/gallery/galleryimport/{row.pk}/{word}/").status_code == 404


def test_an_import_that_waits_is_stopped_on_its_page_and_run_again(
    cameras: list[Any], desk: Client, administrator: Any, no_broker: Queued
) -> None:
    row = services.import_upload("day.zip", archive().chunks(), administrator)
    page = f"/admin/gallery/galleryimport/{row.pk}/"
    assert "Stop the import" in desk.get(f"{page}change/").content.decode()
    text = desk.post(f"{page}stop/", follow=True).content.decode()
    assert "What was imported so far is kept" in text and "Run it again" in text and "Stop the import" not in text
    assert "nothing to stop" in desk.post(f"{page}stop/", follow=True).content.decode()
    desk.post(f"{page}again/")
    row.refresh_from_db()
    assert row.state == "queued"


def test_indexing_is_stopped_from_the_versions_page(filled: list[Any], desk: Client, version: Any) -> None:
    new = make_version("new", "indexing")
    assert "Stop indexing" in desk.get(f"/admin/research/modelversion/{new.pk}/change/").content.decode()
    done = desk.post("/admin/research/modelversion/", {"action": "stop", "_selected_action": new.pk}, follow=True)
    new.refresh_from_db()
    assert "The features it has are kept" in done.content.decode() and new.state == "registered"


def test_the_progress_of_a_model_version_is_shown(filled: list[Any], desk: Client, version: Any) -> None:
    new = make_version("new", "registered")
    services.index_cameras([filled[0].pk], version, extractor=TinyExtractor())
    bars = desk.get(f"/admin/gallery/segment/version/{version.pk}/").content.decode()
    assert 'data-done="6" data-total="10"' in bars and "data-ended" not in bars
    assert "data-ended" in desk.get(f"/admin/gallery/segment/version/{new.pk}/").content.decode()  # nobody asked for it
    assert f"/admin/gallery/segment/version/{version.pk}/" in desk.get("/admin/research/modelversion/").content.decode()


def test_a_version_is_indexed_and_activated_from_its_page(
    filled: list[Any], desk: Client, version: Any, no_broker: Queued, django_capture_on_commit_callbacks: Any
) -> None:
    new = make_version("new", "registered")
    assert "index_and_activate" in desk.get(f"/admin/research/modelversion/{new.pk}/change/").content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        desk.post("/admin/research/modelversion/", {"action": "index_and_activate", "_selected_action": new.pk})
    assert no_broker == [("citysearch.gallery.tasks.version_index_task", (new.pk, True))]


def test_a_name_is_no_formula() -> None:
    assert [spreadsheet_safe(text) for text in ("=1+1", "a.jpg", "")] == ["'=1+1", "a.jpg", ""]


def test_segments_are_there_to_look_at(filled: list[Any], desk: Client, version: Any, extractor: TinyExtractor) -> None:
    services.index_cameras([filled[0].pk], version, extractor=extractor)
    segment = Segment.objects.get()
    assert segment.path in desk.get("/admin/gallery/segment/").content.decode()
    assert desk.post(f"/admin/gallery/segment/{segment.pk}/change/", {"rows": 1}).status_code == 403


def test_an_administrator_of_the_east_finds_no_crop_of_the_west(filled: list[Any]) -> None:
    from conftest import make_user
    from units.models import Unit

    client = Client()
    client.force_login(make_user("east", "administrator", Unit.objects.get(code="330102")))
    assert client.get(CROPS).content.decode().count(IMAGE) == 4


def test_staff_without_the_role_finds_nothing(filled: list[Any], operator: Any) -> None:
    operator.is_staff = True
    operator.save()
    client = Client()
    client.force_login(operator)
    assert client.get(CROPS).status_code == 403
