"""The edges of searches: who started one is gone, a database that fails while the photos lie on the disk already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError

from citysearch.searches import services
from citysearch.searches.models import Search, SearchPhoto
from citysearch.searches.tests import cast
from citysearch.searches.tests.conftest import client_of
from units.models import Unit

pytestmark = pytest.mark.django_db


def test_a_colleagues_verdict_keeps_the_hits_of_who_has_left(
    found: Search,
    operator: Any,
    supervisor: Any,
    eager_tasks: None,
    django_capture_on_commit_callbacks: Any,
) -> None:
    before = set(found.candidates.values_list("crop_id", flat=True))
    operator.memberships.all().delete()
    operator.is_active = False
    operator.save()
    crop = found.candidates.order_by("distance").first().crop_id
    with django_capture_on_commit_callbacks(execute=True):
        services.verdicts_add(found, supervisor, [(crop, "confirmed")])
    found.refresh_from_db()
    assert found.scored_verdict and found.error is None
    assert set(found.candidates.values_list("crop_id", flat=True)) == before
    state = client_of(supervisor).get(f"/api/v1/searches/{found.pk}/").json()
    assert state["counts"]["candidates"] == len(before) and not state["rescoring"]


def test_a_database_that_fails_leaves_no_photo_behind(
    operator: Any, city: Unit, gallery: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(SearchPhoto.objects, "bulk_create", busy)
    with pytest.raises(OperationalError):
        services.search_start(operator, city, [cast.photo_of(1)], "purpose", "case")
    assert not Search.objects.exists()
    assert not list((Path(settings.MEDIA_ROOT) / "photos").rglob("*.*"))


def test_a_judged_crop_of_a_camera_that_has_moved_away_keeps_its_place(
    found: Search, supervisor: Any, eager_tasks: None, django_capture_on_commit_callbacks: Any
) -> None:
    """The search's unit no longer holds the camera; what was said of its crop still counts."""
    crop = found.candidates.order_by("distance").first().crop
    part = found.parts.get(unit__path=crop.camera.unit.path[: len(found.unit.path) + 4])
    part.done = False
    part.save()
    with django_capture_on_commit_callbacks(execute=True):
        services.verdicts_add(found, supervisor, [(crop.pk, "confirmed")])
    found.refresh_from_db()
    assert found.error is None
    assert found.candidates.filter(crop=crop).exists()
