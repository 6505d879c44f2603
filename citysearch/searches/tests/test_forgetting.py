"""The operator's photos are kept no longer than what was recorded; the log of who searched why stays."""

from __future__ import annotations

import os
import time
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from citysearch.gallery.services import crops_purge
from citysearch.searches import pipeline
from citysearch.searches.models import Search
from citysearch.searches.photos import photos_folder
from units.models import Unit

pytestmark = pytest.mark.django_db


@pytest.fixture
def old(found: Search, settings: Any) -> Search:
    """A search that ended forty days ago, in a gallery that is kept for ever."""
    settings.RETENTION_DAYS = 36500
    Search.objects.filter(pk=found.pk).update(finished_at=timezone.now() - timedelta(days=40))
    found.refresh_from_db()
    return found


def test_photos_and_features_go_with_the_retention_of_the_unit(old: Search, api: Any) -> None:
    assert crops_purge().erased["photos"] == 0 and photos_folder(old.pk).exists()
    Unit.objects.filter(pk=old.unit_id).update(retention_days=30)
    Unit.objects.exclude(pk=old.unit_id).update(retention_days=36500)
    report = crops_purge()
    assert (report.erased["photos"], report.left["photos"], report.erased["crops"]) == (1, 0, 0)
    was, sha256 = old.purpose, old.photos.get().sha256
    old.refresh_from_db()
    assert old.features is None and not photos_folder(old.pk).exists()
    assert (old.purpose, old.photos.get().sha256, old.candidates.count()) == (was, sha256, 36)
    assert api.get(f"/api/v1/searches/{old.pk}/photos/0/").status_code == 404
    assert api.get(f"/api/v1/searches/{old.pk}/").status_code == 200
    answer = api.post(f"/api/v1/searches/{old.pk}/rerun/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "bad_photo")
    assert crops_purge().erased["photos"] == 0


def test_the_command_removes_photos_where_no_crop_is_due(old: Search, capsys: pytest.CaptureFixture[str]) -> None:
    Unit.objects.filter(pk=old.unit_id).update(retention_days=30)
    Unit.objects.exclude(pk=old.unit_id).update(retention_days=36500)
    call_command("purge_gallery")
    assert "0 crops are older" in (printed := capsys.readouterr().out) and "photos: 1 -> 0" in printed
    assert not photos_folder(old.pk).exists()


def test_a_search_that_still_runs_keeps_its_photo(old: Search, settings: Any) -> None:
    settings.RETENTION_DAYS = 30
    Unit.objects.update(retention_days=None)
    Search.objects.filter(pk=old.pk).update(state="running")
    assert crops_purge().erased["photos"] == 0 and photos_folder(old.pk).exists()


def test_a_verdict_on_a_search_without_features_counts_for_its_path(old: Search, operator: Any) -> None:
    Search.objects.filter(pk=old.pk).update(features=None)
    ranked = list(old.candidates.values_list("crop_id", "distance"))
    last = old.candidates.order_by("-distance")[0].crop_id
    verdict = old.verdicts.create(crop_id=last, value="confirmed", user=operator)
    assert pipeline.search_rescore(old.pk) is False
    old.refresh_from_db()
    assert old.scored_verdict == verdict.pk and list(old.candidates.values_list("crop_id", "distance")) == ranked
    assert "confirmed" in [feature["properties"].get("verdict") for feature in (old.trajectory or {})["features"]]


def test_a_deleted_search_takes_its_photos_along(found: Search, django_capture_on_commit_callbacks: Any) -> None:
    folder = photos_folder(found.pk)
    assert folder.exists()
    with django_capture_on_commit_callbacks(execute=True):
        found.delete()
    assert not folder.exists()


def test_photos_that_no_search_names_are_swept_after_an_hour(found: Search, settings: Any) -> None:
    settings.RETENTION_DAYS = 36500
    young, aged = photos_folder(uuid.uuid4()), photos_folder(uuid.uuid4())
    for folder in (young, aged):
        folder.mkdir(parents=True)
    for folder in (aged, photos_folder(found.pk)):
        os.utime(folder, (time.time() - 7200,) * 2)
    report = crops_purge()
    assert (report.erased["photos"], report.left["photos"]) == (1, 0)
    assert young.exists() and not aged.exists() and photos_folder(found.pk).exists()
