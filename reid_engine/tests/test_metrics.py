"""CMC, mAP and mINP against hand-computed examples and a slow reference in plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_engine.evaluation.metrics import RANKS, Identities, Scores, cmc_map_minp, intervals, score

Sample = tuple[np.ndarray, list[int], list[int], list[int], list[int]]


def reference(
    distances: np.ndarray,
    q_pids: list[int],
    g_pids: list[int],
    q_cams: list[int],
    g_cams: list[int],
) -> dict:
    """The definitions, word for word, one query and one crop at a time."""
    first, aps, inps, skipped = [], [], [], 0
    for row, person, camera in zip(distances.tolist(), q_pids, q_cams, strict=True):
        order = sorted(range(len(row)), key=lambda index: row[index])
        order = [index for index in order if not (g_pids[index] == person and g_cams[index] == camera)]
        ranks = [rank for rank, index in enumerate(order, start=1) if g_pids[index] == person]
        if not ranks:
            skipped += 1
            continue
        first.append(ranks[0])
        aps.append(sum(hit / rank for hit, rank in enumerate(ranks, start=1)) / len(ranks))
        inps.append(len(ranks) / ranks[-1])
    count = max(1, len(first))
    cmc = {rank: sum(best <= rank for best in first) / count for rank in RANKS}
    return {"cmc": cmc, "mean_ap": sum(aps) / count, "mean_inp": sum(inps) / count, "skipped": skipped}


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Few values, so that ties, own-camera crops and queries without a match all occur often."""
    queries, crops = draw(st.integers(0, 6)), draw(st.integers(1, 25))
    numbers = st.integers(0, 4)
    flat = draw(st.lists(st.integers(0, 8), min_size=queries * crops, max_size=queries * crops))
    lists = [draw(st.lists(numbers, min_size=size, max_size=size)) for size in (queries, crops, queries, crops)]
    return np.array(flat, np.float32).reshape(queries, crops) / 4, *lists


@given(samples())
@settings(max_examples=300, deadline=None)
def test_equals_the_reference_on_any_sample(sample: Sample) -> None:
    ours, theirs = cmc_map_minp(*sample), reference(*sample)
    assert ours.cmc == pytest.approx(theirs["cmc"], abs=1e-12)
    assert ours.mean_ap == pytest.approx(theirs["mean_ap"], abs=1e-12)
    assert ours.mean_inp == pytest.approx(theirs["mean_inp"], abs=1e-12)
    assert ours.skipped_queries == theirs["skipped"]


@given(samples())
@settings(max_examples=60, deadline=None)
def test_only_the_order_of_the_distances_counts(sample: Sample) -> None:
    distances, *rest = sample
    assert cmc_map_minp(np.exp(distances.astype(np.float64)), *rest) == cmc_map_minp(distances, *rest)


def test_one_query_by_hand() -> None:
    """Ranks of the two matches: 1 and 3. AP = (1/1 + 2/3) / 2, INP = 2/3."""
    found = cmc_map_minp([[0.1, 0.2, 0.3]], [7], [7, 8, 7], [1], [2, 2, 3])
    assert found.mean_ap == pytest.approx(5 / 6)
    assert found.mean_inp == pytest.approx(2 / 3)
    assert found.cmc == {1: 1.0, 5: 1.0, 10: 1.0, 20: 1.0}


def test_the_persons_crops_from_the_querys_own_camera_are_dropped_not_counted_as_misses() -> None:
    found = cmc_map_minp([[0.1, 0.2]], [7], [7, 7], [1], [1, 2])
    assert (found.cmc[1], found.mean_ap, found.mean_inp) == (1.0, 1.0, 1.0)


def test_other_people_under_the_querys_own_camera_stay_in_the_gallery() -> None:
    found = cmc_map_minp([[0.1, 0.2]], [7], [8, 7], [1], [1, 2])
    assert (found.cmc[1], found.mean_ap) == (0.0, 0.5)


def test_a_query_without_a_match_is_skipped_and_counted() -> None:
    found = cmc_map_minp([[0.1, 0.2], [0.1, 0.2]], [7, 9], [7, 8], [1, 1], [2, 2])
    assert (found.skipped_queries, found.mean_ap) == (1, 1.0)


def test_every_query_skipped_gives_zeros_not_a_division_by_zero() -> None:
    found = cmc_map_minp([[0.1]], [7], [8], [1], [2])
    assert (found.skipped_queries, found.mean_ap, found.mean_inp, found.cmc[20]) == (1, 0.0, 0.0, 0.0)


def test_equal_distances_keep_the_order_of_the_gallery() -> None:
    assert cmc_map_minp([[0.5, 0.5]], [7], [8, 7], [1], [2, 2]).cmc[1] == 0.0
    assert cmc_map_minp([[0.5, 0.5]], [7], [7, 8], [1], [2, 2]).cmc[1] == 1.0


def test_distractors_push_matches_down_but_never_match() -> None:
    found = cmc_map_minp([[0.1, 0.2, 0.3]], [7], [0, 0, 7], [1], [2, 2, 2])
    assert (found.cmc[1], found.mean_inp) == (0.0, pytest.approx(1 / 3))


def test_cmc_counts_ranks_after_the_dropped_crops() -> None:
    """Five crops of the own camera come first; the match behind them has rank 1."""
    found = cmc_map_minp([[1, 2, 3, 4, 5, 6]], [7], [7] * 6, [1], [1] * 5 + [2])
    assert found.cmc[1] == 1.0


@pytest.mark.parametrize("distances", [[[0.1]], [0.1, 0.2]])
def test_shapes_that_do_not_fit_are_refused(distances: list) -> None:
    with pytest.raises(ValueError, match="queries and 2 crops"):
        cmc_map_minp(distances, [7], [7, 8], [1], [2, 2])


def test_a_distance_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        cmc_map_minp([[0.1, float("nan")]], [7], [7, 8], [1], [2, 2])


def test_the_interval_holds_the_mean_and_narrows_with_more_people() -> None:
    widths = []
    for people in (25, 400):
        ap = np.random.default_rng(5).random(people)
        scores = Scores((ap > 0.5).astype(int), ap, ap / 2, np.arange(people), skipped=0)
        low, high = intervals(scores)["mean_ap"]
        assert low <= scores.mean_ap <= high
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.25)


def test_the_interval_resamples_people_not_queries() -> None:
    """Ten people asked for fifty times each tell no more than ten people asked for once."""
    once = Identities.of(np.arange(10), np.zeros(10))
    often = Identities.of(np.repeat(np.arange(10), 50), np.zeros(500))
    gallery = Identities.of(np.arange(10), np.ones(10))
    distances = np.random.default_rng(1).random((10, 10)) - np.eye(10) * 0.5
    narrow = intervals(score(np.repeat(distances, 50, axis=0), often, gallery))
    assert narrow["mean_ap"] == pytest.approx(intervals(score(distances, once, gallery))["mean_ap"], abs=1e-9)
