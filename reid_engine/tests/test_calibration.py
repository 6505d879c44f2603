"""Likelihoods that mean what they say: fitted on labelled pairs, monotone, and kept through a manifest."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_engine.calibration import (
    NEAREST_STRANGERS,
    Calibration,
    Isotonic,
    Situated,
    Situation,
    directions,
    expected_calibration_error,
    fit_isotonic,
    fit_platt,
    fit_power,
    fit_situated,
    reliability,
    strangeness,
)
from reid_engine.errors import BadDataset, BundleCorrupt


def pairs(a: float, b: float, count: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Distances and labels drawn from a known calibration."""
    rng = np.random.default_rng(seed)
    distances = rng.uniform(0, 2, count)
    return distances, rng.random(count) < 1 / (1 + np.exp(a * distances + b))


def test_the_known_curve_is_found_again() -> None:
    fitted = fit_platt(*pairs(6.0, -5.0))
    assert fitted.a == pytest.approx(6.0, rel=0.05) and fitted.b == pytest.approx(-5.0, rel=0.05)


def test_the_fit_is_where_the_gradient_vanishes() -> None:
    distances, same = pairs(3.0, -1.0, 500)
    fitted = fit_platt(distances, same)
    targets = np.where(same, (same.sum() + 1) / (same.sum() + 2), 1 / ((~same).sum() + 2))
    left = targets - 1 / (1 + np.exp(fitted.a * distances + fitted.b))
    assert [left.sum(), left @ distances] == pytest.approx([0, 0], abs=1e-4)


def test_a_likelihood_of_86_is_right_in_86_of_100_new_pairs() -> None:
    fitted = fit_platt(*pairs(6.0, -5.0))
    distances, same = pairs(6.0, -5.0, seed=1)
    likelihood = fitted.likelihood(distances)
    near = np.abs(likelihood - 0.86) < 0.03
    assert same[near].mean() == pytest.approx(0.86, abs=0.03)
    assert expected_calibration_error(likelihood, same) < 0.02


def test_rare_matches_keep_their_rarity() -> None:
    distances, same = pairs(8.0, 0.0)
    assert same.mean() < 0.1
    assert fit_platt(distances, same).likelihood(distances).mean() == pytest.approx(same.mean(), abs=0.005)


@given(
    st.lists(st.tuples(st.floats(0, 2, width=32), st.booleans()), min_size=2, max_size=60).filter(
        lambda rows: len({same for _, same in rows}) == 2
    )
)
@settings(max_examples=200, deadline=None)
def test_every_fit_is_finite_in_range_and_never_rises_with_distance(rows: list[tuple[float, bool]]) -> None:
    distances, same = (np.array(column) for column in zip(*rows, strict=True))
    fitted = fit_platt(distances, same)
    likelihood = fitted.likelihood(np.linspace(0, 2, 50))
    assert likelihood.dtype == np.float32
    assert np.isfinite(likelihood).all() and likelihood.min() >= 0 and likelihood.max() <= 1
    assert (np.diff(likelihood) <= 0).all()


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_separable_pairs_do_not_run_away(offset: float) -> None:
    distances = np.r_[np.linspace(0, 0.5, 50), np.linspace(0.5 + offset, 1.5, 50)]
    fitted = fit_platt(distances, np.arange(100) < 50)
    assert 0 < fitted.a < 1e4
    assert fitted.likelihood(np.array([0.0]))[0] > 0.9 > 0.1 > fitted.likelihood(np.array([1.5]))[0]


def test_where_distance_says_the_wrong_thing_the_likelihood_is_the_plain_share() -> None:
    distances = np.linspace(0, 2, 300)
    fitted = fit_platt(distances, distances > 0.5)
    assert fitted.a == 0.0
    assert fitted.likelihood(distances) == pytest.approx(0.75, abs=0.01)


def test_equal_distances_are_no_accident() -> None:
    fitted = fit_platt(np.ones(100), np.arange(100) < 30)
    assert fitted.likelihood(np.ones(1))[0] == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("same", [np.ones(5, bool), np.zeros(5, bool), np.empty(0, bool)])
def test_pairs_of_one_kind_only_are_refused(same: np.ndarray) -> None:
    with pytest.raises(BadDataset, match="different people"):
        fit_platt(np.linspace(0, 1, len(same)), same)


