"""What a study keeps of its tiles, against the plain definitions on the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest

from reid_engine.calibration import Situation, expected_calibration_error, fit_platt
from reid_engine.evaluation import hits
from reid_engine.evaluation.cameras import camera_pairs, camera_scores
from reid_engine.evaluation.hits import HALVINGS, SHARES, halved, halvings
from reid_engine.evaluation.likelihoods import CENTRES, Said, by_situation, cross_fitted
from reid_engine.evaluation.metrics import Identities, cmc_map_minp, intervals, paired_intervals, score
from reid_engine.evaluation.names import OWN
from reid_engine.evaluation.observe import (
    BINS,
    FIRST_HITS,
    LEVELS,
    NEAREST,
    Halves,
    Observed,
    joined,
    observe,
)
from reid_engine.evaluation.openset import FALSE_ALARMS, detection, open_set

QUERIES, GALLERY, PEOPLE, CAMERAS = 60, 240, 24, 4
Sample = tuple[np.ndarray, Identities, Identities]


@pytest.fixture(scope="module")
def sample() -> Sample:
    """Distances that know the person only vaguely; people 1..24, gallery person 0 is nobody's."""
    rng = np.random.default_rng(4)
    queries = Identities.of(rng.integers(1, PEOPLE + 1, QUERIES), rng.integers(1, CAMERAS + 1, QUERIES))
    gallery = Identities.of(rng.integers(0, PEOPLE + 1, GALLERY), rng.integers(1, CAMERAS + 1, GALLERY))
    same = queries.person_ids[:, None] == gallery.person_ids
    distances = np.clip(rng.normal(np.where(same, 0.8, 1.3), 0.2), 0.01, 1.99).astype(np.float32)
    return distances, queries, gallery


def observed(sample: Sample, step: int = QUERIES) -> Observed:
    distances, queries, gallery = sample
    halves = Halves.of(queries, gallery)
    return joined(
        [
            observe(distances[at : at + step], queries.rows(at, at + step), gallery, halves.rows(at, at + step))
            for at in range(0, QUERIES, step)
        ]
    )


def test_tiles_of_any_size_keep_the_same(sample: Sample) -> None:
    whole, tiled = observed(sample), observed(sample, 7)
    assert np.array_equal(whole.pairs.counts, tiled.pairs.counts)
    assert np.array_equal(whole.pairs.hits, tiled.pairs.hits)
    assert np.array_equal(whole.pairs.whole, tiled.pairs.whole)
    for name in ("precision", "nearest", "present", "absent", "valid", "half", "people"):
        assert np.array_equal(getattr(whole, name), getattr(tiled, name)), name
    assert np.array_equal(whole.scores.ap, tiled.scores.ap)


def test_precision_at_each_recall_is_the_best_at_this_or_a_higher_one(sample: Sample) -> None:
    distances, queries, gallery = sample
    found = observed(sample)
    for place, query in enumerate(np.flatnonzero(found.valid)):
        kept = (gallery.person_ids != queries.person_ids[query]) | (gallery.camera_ids != queries.camera_ids[query])
        order = np.argsort(distances[query][kept], kind="stable")
        right = (gallery.person_ids[kept] == queries.person_ids[query])[order]
        recall, precision = np.cumsum(right) / right.sum(), np.cumsum(right) / np.arange(1, len(right) + 1)
        wanted = [precision[recall >= level - 1e-9].max() for level in LEVELS]
        assert found.precision[place] == pytest.approx(wanted)


def test_the_nearest_crops_leave_out_the_persons_own_camera(sample: Sample) -> None:
    distances, queries, gallery = sample
    found = observed(sample)
    for query in range(QUERIES):
        own = (gallery.person_ids == queries.person_ids[query]) & (gallery.camera_ids == queries.camera_ids[query])
        order = np.argsort(np.where(own, np.inf, distances[query]), kind="stable")[:NEAREST]
        assert np.array_equal(found.nearest[query], order)
        assert found.present[query] == pytest.approx(distances[query][order])
        others = distances[query][gallery.person_ids != queries.person_ids[query]]
        assert found.absent[query] == pytest.approx(np.sort(others)[:NEAREST])


def test_pairs_are_counted_within_one_half_of_the_people_and_once(sample: Sample) -> None:
    distances, queries, gallery = sample
    halves, pairs = Halves.of(queries, gallery), observed(sample).pairs
    same = queries.person_ids[:, None] == gallery.person_ids
    own = same & (queries.camera_ids[:, None] == gallery.camera_ids)
    for half in (0, 1):
        within = (halves.queries == half)[:, None] & (halves.gallery == half) & ~own
        assert pairs.counts[half].sum(axis=1).tolist() == [(within & ~same).sum(), (within & same).sum()]
        near = [min(FIRST_HITS, row.sum()) for row in within[halves.queries == half]]
        assert pairs.hits[half].sum() == sum(near)
    assert pairs.whole[0].sum() == (~own).sum()
    assert pairs.whole[1].sum() == QUERIES * FIRST_HITS


