"""Imports and indexing that somebody stops: between two batches, with everything kept that was committed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from citysearch.errors import Conflict
from citysearch.gallery import queries, queueing, services, tasks, watch
from citysearch.gallery.models import Crop, GalleryImport
from citysearch.gallery.spool import spool_path
from citysearch.gallery.stopping import stop_check
from citysearch.gallery.tests.conftest import Queued, TinyExtractor, make_version, picture
from citysearch.research.services import model_index, model_stop

PICTURES = 6


@pytest.fixture
def row(cameras: list[Any], administrator: Any, no_broker: Queued, monkeypatch: pytest.MonkeyPatch) -> GalleryImport:
    """An upload of six pictures that waits, to be imported in batches of two."""
    monkeypatch.setattr("citysearch.gallery.adding.BATCH", 2)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(PICTURES):
            archive.writestr(f"cam-1/{number}.jpg", picture(number))
    return services.import_upload("day.zip", [buffer.getvalue()], administrator)


@pytest.fixture
def api(administrator: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(administrator)
    return client


def run_and_stop(row: GalleryImport, after: int) -> None:
    """What the worker does, and somebody who presses the button once so many pictures are done."""

    def progress(done: int, total: int) -> None:
        if done == after:
            services.import_stop(row)
        stop_check(row, done, total)

    services.import_run(row, spool_path(row.pk), progress=progress)
    row.refresh_from_db()


def test_a_running_import_stops_after_its_batch_keeps_it_and_goes_on_when_run_again(row: GalleryImport) -> None:
    run_and_stop(row, after=2)
    assert (row.state, row.added, Crop.objects.count()) == ("stopped", 2, 2)
    assert "What was imported so far is kept" in row.message and row.finished_at is not None
    tasks.import_task(row.pk)
    assert Crop.objects.count() == 2, "a task that comes late is no reason to go on"
    services.import_rerun(row)
    tasks.import_task(row.pk)
    row.refresh_from_db()
    assert (row.state, row.added, Crop.objects.count()) == ("done", PICTURES, PICTURES)


def test_who_stops_when_nothing_is_left_has_a_finished_import(row: GalleryImport) -> None:
    run_and_stop(row, after=PICTURES)
    assert (row.state, row.added, row.message) == ("done", PICTURES, "")


def test_an_import_that_waits_is_stopped_at_once_over_rest(row: GalleryImport, api: APIClient, stranger: Any) -> None:
    address = f"/api/v1/imports/{row.pk}/stop/"
    answer = api.post(address)
    assert (answer.status_code, answer.json()["state"]) == (202, "stopped")
    assert api.post(address).status_code == 409
    tasks.import_task(row.pk)
    assert not Crop.objects.exists()
    api.force_authenticate(stranger)
    assert api.post(address).status_code == 404


def test_an_import_whose_worker_died_before_it_came_to_stop_is_stopped_by_the_next(row: GalleryImport) -> None:
    GalleryImport.objects.filter(pk=row.pk).update(state="running")
    services.import_stop(row)
    assert row.state == "stopping"
    queueing.note_leave()
    watch.look()
    tasks.import_task(row.pk)
    row.refresh_from_db()
    assert row.state == "stopped" and not Crop.objects.exists()


def test_indexing_stops_between_two_slices_and_goes_on_from_there(
    filled: list[Any],
    version: Any,
    engine_is: TinyExtractor,
    no_broker: Queued,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    monkeypatch.setattr(tasks, "SLICE_SECONDS", 0)
    monkeypatch.setattr("citysearch.gallery.indexing.EXTRACT_ROWS", 4)
    monkeypatch.setattr("citysearch.research.services.model_verify", lambda version: None)
    new = make_version("new", state="registered")

    def work() -> Iterator[tuple[str, int]]:
        while no_broker:
            tasks.version_index_task(*no_broker.pop()[1])
            new.refresh_from_db()
            yield new.state, queries.index_progress(new)["indexed"]

    with django_capture_on_commit_callbacks(execute=True):
        model_index(new, activate=True)
    worked = work()
    assert next(worked) == ("indexing", 4)
    model_stop(new)
    assert list(worked) == [("registered", 4)]
    with pytest.raises(Conflict, match="not being indexed"):
        model_stop(new)
    with django_capture_on_commit_callbacks(execute=True):
        model_index(new, activate=False)
    assert list(work())[-1] == ("ready", 10)
