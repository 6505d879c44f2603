"""The fast path against the formulas written out in float64, and rankings that do not depend on how they were made."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_engine import bundle, scoring, scoring_torch
from reid_engine.calibration import Calibration
from reid_engine.contracts import Ranking
from reid_engine.engine import Engine
from reid_engine.errors import BundleMismatch
from reid_engine.models.diff_attention import DiffAttention
from reid_engine.photo import load_crop
from reid_engine.ranking import (
    SHORTLIST_ROWS,
    Attention,
    Ranker,
    coarse_top,
    cosine_similarities,
    exact_distances,
    exhaustive_rows,
    merge,
)
from reid_engine.stack import Stack
from reid_engine.workers import Workers

CALIBRATION = Calibration(6.0, -4.0)


def attention_of(
    dim: int,
    ratio: int = 4,
    transform: str = "abs",
    tied: bool = True,
    activation: str = "sigmoid",
    metric: str = "euclidean",
    seed: int = 0,
) -> Attention:
    """Random weights large enough for the map to vary from pair to pair."""
    torch.manual_seed(seed)
    hidden = max(1, dim // ratio)
    w_d, w_q, w_g, b = torch.randn(4).tolist()
    w1, w2 = torch.randn(hidden, dim) / dim**0.5, 2 * torch.randn(dim, hidden) / hidden**0.5
    return Attention(w1.numpy(), w2.numpy(), w_d, w_q, w_q if tied else w_g, b, transform, activation, metric)


def reference(attention: Attention, query: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The formulas of method.md, one row at a time, in float64."""
    w1, w2 = attention.w1.astype(np.float64), attention.w2.astype(np.float64)
    q = query.astype(np.float64)
    found = []
    for g in features.astype(np.float64):
        d = {"abs": abs(g - q), "squ": (g - q) ** 2, "sub": g - q}[attention.transform]
        f = attention.w_d * d + attention.w_q * q + attention.w_g * g + attention.b
        a = w2 @ np.maximum(w1 @ f, 0)
        a = 1 / (1 + np.exp(-a)) if attention.activation == "sigmoid" else a
        u, v = (x / max(float(np.linalg.norm(x)), 1e-12) for x in (a * q, a * g))
        found.append(np.linalg.norm(u - v) if attention.metric == "euclidean" else 1 - u @ v)
    return np.array(found)


def as_exact(found: np.ndarray, exact: np.ndarray, tolerance: float = 2e-4) -> bool:
    """Within the tolerance, or, where a distance is nearly zero, its square within float32's rounding of one."""
    return bool(((abs(found - exact) <= tolerance) | (abs(found**2 - exact**2) <= 1e-6)).all())


def gallery(rows: int, dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=dim).astype(np.float32), rng.normal(size=(rows, dim)).astype(np.float16)


