"""Tasks: in slices, once, and taken up again when nobody was there."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from citysearch.gallery import queries, queueing, services, tasks, watch
from citysearch.gallery.claims import claimed
from citysearch.gallery.indexing import Slice
from citysearch.gallery.models import Crop, GalleryImport
from citysearch.gallery.tests.conftest import Queued, TinyExtractor, items, make_version, picture
from citysearch.research.queries import active_model
from citysearch.research.services import model_index
from citysearch.research.signals import unindexed_asked

INDEX = "citysearch.gallery.tasks.index_task"
VERSION = "citysearch.gallery.tasks.version_index_task"
IMPORT = "citysearch.gallery.tasks.import_task"


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("cam-1/a.jpg", picture(1))
    return buffer.getvalue()


def test_crops_are_indexed_for_the_active_version_and_the_one_being_built(
    filled: list[Any], version: Any, no_broker: Queued, django_capture_on_commit_callbacks: Any
) -> None:
    building = make_version("new", state="indexing")
    make_version("old", state="ready")
    with django_capture_on_commit_callbacks(execute=True):
        services.index_request([filled[0].pk])
    assert sorted(no_broker) == [(INDEX, ([filled[0].pk], version.pk)), (INDEX, ([filled[0].pk], building.pk))]


def test_index_task_does_its_cameras(filled: list[Any], version: Any, engine_is: TinyExtractor) -> None:
    assert tasks.index_task([filled[0].pk], version.pk) == 6
    assert tasks.index_task([filled[0].pk], version.pk) == 0
    assert tasks.index_task([filled[0].pk], 999_999) == 0


@pytest.mark.parametrize(
    ("done", "goes_on"),
    [
        (Slice(5, ""), False),
        (Slice(5, "time"), True),
        (Slice(0, "busy"), True),
        (Slice(0, "time"), False),
    ],
)
def test_a_task_goes_on_only_where_it_gets_anywhere(
    filled: list[Any], version: Any, no_broker: Queued, monkeypatch: pytest.MonkeyPatch, done: Slice, goes_on: bool
) -> None:
    monkeypatch.setattr("citysearch.gallery.indexing.index_slice", lambda *args: done)
    tasks.index_task([filled[0].pk], version.pk)
    assert no_broker == ([(INDEX, ([filled[0].pk], version.pk))] if goes_on else [])


def test_a_new_version_is_built_slice_by_slice_and_then_switched_to(
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
    services.index_cameras([camera.pk for camera in filled], version, extractor=engine_is)
    new = make_version("new", state="registered")
    with django_capture_on_commit_callbacks(execute=True):
        model_index(new, activate=True)
    states, searched = [], []
    while no_broker:
        searched.append((active_model(), len(queries.gallery_of(filled, active_model()).ids)))
        _name, arguments = no_broker.pop()
        tasks.version_index_task(*arguments)
        new.refresh_from_db()
        states.append((new.state, queries.index_progress(new)["indexed"]))
    assert states == [("indexing", 4), ("indexing", 6), ("active", 10)]
    assert searched == 3 * [(version, 10)], "until the switch the old version is searched, all of it"
    assert active_model() == new and len(queries.gallery_of(filled, new).ids) == 10
    version.refresh_from_db()
    assert version.state == "ready"


def test_a_version_that_is_gone_is_no_work(db: None) -> None:
    assert tasks.version_index_task(999_999) == 0


def test_research_asks_and_the_gallery_answers(
    filled: list[Any],
    version: Any,
    extractor: TinyExtractor,
    no_broker: Queued,
    django_capture_on_commit_callbacks: Any,
) -> None:
    services.index_cameras([filled[0].pk], version, extractor=extractor)
    assert [answer for _receiver, answer in unindexed_asked.send(None, version=version)] == [4]
    with django_capture_on_commit_callbacks(execute=True):
        model_index(version)
    assert no_broker == [(VERSION, (version.pk, False))]


def test_an_import_that_somebody_is_doing_is_left_to_him(
    cameras: list[Any], administrator: Any, no_broker: Queued
) -> None:
    row = services.import_upload("day.zip", [archive()], administrator)
    with claimed(f"import-{row.pk}"):
        tasks.import_task(row.pk)
        assert not Crop.objects.exists()
    tasks.import_task(row.pk)
    assert Crop.objects.count() == 1


def test_an_upload_whose_user_was_deleted_has_nobodys_rights(cameras: list[Any], no_broker: Queued) -> None:
    from conftest import make_user
    from units.models import Unit

    east = make_user("east", "administrator", Unit.objects.get(code="330102"))
    row = services.import_upload("day.zip", [archive()], east)
    east.delete()
    tasks.import_task(row.pk)
    row.refresh_from_db()
    assert row.state == "failed" and "upload the archive again" in row.message and not Crop.objects.exists()


def test_a_worker_that_starts_takes_up_what_was_left(
    filled: list[Any], version: Any, no_broker: Queued, administrator: Any
) -> None:
    waiting = services.import_upload("day.zip", [archive()], administrator)
    killed = services.import_upload("day.zip", [archive()], administrator)
    GalleryImport.objects.filter(pk=killed.pk).update(state="running")
    services.import_create("folder", "killed on the command line")
    queueing.note_leave()
    assert watch.look()
    assert sorted(no_broker) == sorted(
        [
            (IMPORT, (waiting.pk,)),
            (IMPORT, (killed.pk,)),
            (INDEX, ([filled[0].pk, filled[2].pk], version.pk)),
        ]
    )


def test_what_could_not_be_sent_is_sent_when_the_broker_is_back(
    cameras: list[Any],
    version: Any,
    broker_gone: None,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    services.crops_add_bulk(cameras[0], items(1))
    assert not watch.look()
    with django_capture_on_commit_callbacks(execute=True):
        services.index_request([cameras[0].pk])
    assert watch.look() and watch.look(), "still gone: the note stays"
    queued: list[Any] = []
    monkeypatch.setattr("celery.app.task.Task.apply_async", lambda task, args, **options: queued.append(args))
    assert watch.look()
    assert queued == [([cameras[0].pk], version.pk)]
    assert not watch.look()


def test_a_purge_is_a_task_too(filled: list[Any]) -> None:
    report = tasks.purge_task()
    assert report["erased"]["crops"] == 10 and not Crop.objects.exists()


def test_the_watch_has_the_gallery_purged(no_broker: Queued) -> None:
    watch.purge_queue()
    assert no_broker == [("citysearch.gallery.tasks.purge_task", ())]
