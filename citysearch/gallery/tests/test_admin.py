"""The administrator's pages: crops as pictures, imports with their lines, nothing to type over."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from citysearch.gallery import services
from citysearch.gallery.models import Crop, GalleryImport, ImportLine, Segment
from citysearch.gallery.tests.conftest import Queued, TinyExtractor

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
    assert f'<img src="{reverse("crop-image", args=[crop.pk])}"' in text
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