def clustered(people: int = 60, crops: int = 20, dim: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """A query and the crops of several people; each person's lie around a centre of their own."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(people, dim))
    spread = rng.uniform(0.2, 1.2, (people, crops, 1)) * rng.normal(size=(people, crops, dim))
    rows = (centres[:, None] + spread).reshape(-1, dim)
    return (centres[0] + 0.3 * rng.normal(size=dim)).astype(np.float32), rows.astype(np.float16)


def module_like(attention: Attention, tied: bool, ratio: int) -> DiffAttention:
    module = DiffAttention(attention.dim, ratio, attention.transform, tied, attention.activation, attention.metric)
    scalars = (
        [attention.w_d, attention.w_q, attention.b]
        if tied
        else [attention.w_d, attention.w_q, attention.w_g, attention.b]
    )
    with torch.no_grad():
        module.aggregate.copy_(torch.tensor(scalars))
        module.reduce.weight.copy_(torch.from_numpy(attention.w1))
        module.expand.weight.copy_(torch.from_numpy(attention.w2))
    return module


@given(
    rows=st.integers(0, 40),
    dim=st.sampled_from([3, 8, 33, 64]),
    ratio=st.sampled_from([1, 2, 4, 512]),
    transform=st.sampled_from(["abs", "squ", "sub"]),
    tied=st.booleans(),
    activation=st.sampled_from(["sigmoid", "none"]),
    metric=st.sampled_from(["euclidean", "cosine"]),
    tile=st.sampled_from([1, 7, 16, None]),
    seed=st.integers(0, 9),
)
@settings(max_examples=150, deadline=None)
def test_the_fast_path_equals_the_formulas(
    rows: int,
    dim: int,
    ratio: int,
    transform: str,
    tied: bool,
    activation: str,
    metric: str,
    tile: int | None,
    seed: int,
) -> None:
    attention = attention_of(dim, ratio, transform, tied, activation, metric, seed)
    query, features = gallery(rows, dim, seed)
    found = exact_distances(attention, query, features, tile)
    assert found.dtype == np.float32 and found.shape == (rows,)
    assert as_exact(found, reference(attention, query, features))


@pytest.mark.parametrize("hidden", [1, 4])
def test_weights_lie_row_by_row_as_the_compiled_loops_read_them_fastest(hidden: int) -> None:
    narrow: Any = scoring.scorer(attention_of(64, 64 // hidden), gallery(1, 64)[0])
    assert narrow.reduce.flags.c_contiguous and narrow.expand.flags.c_contiguous


@pytest.mark.parametrize("hidden", [1, 4, 5, 128])
@pytest.mark.parametrize("transform", ["abs", "squ", "sub"])
def test_without_a_compiler_the_scores_are_the_same(
    hidden: int, transform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attention = attention_of(512, 512 // hidden, transform)
    query, features = gallery(70, 512)
    fast, cosine = exact_distances(attention, query, features), cosine_similarities(query, features)
    assert scoring.compiled_kernels() is not None
    monkeypatch.setattr(scoring, "compiled_kernels", lambda: None)
    assert exact_distances(attention, query, features) == pytest.approx(fast, abs=1e-5)
    assert cosine_similarities(query, features) == pytest.approx(cosine, abs=1e-6)


@pytest.mark.parametrize("transform", ["abs", "squ", "sub"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_searching_ranks_with_the_distance_that_training_saw(transform: str, tied: bool, metric: str) -> None:
    attention = attention_of(64, 4, transform, tied, metric=metric)
    module = module_like(attention, tied, 4)
    query, features = gallery(50, 64)
    trained = module.distance_matrix(torch.from_numpy(query)[None], torch.from_numpy(features).float())[0]
    assert exact_distances(Attention.of(module), query, features) == pytest.approx(trained.detach().numpy(), abs=1e-5)


def test_the_shipped_size_equals_the_formulas_too() -> None:
    attention = attention_of(512)
    query, features = gallery(512 + 13, 512)
    assert exact_distances(attention, query, features) == pytest.approx(reference(attention, query, features), abs=1e-5)


def test_a_constant_map_is_exactly_the_plain_cosine_order() -> None:
    attention = attention_of(64)
    constant = Attention(attention.w1, np.zeros_like(attention.w2), 1.0, 0.3, 0.3, 0.1)
    query, features = gallery(300, 64)
    distances = exact_distances(constant, query, features)
    cosine = cosine_similarities(query, features)
    assert np.array_equal(np.argsort(distances, kind="stable"), np.argsort(-cosine, kind="stable"))
    assert distances == pytest.approx(np.sqrt(2 - 2 * cosine), abs=1e-5)


def test_tied_weights_make_the_distance_symmetric_and_untied_ones_do_not() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 64)).astype(np.float16)
    for tied in (True, False):
        attention = attention_of(64, tied=tied)
        there = exact_distances(attention, a.astype(np.float32), b[None])
        back = exact_distances(attention, b.astype(np.float32), a[None])
        assert (abs(there - back) < 1e-6).all() == tied


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("length", [1e-2, 1.0, 50.0])
def test_a_picture_is_at_distance_zero_from_itself(metric: str, length: float) -> None:
    _, features = gallery(20, 512)
    scaled = (features * length).astype(np.float16)
    attention = attention_of(512, metric=metric)
    for row in scaled:
        assert exact_distances(attention, row.astype(np.float32), row[None])[0] == 0


def test_nearly_equal_pictures_are_told_apart() -> None:
    attention = attention_of(512)
    query, features = gallery(8, 512)
    near = query[None] * (1 + 1e-3 * features.astype(np.float32))
    exact = reference(attention, query, near)
    assert exact.max() < 3e-3
    assert exact_distances(attention, query, near) == pytest.approx(exact, rel=2e-3)


def test_a_zero_row_has_no_direction_and_does_not_spoil_the_others() -> None:
    query, features = gallery(4, 32)
    features[2] = 0
    for metric, expected in (("euclidean", 1.0), ("cosine", 1.0)):
        found = exact_distances(attention_of(32, metric=metric), query, features)
        assert np.isfinite(found).all() and found[2] == expected
    assert cosine_similarities(query, features)[2] == 0


@given(cut=st.integers(1, 1200), tile=st.sampled_from([64, 512]))
@settings(max_examples=15, deadline=None)
def test_a_rows_distance_does_not_depend_on_the_rows_beside_it(cut: int, tile: int) -> None:
    attention = attention_of(128)
    query, features = gallery(1201, 128)
    whole = exact_distances(attention, query, features, tile)
    parts = [exact_distances(attention, query, part, tile) for part in (features[:cut], features[cut:])]
    assert np.array_equal(np.concatenate(parts), whole)


def test_the_tile_size_changes_no_more_than_the_last_bits() -> None:
    attention = attention_of(128)
    query, features = gallery(700, 128)
    whole = exact_distances(attention, query, features, 700)
    for tile in (1, 13, 256, 1000):
        assert exact_distances(attention, query, features, tile) == pytest.approx(whole, abs=2e-6)


def test_bfloat16_agrees_on_the_top_twenty_where_people_differ() -> None:
    query, features = clustered()
    attention = attention_of(128)
    wide = exact_distances(attention, query, features)
    narrow = exact_distances(attention, query, features, precision="bfloat16")
    assert set(np.argsort(wide)[:20]) == set(np.argsort(narrow)[:20]) == set(range(20))
    assert abs(wide - narrow).max() < 0.02


def test_a_processor_without_bfloat16_scores_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    query, features = gallery(70, 128)
    monkeypatch.setattr(scoring_torch, "has_bfloat16", lambda kind: False)
    rough = exact_distances(attention_of(128), query, features, precision="bfloat16")
    assert np.array_equal(rough, exact_distances(attention_of(128), query, features))


def test_a_read_only_mapped_gallery_is_ranked_without_complaint(tmp_path_factory: pytest.TempPathFactory) -> None:
    query, features = gallery(10, 16)
    path = tmp_path_factory.mktemp("mapped") / "rows.npy"
    np.save(path, features)
    mapped = np.load(path, mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = exact_distances(attention_of(16), query, mapped)
    assert np.array_equal(found, exact_distances(attention_of(16), query, features))


@pytest.mark.parametrize("most", [0, 10_000])
def test_a_stack_of_many_segments_ranks_as_the_same_rows_in_one(most: int) -> None:
    query, features = gallery(5000, 64)
    ids = np.random.default_rng(1).permutation(5000)
    ranker = Ranker(attention_of(64), CALIBRATION, exhaustive_rows=most, workers=Workers(2))
    whole = ranker.rank(query, features, ids, 50)
    parts = ranker.rank(query, Stack(np.split(features, [0, 1, 700, 701, 3000, 5000]), 64), ids, 50)
    assert whole.exact == parts.exact == (most > 5000)
    assert np.array_equal(whole.ids, parts.ids) and np.array_equal(whole.distances, parts.distances)
    assert np.array_equal(whole.cosine, parts.cosine)


@pytest.mark.parametrize("dim", [65, 1025])
@pytest.mark.parametrize("queries", [1, 2, 3, 4, 5, 7, 9])
def test_several_queries_share_one_scan(queries: int, dim: int) -> None:
    rng = np.random.default_rng(queries)
    several, features = (
        rng.normal(size=(queries, dim)).astype(np.float32),
        rng.normal(size=(33, dim)).astype(np.float16),
    )
    features[7] = 0
    found = scoring.cosine(several)(features)
    assert found == pytest.approx(cosines_in_float64(several, features), abs=1e-6)
    assert np.array_equal(found, np.hstack([scoring.cosine(several)(part) for part in np.split(features, [2, 9, 10])]))
    ranked = Ranker(attention_of(dim), CALIBRATION).most_alike_each(
        several, Stack([features[:9], features[9:]], dim), 5
    )
    assert [rows.tolist() for rows in ranked] == [coarse_top(query, features, 5)[0].tolist() for query in several]


def cosines_in_float64(queries: np.ndarray, features: np.ndarray) -> np.ndarray:
    rows, wide = features.astype(np.float64), queries.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1)[:, None] * np.maximum(np.linalg.norm(rows, axis=1), 1e-12)
    return np.asarray(wide @ rows.T / lengths)


def ranked(query: np.ndarray, features: np.ndarray, ids: np.ndarray, limit: int) -> Ranking:
    return Ranker(attention_of(features.shape[1]), CALIBRATION).rank(query, features, ids, limit)


@pytest.mark.parametrize("limit", [1, 10, 299, 300, 5000])
def test_a_ranking_holds_the_nearest_rows_with_all_that_is_said_of_them(limit: int) -> None:
    query, features = gallery(300, 64)
    ids = np.random.default_rng(1).permutation(10_000)[:300]
    found = ranked(query, features, ids, limit)
    exact = reference(attention_of(64), query, features)
    order = np.argsort(exact)[:limit]
    assert found.ids.tolist() == ids[order].tolist()
    assert found.distances == pytest.approx(exact[order], abs=1e-5)
    assert found.cosine == pytest.approx(cosine_similarities(query, features)[order], abs=1e-6)
    assert np.array_equal(found.likelihoods, CALIBRATION.likelihood(found.distances))
    assert (found.scanned, found.exact) == (300, True)


def test_equal_distances_are_ordered_by_id_even_at_the_cut() -> None:
    query, features = gallery(1, 32)
    same = np.repeat(features, 50, axis=0)
    ids = np.random.default_rng(2).permutation(50)
    assert ranked(query, same, ids, 7).ids.tolist() == list(range(7))


def test_an_empty_gallery_gives_an_empty_ranking() -> None:
    query, _ = gallery(1, 32)
    for empty in (np.empty((0, 32), np.float16), np.empty((0, 0), np.float16)):
        found = Ranker(attention_of(32), CALIBRATION).rank(query, empty, np.empty(0, np.int64), 10)
        assert (len(found.ids), found.scanned, found.exact) == (0, 0, True)


def test_features_of_another_model_are_refused_with_both_sizes() -> None:
    query, features = gallery(3, 32)
    with pytest.raises(BundleMismatch, match="32.*64") as caught:
        Ranker(attention_of(32), CALIBRATION).rank(query, np.ones((3, 64), np.float16), np.arange(3), 5)
    assert caught.value.data == {"expected": 32, "found": [32, 64]}
    with pytest.raises(BundleMismatch):
        Ranker(attention_of(64), CALIBRATION).rank(query, features, np.arange(3), 5)


def test_a_gallery_too_large_to_scan_is_shortlisted_and_says_so() -> None:
    query, few = clustered(people=60, crops=20, dim=64)
    rng = np.random.default_rng(9)
    features = np.concatenate([few, rng.normal(size=(60_000, 64)).astype(np.float16) * 2])
    large = attention_of(64, ratio=1)
    heavy = replace(large, w1=np.tile(large.w1, (128, 1)), w2=np.tile(large.w2, (1, 128)) / 128)
    assert exhaustive_rows(heavy) < len(features)
    ids = rng.permutation(len(features))
    found = Ranker(heavy, CALIBRATION).rank(query, features, ids, 20)
    assert not found.exact and found.scanned == len(features)
    shortlist = coarse_top(query, features, SHORTLIST_ROWS)[0]
    distances = exact_distances(heavy, query, features[shortlist])
    assert found.ids.tolist() == ids[shortlist[np.argsort(distances)[:20]]].tolist()
    assert len(set(found.ids.tolist()) & set(ids[:20].tolist())) >= 18, "the person's own crops survive the shortlist"


def test_how_many_rows_are_scored_exactly_follows_the_cost_of_a_pair() -> None:
    assert exhaustive_rows(attention_of(512, ratio=4)) == 200_000
    assert exhaustive_rows(attention_of(512, ratio=512)) == 200_000
    assert exhaustive_rows(attention_of(2048, ratio=4)) == 12_500


@given(rows=st.integers(0, 60), k=st.integers(0, 70), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_the_coarse_stage_equals_sorting_everything(rows: int, k: int, seed: int) -> None:
    query, features = gallery(rows, 8, seed)
    features = np.concatenate([features, features[: rows // 2]])
    found, cosine = coarse_top(query, features, k)
    everything = cosine_similarities(query, features)
    assert found.tolist() == np.lexsort((np.arange(len(everything)), -everything))[:k].tolist()
    assert np.array_equal(cosine, everything[found])


@given(sizes=st.lists(st.integers(0, 40), max_size=6), limit=st.integers(1, 60), seed=st.integers(0, 5))
@settings(max_examples=80, deadline=None)
def test_the_units_rankings_merge_into_the_ranking_of_the_whole(sizes: list[int], limit: int, seed: int) -> None:
    query, features = gallery(sum(sizes), 16, seed)
    features[1::3] = features[:1]
    ids = np.random.default_rng(seed).permutation(1000)[: len(features)]
    bounds = np.cumsum([0, *sizes])
    parts = [ranked(query, features[a:b], ids[a:b], limit) for a, b in zip(bounds, bounds[1:], strict=False)]
    whole, merged = ranked(query, features, ids, limit), merge(parts[::-1], limit)
    assert merged.ids.tolist() == whole.ids.tolist()
    assert np.array_equal(merged.distances, whole.distances)
    assert merged.scanned == whole.scanned and merged.exact


def test_an_id_found_in_two_galleries_keeps_its_smaller_distance() -> None:
    def one(ids: list[int], distances: list[float], exact: bool = True) -> Ranking:
        wide = np.array(distances, np.float32)
        return Ranking(np.array(ids), wide, 1 - wide, CALIBRATION.likelihood(wide), 10, exact)

    merged = merge([one([1, 2], [0.3, 0.5]), one([2, 3], [0.4, 0.6], exact=False)], 10)
    assert merged.ids.tolist() == [1, 2, 3]
    assert merged.distances.tolist() == pytest.approx([0.3, 0.4, 0.6])
    assert merged.cosine.tolist() == pytest.approx([0.7, 0.6, 0.4])
    assert (merged.scanned, merged.exact) == (20, False)


@pytest.mark.slow
def test_on_real_features_the_fast_path_equals_the_formulas_and_bfloat16_the_top_twenty(real_data: Path) -> None:
    crops = sorted((real_data / "market1501-451" / "bounding_box_test").glob("*.jpg"))[:200]
    engine = Engine(bundle.SHIPPED)
    features = engine.crop_features([load_crop(path.read_bytes()) for path in crops])
    attention = bundle.read(bundle.SHIPPED).attention
    for row in range(0, 200, 20):
        query = features[row].astype(np.float32)
        exact = reference(attention, query, features)
        assert exact_distances(attention, query, features) == pytest.approx(exact, abs=1e-4)
        narrow = exact_distances(attention, query, features, precision="bfloat16")
        assert len(set(np.argsort(exact)[:20]) & set(np.argsort(narrow)[:20])) >= 19