def test_no_person_is_in_both_halves_and_nobodys_crops_are_in_both(sample: Sample) -> None:
    _, queries, gallery = sample
    halves = Halves.of(queries, gallery)
    for person in np.unique(queries.person_ids):
        sides = np.r_[halves.queries[queries.person_ids == person], halves.gallery[gallery.person_ids == person]]
        assert len(np.unique(sides)) == 1
    nobody = halves.gallery[~np.isin(gallery.person_ids, queries.person_ids)]
    assert set(nobody) == {0, 1}


def test_errors_are_those_of_curves_fitted_on_the_other_half(sample: Sample) -> None:
    """Recomputed from the pairs themselves; bins of 0.0005 stand for them."""
    distances, queries, gallery = sample
    halves, pairs = Halves.of(queries, gallery), observed(sample).pairs
    same = queries.person_ids[:, None] == gallery.person_ids
    own = same & (queries.camera_ids[:, None] == gallery.camera_ids)
    side = [(halves.queries == half)[:, None] & (halves.gallery == half) & ~own for half in (0, 1)]
    said = [
        fit_platt(distances[side[1 - half]], same[side[1 - half]]).likelihood(distances[side[half]]) for half in (0, 1)
    ]
    wanted = expected_calibration_error(np.concatenate(said), np.concatenate([same[part] for part in side]))
    assert cross_fitted(pairs)["platt"].every.error == pytest.approx(wanted, abs=5e-4)


def test_what_searches_said_is_judged_as_it_is_over_pairs_likely_ones_and_hits(sample: Sample) -> None:
    distances, queries, gallery = sample
    same = queries.person_ids[:, None] == gallery.person_ids
    there = ~(same & (queries.camera_ids[:, None] == gallery.camera_ids))
    said = np.where(distances < 1.0, 0.6, 0.01).astype(np.float32)
    parts = [Said.of(said[at], distances[at], same[at], there[at]) for at in (slice(0, 17), slice(17, QUERIES))]
    found = cross_fitted(observed(sample).pairs, parts[0] + parts[1])[OWN]
    first = np.argsort(np.argsort(np.where(there, distances, np.inf), axis=1), axis=1) < FIRST_HITS
    for told, kind in ((found.every, there), (found.likely, there & (said > 0.05)), (found.hits, there & first)):
        assert told is not None and told.error == pytest.approx(expected_calibration_error(said[kind], same[kind]))


def test_without_matches_nothing_is_calibrated_or_detected() -> None:
    queries, gallery = Identities.of([1, 2], [1, 1]), Identities.of([3, 4, 5], [2, 2, 2])
    found = observe(np.ones((2, 3), np.float32), queries, gallery, Halves.of(queries, gallery))
    assert cross_fitted(found.pairs) == {}
    assert open_set(found) is None
    assert found.nearest[0].tolist() == [0, 1, 2] + [-1] * (NEAREST - 3)


def test_the_absent_are_told_by_a_threshold_from_the_other_half() -> None:
    rng = np.random.default_rng(0)
    present, absent = rng.normal(0.7, 0.1, 4000), rng.normal(1.0, 0.1, 4000)
    half, valid = np.arange(4000) % 2, np.ones(4000, bool)
    found = detection(present, absent, valid, half)
    assert found is not None
    assert found.false_alarms == pytest.approx(FALSE_ALARMS, abs=0.01)
    assert found.detected == pytest.approx(0.912, abs=0.02)  # P(N(1, .1) > .7 + 1.645 * .1)
    assert found.threshold == pytest.approx(0.8645, abs=0.01)
    assert (np.diff(found.curve) >= 0).all() and found.curve[-1] == 1


def test_who_cannot_be_told_apart_is_detected_as_often_as_falsely() -> None:
    rng = np.random.default_rng(1)
    found = detection(rng.random(4000), rng.random(4000), np.ones(4000, bool), np.arange(4000) % 2)
    assert found is not None and found.detected == pytest.approx(0.05, abs=0.015)


def common_looks() -> tuple[np.ndarray, Identities, Identities, np.ndarray]:
    """Distances that mean less for the half of the people who dress as strangers do: (distances, ids, strangers)."""
    rng = np.random.default_rng(5)
    queries = Identities.of(np.repeat(np.arange(80), 2), np.tile([1, 2], 80))
    gallery = Identities.of(np.repeat(np.arange(80), 4), np.tile([1, 2, 3, 4], 80))
    strangers = np.where(queries.person_ids % 4 < 2, 0.6, 1.0)
    same = queries.person_ids[:, None] == gallery.person_ids
    away = rng.normal(np.where(same, 0.7, 1.4), 0.18) * strangers[:, None]
    return np.clip(away, 0.01, 1.99).astype(np.float32), queries, gallery, strangers


