"""A message delivered twice, a worker that dies between two statements: the search completes, once."""

from __future__ import annotations

from typing import Any

import pytest

from citysearch.searches import pipeline, services, tasks
from citysearch.searches.models import Search, SearchPart
from citysearch.searches.tests import cast
from citysearch.searches.tests.cast import Queue, let_time_pass, outcome
from units.models import Unit

pytestmark = pytest.mark.django_db


def test_every_message_delivered_twice_gives_the_result_of_once(queue: Queue, queued: Search, engine: Any) -> None:
    pk = str(queued.pk)
    tasks.search_run.run(pk)
    tasks.search_run.run(pk)
    assert engine.extracted == 1 and queued.parts.count() == 2
    messages = list(queue)
    queue.run()
    once = outcome(queued)
    assert once[0] == "done" and len(once[3]) == 36
    for name, argument in [*messages, ("searches.search_run", pk), ("searches.search_finish", pk)]:
        getattr(tasks, name.removeprefix("searches.")).run(argument)
    queue.run()
    assert outcome(queued) == once


@pytest.mark.parametrize(
    "dies_in", ["_features_extract", "_part_match", "_part_store", "_counts", "_closed", "path_of"]
)
def test_a_worker_that_dies_anywhere_leaves_a_search_that_is_finished_later(
    queue: Queue, queued: Search, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    """The death is an exception nobody catches, thrown at the second call where there is one."""

    class Killed(BaseException):
        pass

    calls = []
    whole = getattr(pipeline, dies_in)

    def deadly(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == (2 if dies_in in ("_part_match", "_part_store") else 1):
            raise Killed
        return whole(*args, **kwargs)

    monkeypatch.setattr(pipeline, dies_in, deadly)
    queue.append(("searches.search_run", str(queued.pk)))
    with pytest.raises(Killed):
        queue.run()
    queue.clear()
    queued.refresh_from_db()
    assert queued.state == "running"
    done = set(queued.parts.filter(done=True).values_list("pk", flat=True))
    assert set(queued.candidates.values_list("part_id", flat=True)) == done

    let_time_pass(queued)
    assert services.searches_requeue() == 1
    assert queue.names() == ["search_run"]
    queue.run()
    state, counts, path, hits = outcome(queued)
    assert state == "done" and counts["parts_done"] == 2 and len(hits) == 36 and len(path["features"]) == 7


def test_a_part_is_done_exactly_when_its_candidates_are_there(
    queue: Queue, queued: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the database went away")

    parts = pipeline.search_prepare(queued.pk)
    monkeypatch.setattr(pipeline, "_candidates_add", broken)
    with pytest.raises(RuntimeError):
        pipeline.part_match(parts[0])
    assert not SearchPart.objects.get(pk=parts[0]).done and not queued.candidates.exists()


def test_finished_parts_are_visible_while_others_are_still_searched(queue: Queue, queued: Search, api: Any) -> None:
    first, second = pipeline.search_prepare(queued.pk)
    assert pipeline.part_match(first) == (queued.pk, False)
    state = api.get(f"/api/v1/searches/{queued.pk}/").json()
    assert (state["state"], state["stage"]) == ("running", "match")
    assert (state["counts"]["parts_done"], state["counts"]["parts"], state["counts"]["candidates"]) == (1, 2, 18)
    page = api.get(f"/api/v1/searches/{queued.pk}/hits/").json()
    assert page["state"] == "running" and page["crops"] == 18
    assert {hit["camera"]["code"] for hit in page["results"]} == {"cam-1", "cam-2"}
    assert pipeline.part_match(second) == (queued.pk, True)


def test_two_workers_that_finish_the_last_parts_at_once_complete_the_search_once(queue: Queue, queued: Search) -> None:
    """Each commits its part before it looks whether others are left, so that at least one of them sees none."""
    parts = pipeline.search_prepare(queued.pk)
    queued.refresh_from_db()
    for part in SearchPart.objects.filter(pk__in=parts).select_related("unit"):
        pipeline._part_match(queued, part)
    for part in queued.parts.all():
        tasks.search_part.run(part.pk)
    assert queue.names() == ["search_finish", "search_finish"]
    queue.run()
    assert outcome(queued)[0] == "done"


def test_two_searches_at_once_do_not_mix(queue: Queue, operator: Any, city: Unit, gallery: Any) -> None:
    searches = [services.search_start(operator, city, [cast.photo_of(n)], "purpose", f"case {n}") for n in (1, 2)]
    steps = [pipeline.search_prepare(search.pk) for search in searches]
    for pair in zip(*steps, strict=True):
        for part in pair:
            tasks.search_part.run(part)
    queue.run()
    for search, person in zip(searches, ("0001", "0002"), strict=True):
        hits = search.candidates.order_by("distance").select_related("crop")
        assert outcome(search)[0] == "done" and len(hits) == 36
        assert {hit.crop.source_name[:4] for hit in hits[:12]} == {person}


def test_with_the_broker_gone_the_search_waits_and_is_taken_up_when_it_is_back(
    api: Any, operator: Any, city: Unit, gallery: Any, monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    from celery import Task
    from kombu.exceptions import OperationalError

    def gone(*args: Any) -> None:
        raise OperationalError("Error 2 connecting to unix socket. No such file or directory.")

    monkeypatch.setattr(Task, "delay", gone)
    data = {"photos": [cast.upload(cast.photo_of(1))], "unit": city.code, "purpose": "purpose", "case": "case"}
    with django_capture_on_commit_callbacks(execute=True):
        response = api.post("/api/v1/searches/", data, format="multipart")
    assert response.status_code == 202
    state = api.get(response["Location"]).json()
    assert state["state"] == "queued" and state["error"]["code"] == "broker_gone"
    assert "goes on by itself" in state["error"]["message"]

    search = Search.objects.get(pk=state["id"])
    let_time_pass(search)
    monkeypatch.setattr(services, "_messages_waiting", lambda: None)
    assert services.searches_requeue() == 0
    sent = Queue()
    monkeypatch.setattr(Task, "delay", lambda self, *arguments: sent.append((self.name, arguments[0])))
    monkeypatch.setattr(services, "_messages_waiting", lambda: len(sent))
    assert services.searches_requeue() == 1
    sent.run()
    assert api.get(response["Location"]).json()["state"] == "done"
    assert api.get(response["Location"]).json()["error"] is None


def test_a_worker_that_has_the_search_in_hand_needs_no_broker(queued: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    from celery import Task
    from kombu.exceptions import OperationalError

    def gone(*args: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(Task, "delay", gone)
    tasks.search_run.run(str(queued.pk))
    assert outcome(queued)[0] == "done" and queued.candidates.count() == 36


def test_without_a_broker_nobody_knows_what_waits(
    settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from celery import current_app

    monkeypatch.setattr(current_app.conf, "broker_url", f"redis+socket://{tmp_path / 'no.sock'}")
    monkeypatch.setattr(current_app.conf, "broker_write_url", f"redis+socket://{tmp_path / 'no.sock'}")
    assert services._messages_waiting() is None


def test_a_search_in_good_hands_is_left_alone(queue: Queue, queued: Search) -> None:
    assert services.searches_requeue() == 0
    pipeline.search_prepare(queued.pk)
    assert services.searches_requeue() == 0


def test_a_search_whose_message_still_waits_is_not_sent_again(queue: Queue, queued: Search) -> None:
    let_time_pass(queued, seconds=60)
    queue.append(("searches.search_run", str(queued.pk)))
    assert services.searches_requeue() == 0
    let_time_pass(queued)
    assert services.searches_requeue() == 1
    queued.refresh_from_db()
    assert queued.attempts == 0


def test_a_lost_search_is_claimed_by_one_worker(queue: Queue, queued: Search) -> None:
    let_time_pass(queued)
    queued.refresh_from_db()
    assert services._take_up(queued, counted=True) is True
    assert services._take_up(queued, counted=True) is False
    assert queue.names() == ["search_run"]


def test_a_search_that_ends_every_worker_is_given_up_with_words(queue: Queue, queued: Search, api: Any) -> None:
    for _ in range(services.MAX_ATTEMPTS + 1):
        let_time_pass(queued)
        services.searches_requeue()
        queue.clear()
    state = api.get(f"/api/v1/searches/{queued.pk}/").json()
    assert state["state"] == "failed" and state["error"]["code"] == "worker_lost"
    assert str(services.MAX_ATTEMPTS) in state["error"]["message"]


def test_a_busy_database_is_no_failure(queue: Queue, queued: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def busy(*args: Any) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(pipeline, "_features_extract", busy)
    tasks.search_run.run(str(queued.pk))
    queued.refresh_from_db()
    assert queued.state == "running" and queued.error is None


def test_a_crop_erased_while_it_is_ranked_is_left_out(queue: Queue, queued: Search, engine: Any) -> None:
    from citysearch.gallery.models import Crop

    def erase() -> None:
        Crop.objects.filter(camera__code="cam-1").delete()

    engine.before_rank = erase
    queue.append(("searches.search_run", str(queued.pk)))
    queue.run()
    assert outcome(queued)[0] == "done" and queued.candidates.count() == 27


def test_a_search_that_was_deleted_meanwhile_ends_quietly(queue: Queue, queued: Search) -> None:
    parts = pipeline.search_prepare(queued.pk)
    pk = str(queued.pk)
    queued.delete()
    for task, argument in ((tasks.search_run, pk), (tasks.search_finish, pk), (tasks.search_rescore, pk)):
        task.run(argument)
    tasks.search_part.run(parts[0])
    queue.run()
    assert not Search.objects.exists()