def test_extreme_distances_neither_overflow_nor_warn() -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        likelihood = Calibration(1e4, -1e3).likelihood(np.array([0.0, 0.1, 2.0, 1e6]))
    assert likelihood == pytest.approx([1, 0.5, 0, 0])


def test_a_calibration_survives_its_manifest_to_the_last_bit() -> None:
    fitted = fit_platt(*pairs(6.0, -5.0, 300))
    assert Calibration.from_dict(json.loads(json.dumps(fitted.as_dict()))) == fitted


@pytest.mark.parametrize(
    "stored",
    [{}, {"kind": "isotonic", "a": 1, "b": 0}, {"kind": "platt", "a": -1, "b": 0}, {"kind": "platt", "a": "x", "b": 0}]
    + [{"kind": "platt", "a": math.nan, "b": 0}, {"kind": "platt", "a": 1}]
    + [{"kind": "power", "a": 1, "b": 0}, {"kind": "power", "a": 1, "b": 0, "power": -1}]
    + [{"kind": "isotonic", "distances": [0, 1], "likelihoods": [0.1, 0.9]}]
    + [{"kind": "isotonic", "distances": [], "likelihoods": []}, {"kind": "isotonic", "distances": "01"}],
)
def test_a_foreign_calibration_is_refused(stored: dict[str, object]) -> None:
    with pytest.raises(BundleCorrupt, match="calibration"):
        Calibration.from_dict(stored)


def test_the_calibration_error_is_the_gap_and_zero_without_pairs() -> None:
    same = np.arange(10) < 3
    assert expected_calibration_error(np.full(10, 0.3), same) == pytest.approx(0)
    assert expected_calibration_error(np.full(10, 0.8), same) == pytest.approx(0.5)
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0
    assert expected_calibration_error(np.empty(0), np.empty(0, bool)) == 0


FITS = [fit_platt, fit_power, fit_isotonic]


@pytest.mark.parametrize("fit", FITS)
def test_a_pair_of_weight_three_counts_as_three_pairs(fit: Any) -> None:
    distances, same = pairs(6.0, -5.0, 400)
    weights = np.random.default_rng(1).integers(0, 4, 400)
    told = fit(np.repeat(distances, weights), np.repeat(same, weights)).likelihood(distances)
    assert fit(distances, same, weights=weights).likelihood(distances) == pytest.approx(told, abs=2e-3)


def test_a_curve_that_levels_off_is_found_by_its_power() -> None:
    rng = np.random.default_rng(0)
    distances = rng.uniform(0, 2, 40_000)
    same = rng.random(40_000) < 1 / (1 + np.exp(3.0 * distances**3 - 2.0))
    fitted = fit_power(distances, same)
    assert (fitted.power, fitted.a) == (3.0, pytest.approx(3.0, rel=0.05))
    line = fit_platt(distances, same)
    errors = [expected_calibration_error(curve.likelihood(distances), same) for curve in (fitted, line)]
    assert errors[0] < 0.01 < errors[1]


def test_the_power_of_a_straight_curve_is_one() -> None:
    assert fit_power(*pairs(6.0, -5.0)).power == 1.0


@given(
    st.lists(st.tuples(st.floats(0, 2, width=32), st.booleans()), min_size=2, max_size=40).filter(
        lambda rows: len({same for _, same in rows}) == 2
    )
)
@settings(max_examples=100, deadline=None)
def test_isotonic_steps_are_the_nearest_falling_ones(rows: list[tuple[float, bool]]) -> None:
    """Against the formula min over starts of max over ends of the mean between them, at every distance."""
    distances, same = (np.array(column) for column in zip(*rows, strict=True))
    levels = np.unique(distances)
    sums = np.array([same[distances == level].sum() for level in levels], float)
    counts = np.array([(distances == level).sum() for level in levels], float)
    steps = [
        min(
            max(sums[low : high + 1].sum() / counts[low : high + 1].sum() for high in range(at, len(levels)))
            for low in range(at + 1)
        )
        for at in range(len(levels))
    ]
    fitted = fit_isotonic(distances, same)
    assert sorted(set(np.round(fitted.likelihoods, 9))) == sorted(set(np.round(steps, 9)))
    shown = fitted.likelihood(np.linspace(0, 2, 40))
    assert (np.diff(shown) <= 1e-7).all() and shown.min() >= 0 and shown.max() <= 1


@pytest.mark.parametrize("fit", FITS)
def test_every_kind_survives_its_manifest(fit: Any) -> None:
    fitted = fit(*pairs(6.0, -5.0, 300))
    assert Calibration.from_dict(json.loads(json.dumps(fitted.as_dict()))) == fitted


