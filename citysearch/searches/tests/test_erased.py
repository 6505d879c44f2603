"""Who is erased from the gallery is gone from the paths too, at whatever moment it happens."""

from __future__ import annotations

from typing import Any

import pytest

from citysearch.gallery.models import Crop
from citysearch.gallery.services import crops_erase
from citysearch.searches import pipeline, tasks
from citysearch.searches.models import Search
from citysearch.searches.paths import path_crops
from citysearch.searches.tests.cast import Queue, outcome

pytestmark = pytest.mark.django_db


def stops_of(search: Search) -> list[dict[str, Any]]:
    search.refresh_from_db()
    assert search.trajectory is not None
    return [f["properties"] for f in search.trajectory["features"] if f["properties"]["kind"] == "stop"]


def burst_of(search: Search, stop: dict[str, Any]) -> list[Crop]:
    return list(Crop.objects.filter(pk__in=search.candidates.filter(sighting=stop["sighting"]).values("crop")))


def test_an_erased_sighting_leaves_the_path_which_is_drawn_anew(
    found: Search, eager_tasks: None, django_capture_on_commit_callbacks: Any
) -> None:
    gone = burst_of(found, stops_of(found)[1])
    with django_capture_on_commit_callbacks(execute=True):
        report = crops_erase(gone)
    assert report.erased["paths"] == 1 and report.left["paths"] == 0 and report.is_complete
    stops = stops_of(found)
    assert len(stops) == 3 and [stop["number"] for stop in stops] == [1, 2, 3]
    assert not path_crops(found.trajectory or {}) & {crop.pk for crop in gone}
    assert sum(f["properties"]["kind"] == "leg" for f in found.trajectory["features"]) == 2
    assert found.counts["candidates"] == 33 == found.candidates.count()


def test_what_is_left_of_a_burst_is_seen_at_its_own_time_under_its_own_name(
    found: Search, eager_tasks: None, django_capture_on_commit_callbacks: Any
) -> None:
    before = stops_of(found)[0]
    first = Crop.objects.get(pk=before["sighting"])
    with django_capture_on_commit_callbacks(execute=True):
        crops_erase([first])
    after = stops_of(found)[0]
    assert after["sighting"] != first.pk and after["start"] > before["start"] and after["end"] == before["end"]
    assert not found.candidates.filter(sighting=first.pk).exists()


def test_the_committed_erasure_names_nobody_even_if_nothing_is_ever_drawn_again(found: Search) -> None:
    """A crop in the middle of a burst is named nowhere, but the times of the stop are partly its own."""
    stop = stops_of(found)[2]
    middle = burst_of(found, stop)[1]
    assert middle.pk not in path_crops(found.trajectory or {})
    report = crops_erase([middle])
    assert report.left["paths"] == 0
    assert stop["sighting"] not in [left["sighting"] for left in stops_of(found)] and len(stops_of(found)) == 3


def test_a_crop_erased_after_it_was_ranked_is_no_error(
    queue: Queue, queued: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the ranking and the moment its candidates are stored."""
    ranked = pipeline._rows

    def erased_then(*args: Any) -> Any:
        rows = ranked(*args)
        Crop.objects.filter(pk=rows[0].crop_id).delete()
        return rows

    monkeypatch.setattr(pipeline, "_rows", erased_then)
    tasks.search_run.run(str(queued.pk))
    queue.run()
    assert outcome(queued)[0] == "done" and queued.candidates.count() == 34


def test_a_crop_erased_while_the_path_is_drawn_is_not_in_it(
    queue: Queue, queued: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, erased = pipeline.path_of, []

    def erased_then(*arguments: Any) -> Any:
        if not erased:
            erased.append(arguments[0][0].crop_ids[0])
            crops_erase(Crop.objects.filter(pk__in=erased))
        return drawn(*arguments)

    monkeypatch.setattr(pipeline, "path_of", erased_then)
    tasks.search_run.run(str(queued.pk))
    queue.run()
    assert outcome(queued)[0] == "done" and len(stops_of(queued)) == 4
    assert not path_crops(queued.trajectory or {}).intersection(erased)


def test_a_crop_erased_while_verdicts_are_scored_has_them_scored_again(
    found: Search, operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found.verdicts.create(crop_id=stops_of(found)[0]["crop"], value="confirmed", user=operator)
    drawn, erased = pipeline.path_of, []

    def erased_then(*arguments: Any) -> Any:
        if not erased:
            erased.append(arguments[0][1].crop_ids[0])
            Crop.objects.filter(pk__in=erased).delete()
        return drawn(*arguments)

    monkeypatch.setattr(pipeline, "path_of", erased_then)
    assert pipeline.search_rescore(found.pk) is True
    assert pipeline.search_rescore(found.pk) is False
    found.refresh_from_db()
    assert found.scored_verdict and not path_crops(found.trajectory or {}).intersection(erased)