def test_who_looks_like_many_is_doubted_more() -> None:
    distances, queries, gallery, strangers = common_looks()
    halves = halvings(queries, gallery)
    turns = halved(distances, queries, gallery, halves)
    fit = turns[0].hits.fit(strangers, np.ones(len(queries), bool))
    assert fit.strangers > 0 and 0.3 < fit.rows < 1.7
    near = np.array([0.75])
    assert fit.likelihood(near, Situation(300, 0.6))[0] < 0.3 < 0.7 < fit.likelihood(near, Situation(300, 1.0))[0]
    whole = observe(distances, queries, gallery, halves[0])
    assert by_situation(turns, strangers).hits.error < cross_fitted(whole.pairs)["platt"].hits.error


def test_a_curve_fitted_in_small_galleries_holds_in_a_larger_one() -> None:
    """The gallery of all people is twice as large as any the halves were fitted in."""
    distances, queries, gallery, strangers = common_looks()
    turn = halved(distances, queries, gallery, halvings(queries, gallery))[1]
    same = queries.person_ids[:, None] == gallery.person_ids
    there = ~(same & (queries.camera_ids[:, None] == gallery.camera_ids))
    first = np.argsort(np.argsort(np.where(there, distances, np.inf), axis=1), axis=1) < FIRST_HITS
    errors = []
    for rows in (len(gallery), 40):
        said = turn.fits(strangers)[0].likelihood(distances, Situation(rows, strangers[:, None]))
        errors.append(expected_calibration_error(said[first], same[first]))
    assert errors[0] < 0.03 and errors[0] < errors[1] / 2


@pytest.mark.parametrize("near", [1024, 8])
def test_hits_are_the_nearest_within_a_half_in_thinned_galleries(
    sample: Sample, near: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the crops looked at first are too few."""
    monkeypatch.setattr(hits, "NEAR", near)
    distances, queries, gallery = sample
    halves = halvings(queries, gallery)
    assert len(halves) == HALVINGS and not np.array_equal(halves[1].queries, halves[2].queries)
    turn = halved(distances, queries, gallery, halves)[1]
    same = queries.person_ids[:, None] == gallery.person_ids
    there = ~(same & (queries.camera_ids[:, None] == gallery.camera_ids))
    there &= halves[1].queries[:, None] == halves[1].gallery
    assert turn.hits.rows[:, 0].tolist() == there.sum(axis=1).tolist()
    for query in range(QUERIES):
        wanted = np.sort(distances[query][there[query]])[:FIRST_HITS]
        assert np.sort(turn.hits.distances[query, 0])[: len(wanted)] == pytest.approx(wanted)
    shares = turn.hits.rows / turn.hits.rows[:, :1]
    assert shares.mean(axis=0) == pytest.approx(SHARES, abs=0.1)
    kept = np.isfinite(turn.hits.distances[:, -1]) & turn.hits.same[:, -1]
    assert kept.sum() >= (np.isfinite(turn.hits.distances[:, 0]) & turn.hits.same[:, 0]).sum()


def test_camera_pairs_are_evaluations_of_their_own(sample: Sample) -> None:
    distances, queries, gallery = sample
    tiles = [camera_scores(distances[at : at + 13], queries.rows(at, at + 13), gallery) for at in range(0, QUERIES, 13)]
    for pair in camera_pairs(tiles):
        asked, seen = queries.camera_ids == pair.query_camera, gallery.camera_ids == pair.gallery_camera
        wanted = cmc_map_minp(
            distances[np.ix_(asked, seen)],
            queries.person_ids[asked],
            gallery.person_ids[seen],
            queries.camera_ids[asked],
            gallery.camera_ids[seen],
        )
        assert (pair.rank1, pair.mean_ap) == (pytest.approx(wanted.cmc[1]), pytest.approx(wanted.mean_ap))
        assert pair.query_camera != pair.gallery_camera
    assert len(camera_pairs(tiles)) == CAMERAS * (CAMERAS - 1)


def test_a_paired_interval_is_narrower_than_both_and_holds_the_difference(sample: Sample) -> None:
    distances, queries, gallery = sample
    noise = np.random.default_rng(0).normal(0, 0.02, distances.shape).astype(np.float32)
    first, second = score(distances, queries, gallery), score(distances + noise, queries, gallery)
    mean, low, high = paired_intervals(first, second)["mean_ap"]
    assert mean == pytest.approx(first.mean_ap - second.mean_ap)
    assert low <= mean <= high
    alone = intervals(first)["mean_ap"]
    assert high - low < (alone[1] - alone[0]) / 3


def test_a_run_beside_itself_differs_by_nothing_and_other_queries_are_refused(sample: Sample) -> None:
    distances, queries, gallery = sample
    scores = score(distances, queries, gallery)
    assert paired_intervals(scores, scores)["rank1"] == (0, 0, 0)
    with pytest.raises(ValueError, match="same queries"):
        paired_intervals(scores, score(distances[:30], queries.rows(0, 30), gallery))


def test_bins_cover_every_distance() -> None:
    assert len(CENTRES) == BINS and CENTRES[0] > 0 and CENTRES[-1] < 2
