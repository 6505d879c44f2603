"""Bursts and re-scoring: one stay is one sighting, two people are two, and verdicts move the query the right way."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_engine.contracts import Hit, Place, Verdict
from reid_engine.sightings import GAP_S, collapse, rescore

PLACES = {camera: Place(0.001 * camera, 0.0, 10.0) for camera in range(1, 6)}


def hit(crop: int, camera: int = 1, seen_at: float = 0.0, p: float = 0.9) -> Hit:
    return Hit(crop, camera, seen_at, distance=1.0 - p, likelihood=p)


def test_a_burst_is_one_sighting_with_its_best_crop_first_and_all_crops_reachable() -> None:
    found = collapse(
        [hit(1, seen_at=10, p=0.8), hit(2, seen_at=11, p=0.95), hit(3, seen_at=14, p=0.9)], PLACES, {1: 2.0}
    )
    assert len(found) == 1
    (sighting,) = found
    assert (sighting.id, sighting.camera_id, sighting.start, sighting.end) == (1, 1, 10, 14)
    assert sighting.crop_ids == (2, 3, 1) and sighting.likelihood == 0.95
    assert sighting.place is PLACES[1] and sighting.clock_uncertainty_s == 2.0


def test_a_longer_gap_or_another_camera_begins_another_sighting() -> None:
    within = collapse([hit(1, seen_at=0), hit(2, seen_at=GAP_S)], PLACES)
    beyond = collapse([hit(1, seen_at=0), hit(2, seen_at=GAP_S + 0.1)], PLACES)
    elsewhere = collapse([hit(1, seen_at=0), hit(2, camera=2, seen_at=1)], PLACES)
    assert [len(found) for found in (within, beyond, elsewhere)] == [1, 2, 2]


def test_two_people_who_cross_before_one_camera_are_two_sightings() -> None:
    crossing = [hit(i, seen_at=i, p=0.95 if i % 2 else 0.02) for i in range(8)]
    assert [s.crop_ids for s in collapse(crossing, PLACES)] == [(1, 3, 5, 7), (0, 2, 4, 6)]


def test_sightings_come_likeliest_first() -> None:
    found = collapse([hit(1, 1, p=0.3), hit(2, 2, p=0.9), hit(3, 3, p=0.6)], PLACES)
    assert [s.likelihood for s in found] == [0.9, 0.6, 0.3]


def test_a_rejected_crop_leaves_its_burst_and_a_confirmed_one_speaks_for_all() -> None:
    burst = [hit(i, seen_at=i) for i in range(4)]
    found = collapse(burst, PLACES, verdicts={1: "rejected", 2: "confirmed"})
    assert {s.crop_ids: s.verdict for s in found} == {(0, 2, 3): "confirmed", (1,): "rejected"}


def test_a_hit_of_an_unknown_camera_is_an_error_not_a_silent_loss() -> None:
    with pytest.raises(KeyError):
        collapse([hit(1, camera=99)], PLACES)


hits_of = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 200).map(float), st.floats(0, 1)), max_size=30).map(
    lambda rows: [hit(i, camera, seen_at, p) for i, (camera, seen_at, p) in enumerate(rows)]
)


@given(
    hits=hits_of,
    seed=st.integers(0, 99),
    verdict=st.dictionaries(st.integers(0, 29), st.sampled_from(["confirmed", "rejected", "undecided"])),
)
@settings(max_examples=150, deadline=None)
def test_every_crop_is_in_exactly_one_sighting_whatever_the_order(
    hits: list[Hit], seed: int, verdict: dict[int, Verdict]
) -> None:
    shuffled = list(hits)
    random.Random(seed).shuffle(shuffled)
    found = collapse(hits, PLACES, verdicts=verdict)
    assert collapse(shuffled, PLACES, verdicts=verdict) == found
    assert sorted(crop for s in found for crop in s.crop_ids) == [h.crop_id for h in hits]
    assert len({s.id for s in found}) == len(found)
    for sighting in found:
        members = [h for h in hits if h.crop_id in sighting.crop_ids]
        assert {h.camera_id for h in members} == {sighting.camera_id}
        assert (sighting.start, sighting.end) == (min(h.seen_at for h in members), max(h.seen_at for h in members))
        assert sighting.likelihood == max(h.likelihood for h in members)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_without_verdicts_the_query_stays_as_it_is() -> None:
    query = np.array([3.0, 4.0, 0.0], np.float32)
    assert rescore(query, np.empty((0, 3)), np.empty((0, 3))) == pytest.approx(query)


def test_the_formula_with_confirmed_and_rejected_crops_of_very_different_length() -> None:
    rng = np.random.default_rng(1)
    query = rng.normal(size=8).astype(np.float32) * 20
    confirmed, rejected = rng.normal(size=(3, 8)), rng.normal(size=(2, 8)) * 100
    towards = unit(np.mean([unit(v) for v in confirmed], axis=0))
    direction = towards - 0.3 * np.mean([unit(v) for v in rejected], axis=0)
    found = rescore(query, confirmed.astype(np.float16), rejected.astype(np.float16))
    assert found.dtype == np.float32
    assert found == pytest.approx(unit(direction) * np.linalg.norm(query), rel=5e-3, abs=5e-2)


def test_verdicts_pull_towards_the_confirmed_and_away_from_the_rejected() -> None:
    rng = np.random.default_rng(2)
    query, right, wrong = rng.normal(size=(3, 64)).astype(np.float32)
    moved = rescore(query, right[None], wrong[None])
    assert unit(moved) @ unit(right) > 0.9 > unit(query) @ unit(right)
    assert unit(rescore(query, np.empty((0, 64)), wrong[None])) @ unit(wrong) < unit(query) @ unit(wrong)


def test_features_that_cancel_out_leave_the_query_as_it_was() -> None:
    query = np.array([1.0, 0.0], np.float32)
    assert rescore(query, np.zeros((1, 2)), np.empty((0, 2))) == pytest.approx(query)
    opposite = np.array([[0.0, 2.0], [0.0, -2.0]])
    assert rescore(query, opposite, np.empty((0, 2))) == pytest.approx(query)
