"""The edges of the gallery: times at the ends of time, archives that were left behind, segments that cannot be read."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from rest_framework.test import APIClient

from citysearch.gallery import services, spool
from citysearch.gallery.indexing import segment_store
from citysearch.gallery.models import Crop, Segment
from citysearch.gallery.tests.conftest import CropItem, TinyExtractor, picture

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("year", [1, 1899, 2201, 9999])
def test_a_time_no_page_could_show_is_a_reason_to_refuse(cameras: list[Any], administrator: Any, year: int) -> None:
    report = services.crops_add_bulk(cameras[0], [CropItem(picture(1), datetime(year, 6, 1, tzinfo=UTC))])
    assert [outcome.code for outcome in report.outcomes] == ["bad_time"]
    client = APIClient()
    client.force_authenticate(administrator)
    given = {"files": [SimpleUploadedFile("a.jpg", picture(1))], "captured_at": f"{year:04d}-06-01T12:00:00Z"}
    body = client.post(f"/api/v1/cameras/{cameras[0].pk}/crops/", given, format="multipart").json()
    assert (body["refused"], body["results"][0]["code"]) == (1, "bad_time")
    assert client.get("/api/v1/crops/").json()["count"] == 0


def test_archives_of_failed_imports_are_kept_no_longer_than_pictures(cameras: list[Any], settings: Any) -> None:
    settings.RETENTION_DAYS = 30
    old, new, half = spool.spool_path(1), spool.spool_path(2), spool.spool_path(3).with_suffix(".part")
    for path, days in ((old, 31), (new, 29), (half, 31)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"pictures of people")
        touched = (timezone.now() - timedelta(days=days)).timestamp()
        os.utime(path, (touched, touched))
    services.crops_purge(dry_run=True)
    assert old.exists()
    services.crops_purge()
    assert [path.exists() for path in (old, new, half)] == [False, True, False]


def test_a_segment_that_cannot_be_read_keeps_nobody_from_being_erased(
    filled: list[Any], version: Any, extractor: TinyExtractor, no_broker: list[Any]
) -> None:
    services.index_cameras([camera.pk for camera in filled], version, extractor=extractor)
    segment = Segment.objects.filter(camera=filled[0]).get()
    file = segment_store().root / segment.path
    file.write_bytes(file.read_bytes()[:-8])
    crop = Crop.objects.filter(camera=filled[0]).first()
    others = Crop.objects.filter(camera=filled[0]).count() - 1
    report = services.crops_erase([crop])
    assert report.is_complete and report.erased["crops"] == 1
    assert not Segment.objects.filter(camera=filled[0]).exists() and not file.exists()
    assert services.index_cameras([filled[0].pk], version, extractor=extractor) == others
