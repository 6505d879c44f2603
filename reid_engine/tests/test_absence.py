"""Who is not in the gallery is said to be absent, whatever he wears."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from reid_engine.absence import ALIKE, LOOKED_AT, absence
from reid_engine.calibration import directions
from reid_engine.evaluation.hits import halvings
from reid_engine.evaluation.metrics import Identities
from reid_engine.evaluation.observe import observe
from reid_engine.evaluation.openset import absences, open_set, open_set_by_absence

DIM, PEOPLE, CROPS = 24, 80, 4


def crops(rng: np.random.Generator, people: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Every other person dresses as half of the town does: (N, DIM)."""
    found = people[of] + 0.7 * rng.normal(size=(len(of), DIM))
    found[:, 0] += np.where(of % 2, 8.0, 0.0)
    return np.asarray(found, np.float32)


def test_the_absent_are_told_more_often_than_by_distance_where_some_people_look_alike() -> None:
    rng = np.random.default_rng(2)
    people, others = rng.normal(size=(PEOPLE, DIM)), rng.normal(size=(400, DIM))
    queries = Identities.of(np.repeat(np.arange(PEOPLE), 2), np.tile([1, 2], PEOPLE))
    gallery = Identities.of(np.repeat(np.arange(PEOPLE), CROPS), np.tile([1, 2, 3, 4], PEOPLE))
    asked, seen = (crops(rng, people, side.person_ids) for side in (queries, gallery))
    strangers = crops(rng, others, np.arange(400))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (asked, seen)]
    distances = np.sqrt(np.clip(2 - 2 * unit[0] @ unit[1].T, 0, None)).astype(np.float32)
    same = queries.person_ids[:, None] == gallery.person_ids
    own = same & (queries.camera_ids[:, None] == gallery.camera_ids)
    evidence = absences(partial(absence, strangers=directions(strangers)), (asked, seen), distances, (same, own))
    halves = halvings(queries, gallery)
    whole = observe(distances, queries, gallery, halves[0])
    by_distance, known = open_set(whole), open_set_by_absence(whole, evidence, [half.queries for half in halves])
    assert by_distance is not None and known is not None
    assert known.detected > by_distance.detected + 0.1
    assert known.false_alarms < 0.07 and known.low < known.detected < known.high


def test_the_look_is_the_best_hit_s_with_the_crops_like_it() -> None:
    """By hand: strangers at a right angle to both; one hit, then one with its mirror image about the query."""
    query, strangers = np.array([1.0, 0, 0, 0]), np.eye(4)[[3]]
    left, right = np.array([4.0, 2, 0, 0]), np.array([4.0, -2, 0, 0])
    alone = absence(query, left[None], strangers)
    assert alone == pytest.approx(np.sqrt(2 - 8 / np.sqrt(20)) / np.sqrt(2))
    assert absence(query, np.stack([left, right]), strangers) == pytest.approx(0, abs=1e-6)
    assert absence(query, np.stack([left, [0.0, 1, 5, 0]]), strangers) == pytest.approx(alone), "another person's crop"
    few = np.stack([left, *[left + [0, 0, 0.1 * at, 0] for at in range(ALIKE)]])
    many = np.stack([*few, *[left + [0, 0, 2.0, 0]] * LOOKED_AT])
    assert absence(query, many, strangers) == absence(query, few, strangers)


def test_lengths_say_nothing_and_without_a_hit_there_is_no_answer() -> None:
    rng = np.random.default_rng(0)
    query, hits, strangers = rng.normal(size=DIM), rng.normal(size=(5, DIM)), directions(rng.normal(size=(30, DIM)))
    assert absence(3 * query, 7 * hits, strangers) == pytest.approx(absence(query, hits, strangers))
    assert absence(query, hits[:0], strangers) is None