def test_bundles_written_before_there_were_kinds_read_as_platts() -> None:
    assert Calibration.from_dict({"kind": "platt", "a": 2.0, "b": -1.0}) == Calibration(2.0, -1.0)
    assert Calibration(2.0, -1.0).as_dict() == {"kind": "platt", "a": 2.0, "b": -1.0}


def test_an_isotonic_curve_is_straight_between_its_knots_and_level_beyond() -> None:
    curve = Isotonic((0.5, 1.0), (0.8, 0.2))
    assert curve.likelihood(np.array([0.0, 0.5, 0.75, 1.0, 2.0])) == pytest.approx([0.8, 0.8, 0.5, 0.2, 0.2])


def test_reliability_tells_said_and_so_by_bin() -> None:
    found = reliability(np.array([0.1, 0.1, 0.9]), np.array([False, True, True]), bins=2, weights=np.array([1, 1, 4]))
    assert found.likelihood == pytest.approx([0.1, 0.9]) and found.share == pytest.approx([0.5, 1.0])
    assert found.pairs == pytest.approx([2, 4])
    assert found.error == pytest.approx((2 * 0.4 + 4 * 0.1) / 6)


def searched(count: int = 60_000) -> tuple[np.ndarray, np.ndarray, Situation]:
    """Pairs of searches among 100 to 10,000 rows by queries of common and of rare looks, from a known curve."""
    rng = np.random.default_rng(2)
    distances, strangers = rng.uniform(0, 1.6, count), rng.uniform(0.5, 1.1, count)
    rows = 10 ** rng.uniform(2, 4, count)
    around = Situation(rows, strangers)
    return distances, rng.random(count) < Situated(9.0, -8.0, 1.5, 0.8, 6.0).likelihood(distances, around), around


def test_a_situated_curve_is_found_again() -> None:
    fitted = fit_situated(*searched())
    assert (fitted.a, fitted.rows) == (pytest.approx(9.0, rel=0.05), pytest.approx(0.8, rel=0.05))
    assert (fitted.b, fitted.strangers) == (pytest.approx(-8.0, rel=0.06), pytest.approx(6.0, rel=0.06))


def test_the_same_distance_means_less_among_more_rows_and_for_common_looks() -> None:
    curve, near = Situated(9.0, -8.0, 1.5, 0.8, 6.0), np.array([0.6])
    said = [curve.likelihood(near, Situation(rows, s))[0] for rows, s in ((100, 1.0), (10_000, 1.0), (10_000, 0.6))]
    assert said[0] > said[1] > said[2]
    assert (np.diff(curve.likelihood(np.linspace(0, 2, 50), Situation(500, 0.8))) <= 0).all()
    with pytest.raises(ValueError, match="situation"):
        curve.likelihood(near)


def test_where_distance_says_nothing_the_situation_says_nothing() -> None:
    distances, same, around = searched(2000)
    fitted = fit_situated(-distances, same, around)
    assert fitted.likelihood(distances, around) == pytest.approx(same.mean(), abs=0.02)


def test_what_never_varies_is_left_out() -> None:
    distances, same, _ = searched(4000)
    fitted = fit_situated(distances, same, Situation(500, 0.8))
    assert (fitted.rows, fitted.strangers) == (0.0, 0.0)
    assert fitted.a > 0


def test_a_situated_curve_survives_its_manifest() -> None:
    fitted = fit_situated(*searched(500))
    assert Calibration.from_dict(json.loads(json.dumps(fitted.as_dict()))) == fitted
    with pytest.raises(BundleCorrupt, match="calibration"):
        Calibration.from_dict({"kind": "situated", "a": 1, "b": 0})


def test_strangeness_is_the_mean_distance_to_the_nearest_directions() -> None:
    rng = np.random.default_rng(0)
    queries, strangers = rng.normal(size=(3, 8)), rng.normal(size=(40, 8))
    for query, found in zip(queries, strangeness(5 * queries, directions(2 * strangers)), strict=True):
        unit = [row / np.linalg.norm(row) for row in (query, *strangers)]
        wanted = np.sort([np.linalg.norm(unit[0] - other) for other in unit[1:]])[:NEAREST_STRANGERS].mean()
        assert found == pytest.approx(wanted, abs=1e-5)
    assert strangeness(queries, strangers[:2]).shape == (3,)
