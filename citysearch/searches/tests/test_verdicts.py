"""Confirm, reject, undecided: scored again at once, the path drawn anew, nothing forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from citysearch.searches import pipeline, services, tasks, watch
from citysearch.searches.models import Search, Verdict
from citysearch.searches.tests import cast
from citysearch.searches.tests.conftest import client_of
from units.geo import RoadGraph

pytestmark = pytest.mark.django_db


@pytest.fixture
def judge(api: Any, eager_tasks: None, django_capture_on_commit_callbacks: Any) -> Any:
    def post(search: Search, body: Any, client: Any = None) -> Any:
        with django_capture_on_commit_callbacks(execute=True):
            return (client or api).post(f"/api/v1/searches/{search.pk}/verdicts/", body, format="json")

    return post


def crops_of(search: Search, person: int) -> list[int]:
    rows = search.candidates.filter(crop__source_name__startswith=f"{person:04d}")
    return list(rows.order_by("distance").values_list("crop_id", flat=True))


def stops_of(search: Search) -> list[dict[str, Any]]:
    search.refresh_from_db()
    return [f["properties"] for f in search.trajectory["features"] if f["geometry"]["type"] == "Point"]


def test_verdicts_move_the_query_as_the_formula_says(found: Search, judge: Any, gallery: Any, version: Any) -> None:
    from citysearch.gallery.queries import gallery_of

    yes, no = crops_of(found, 1)[:2], crops_of(found, 2)[:1]
    body = [{"crop": crop, "verdict": "confirmed"} for crop in yes] + [{"crop": no[0], "verdict": "rejected"}]
    response = judge(found, body)
    assert response.status_code == 202

    rows = gallery_of(gallery, version)
    features = {int(pk): row.astype(np.float64) for pk, row in zip(rows.ids, rows.features, strict=True)}
    unit = lambda vector: vector / np.linalg.norm(vector)  # noqa: E731
    towards = unit(
        np.mean([unit(pipeline.query_of(found).astype(np.float64)), *(unit(features[pk]) for pk in yes)], axis=0)
    )
    query = unit(towards - 0.3 * unit(features[no[0]]))
    expected = {pk: np.linalg.norm(query - unit(vector)) for pk, vector in features.items()}
    stored = dict(found.candidates.values_list("crop_id", "distance"))
    assert stored.keys() == expected.keys()
    assert np.allclose([stored[pk] for pk in expected], list(expected.values()), atol=2e-3)


def test_the_first_verdict_finds_the_ways_between_all_cameras_measured(
    found: Search, judge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RoadGraph, "_loaded", None)
    tasks.search_finish.run(str(found.pk))
    monkeypatch.setattr(RoadGraph, "_measured", lambda *_given: pytest.fail("a verdict waits for this"))
    judge(found, {"crop": crops_of(found, 1)[0], "verdict": "confirmed"})
    found.refresh_from_db()
    assert found.scored_verdict and found.error is None and stops_of(found)


def test_a_worker_that_starts_again_measures_the_ways_of_the_latest_search(
    own_connections: None, found: Search, judge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RoadGraph, "_loaded", None)
    watch.engine_warm()
    monkeypatch.setattr(RoadGraph, "_measured", lambda *_given: pytest.fail("a verdict waits for this"))
    judge(found, {"crop": crops_of(found, 1)[0], "verdict": "confirmed"})
    found.refresh_from_db()
    assert found.scored_verdict and found.error is None and stops_of(found)


def test_what_is_measured_ahead_in_vain_is_no_fault_of_the_search(
    found: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(pk: Any) -> None:
        raise OSError("no memory left")

    monkeypatch.setattr(pipeline, "search_foresee", fails)
    tasks.search_finish.run(str(found.pk))
    found.refresh_from_db()
    assert found.state == Search.State.DONE and found.error is None


def test_parts_ranked_together_are_ranked_as_one_by_one(found: Search, judge: Any, engine: cast.PaintEngine) -> None:
    columns = ("crop_id", "part", "distance", "cosine", "likelihood", "sighting")
    rankings = []
    for together in (True, False):
        engine.exhaustive_rows = 200_000 if together else 0
        engine.told.clear()
        judge(found, {"crop": crops_of(found, 1)[0], "verdict": "confirmed"})
        assert engine.told == [found.coverage["crops"]] * (1 if together else found.parts.count())
        rankings.append(list(found.candidates.order_by("distance", "crop_id").values_list(*columns)))
    assert rankings[0] == rankings[1]


def test_a_confirmed_sighting_is_pinned_and_a_rejected_one_leaves_the_path(found: Search, judge: Any) -> None:
    before = stops_of(found)
    assert len(before) == 4
    wrong, stranger_crop = before[1]["crop"], crops_of(found, 3)[0]
    judge(found, {"crop": wrong, "verdict": "rejected"})
    assert wrong not in [stop["crop"] for stop in stops_of(found)]
    judge(found, {"crop": stranger_crop, "verdict": "confirmed"})
    pinned = {stop["crop"]: stop for stop in stops_of(found)}
    assert stranger_crop in pinned and pinned[stranger_crop]["verdict"] == "confirmed"
    assert pinned[stranger_crop]["confidence"] == 1.0 and pinned[stranger_crop]["style"] == "solid"


def test_undecided_takes_a_verdict_back(found: Search, judge: Any) -> None:
    before = list(found.candidates.order_by("distance", "crop_id").values_list("crop_id", "distance"))
    path = found.trajectory
    crop = crops_of(found, 1)[0]
    judge(found, {"crop": crop, "verdict": "rejected"})
    assert list(found.candidates.order_by("distance", "crop_id").values_list("crop_id", "distance")) != before
    judge(found, {"crop": crop, "verdict": "undecided"})
    assert list(found.candidates.order_by("distance", "crop_id").values_list("crop_id", "distance")) == before
    found.refresh_from_db()
    assert found.trajectory == path


def test_the_answer_says_what_counted_before(found: Search, judge: Any) -> None:
    first, other = crops_of(found, 1)[:2]
    said = lambda body: {row["crop"]: row["verdict"] for row in judge(found, body).json()["replaced"]}  # noqa: E731
    assert said({"crop": first, "verdict": "confirmed"}) == {first: "undecided"}
    both = [{"crop": crop, "verdict": "rejected"} for crop in (first, other)]
    assert said(both) == {first: "confirmed", other: "undecided"}


def test_two_operators_verdicts_are_both_kept_and_the_latest_counts(
    found: Search, judge: Any, api: Any, supervisor: Any
) -> None:
    crop, other = crops_of(found, 1)[:2]
    judge(found, {"crop": crop, "verdict": "confirmed"})
    judge(found, {"verdicts": [{"crop": crop, "value": "rejected"}, {"crop": other, "value": "confirmed"}]},
          client=client_of(supervisor))  # fmt: skip
    assert Verdict.objects.filter(search=found, crop=crop).count() == 2
    latest = {row["crop"]: row for row in api.get(f"/api/v1/searches/{found.pk}/verdicts/").json()}
    assert (latest[crop]["verdict"], latest[crop]["user"], latest[crop]["given"]) == ("rejected", "supervisor", 2)
    assert latest[other]["verdict"] == "confirmed"
    hits = api.get(f"/api/v1/searches/{found.pk}/hits/?collapse=none").json()["results"]
    assert {hit["crop"]: hit["verdict"] for hit in hits if hit["verdict"]} == {crop: "rejected", other: "confirmed"}


def test_the_page_is_told_when_scoring_is_done(found: Search, api: Any, operator: Any) -> None:
    before = api.get(f"/api/v1/searches/{found.pk}/").json()
    services.verdicts_add(found, operator, [(crops_of(found, 1)[0], "confirmed")])
    waiting = api.get(f"/api/v1/searches/{found.pk}/").json()
    assert (before["rescoring"], waiting["rescoring"]) == (False, True)
    assert waiting["revision"] == before["revision"]
    assert pipeline.search_rescore(found.pk) is False
    after = api.get(f"/api/v1/searches/{found.pk}/").json()
    assert after["rescoring"] is False and after["revision"] > before["revision"]


def test_verdicts_lost_with_a_worker_are_scored_later(found: Search, operator: Any, monkeypatch: Any) -> None:
    from celery import Task

    from citysearch.searches.tests.cast import Queue, let_time_pass

    sent = Queue()
    monkeypatch.setattr(Task, "delay", lambda self, *arguments: sent.append((self.name, arguments[0])))
    monkeypatch.setattr(services, "_messages_waiting", lambda: len(sent))
    services.verdicts_add(found, operator, [(crops_of(found, 1)[0], "confirmed")])
    sent.clear()
    assert services.searches_requeue() == 0
    let_time_pass(found)
    assert services.searches_requeue() == 1 and sent.names() == ["search_rescore"]
    sent.run()
    found.refresh_from_db()
    assert found.scored_verdict == found.verdicts.latest("id").pk


def test_verdicts_given_while_the_search_runs_count_at_its_end(
    operator: Any, city: Any, gallery: Any, eager_tasks: None, django_capture_on_commit_callbacks: Any
) -> None:
    search = services.search_start(operator, city, [cast.photo_of(1)], "purpose", "case")
    first, second = pipeline.search_prepare(search.pk)
    pipeline.part_match(first)
    search.refresh_from_db()
    wrong = search.candidates.order_by("distance").first()
    with django_capture_on_commit_callbacks(execute=True):
        services.verdicts_add(search, operator, [(wrong.crop_id, "rejected")])
    from citysearch.searches import tasks

    tasks.search_part.run(second)
    search.refresh_from_db()
    assert search.state == "done" and search.scored_verdict > 0
    assert wrong.crop_id not in [stop["crop"] for stop in stops_of(search)]


def test_a_crop_that_is_no_hit_or_a_word_that_is_no_verdict_is_refused(found: Search, judge: Any) -> None:
    crop = crops_of(found, 1)[0]
    for body, field in (
        ({"crop": 10**9, "verdict": "confirmed"}, "crop"),
        ({"crop": crop, "verdict": "perhaps"}, "verdict"),
        ({"crop": crop}, "verdict"),
        ([], "verdicts"),
        ([{"crop": "x", "verdict": "confirmed"}], "verdicts"),
    ):
        response = judge(found, body)
        assert response.status_code == 400, body
        assert field in response.json()["error"]["fields"], response.json()
    assert not Verdict.objects.exists()


def test_a_judged_crop_stays_among_the_hits_beyond_the_limit(found: Search, judge: Any, settings: Any) -> None:
    worst = found.candidates.order_by("-distance").first().crop_id
    settings.SEARCH_LIMIT = 20
    judge(found, {"crop": worst, "verdict": "rejected"})
    kept = set(found.candidates.values_list("crop_id", flat=True))
    assert worst in kept and len(kept) == 21


def test_two_confirmed_sightings_that_exclude_each_other_are_a_conflict(
    found: Search, judge: Any, gallery: Any
) -> None:
    """Corrected for cam-4's clock, person 1 stood before cam-1 and cam-4, two kilometres apart, half a minute apart."""
    from units.models import Camera

    Camera.objects.filter(code="cam-4").update(clock_offset_s=3 * 1800 - 30, clock_uncertainty_s=0)
    first = found.candidates.get(crop__camera__code="cam-1", crop__source_name="0001_c1s1_000000_00.jpg").crop_id
    second = found.candidates.get(crop__camera__code="cam-4", crop__source_name="0001_c4s1_000000_00.jpg").crop_id
    judge(found, [{"crop": first, "verdict": "confirmed"}, {"crop": second, "verdict": "confirmed"}])
    found.refresh_from_db()
    (conflict,) = found.trajectory["conflicts"]
    assert {conflict["first"]["camera"]["name"], conflict["second"]["camera"]["name"]} == {"Camera 1", "Camera 4"}
    assert conflict["distance_m"] > 1000 and conflict["seconds"] < 60


def test_how_absent_the_person_looks_changes_with_a_verdict(
    start: Any, city: Any, gallery: list[Any], judge: Any
) -> None:
    there, gone = (Search.objects.get(pk=start(city, person).json()["id"]) for person in (1, 50))
    assert there.absence is not None and gone.absence is not None
    assert there.absence < 0.6 < 0.8 < gone.absence
    judge(gone, {"crop": gone.candidates.order_by("distance")[0].crop_id, "verdict": "confirmed"})
    gone.refresh_from_db()
    assert gone.absence < 0.7
