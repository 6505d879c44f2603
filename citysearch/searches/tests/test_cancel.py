"""Stop: what finished parts found stays, nothing more is added."""

from __future__ import annotations

from typing import Any

import pytest

from citysearch.searches import pipeline, services, tasks
from citysearch.searches.models import Search
from citysearch.searches.tests import cast
from citysearch.searches.tests.cast import Queue, let_time_pass, outcome

pytestmark = pytest.mark.django_db


def test_a_search_stopped_between_two_parts_keeps_the_first(queue: Queue, queued: Search, api: Any) -> None:
    tasks.search_run.run(str(queued.pk))
    name, first = queue.pop(0)
    tasks.search_part.run(first)
    response = api.post(f"/api/v1/searches/{queued.pk}/cancel/")
    assert response.status_code == 202 and response.json()["cancel_requested"] is True
    queue.run()
    state, counts, path, hits = outcome(queued)
    assert state == "cancelled" and counts["parts_done"] == 1 and len(hits) == 18
    stops = [f["properties"] for f in path["features"] if f["geometry"]["type"] == "Point"]
    assert {stop["camera"]["code"] for stop in stops} == {"cam-1", "cam-2"}
    assert api.get(f"/api/v1/searches/{queued.pk}/hits/").json()["crops"] == 18


def test_a_search_stopped_between_two_batches_stores_nothing_of_that_part(
    queue: Queue,
    queued: Search,
    engine: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "BATCH_ROWS", 4)
    ranked = []

    def stop_at_the_seventh() -> None:
        ranked.append(1)
        if len(ranked) == 7:
            services.search_cancel(queued)

    engine.before_rank = stop_at_the_seventh
    queue.append(("searches.search_run", str(queued.pk)))
    queue.run()
    state, counts, _path, hits = outcome(queued)
    assert len(ranked) == 7
    assert state == "cancelled" and counts["parts_done"] == 1 and len(hits) == 18


def test_a_search_that_waits_is_stopped_at_once(queue: Queue, queued: Search, api: Any) -> None:
    assert api.post(f"/api/v1/searches/{queued.pk}/cancel/").json()["state"] == "cancelled"
    tasks.search_run.run(str(queued.pk))
    queue.run()
    assert outcome(queued)[0] == "cancelled" and not queued.parts.exists()


def test_what_is_over_cannot_be_stopped(found: Search, api: Any) -> None:
    response = api.post(f"/api/v1/searches/{found.pk}/cancel/")
    assert response.status_code == 409 and response.json()["error"]["code"] == "conflict"
    found.refresh_from_db()
    assert found.state == "done" and found.cancel_requested is False


def test_a_search_without_a_worker_is_closed_by_whoever_comes_first(
    queue: Queue,
    queued: Search,
    api: Any,
) -> None:
    pipeline.search_prepare(queued.pk)
    let_time_pass(queued)
    api.post(f"/api/v1/searches/{queued.pk}/cancel/")
    queue.run()
    assert outcome(queued)[0] in ("running", "cancelled")
    let_time_pass(queued)
    services.searches_requeue()
    queue.run()
    assert outcome(queued)[0] == "cancelled"


def test_batches_do_not_change_the_result(queue: Queue, queued: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.append(("searches.search_run", str(queued.pk)))
    queue.run()
    whole = outcome(queued)
    monkeypatch.setattr(pipeline, "BATCH_ROWS", 5)
    again = services.search_start(queued.user, queued.unit, [cast.photo_of(1)], "purpose", "case")
    queue.append(("searches.search_run", str(again.pk)))
    queue.run()
    assert outcome(again) == whole
