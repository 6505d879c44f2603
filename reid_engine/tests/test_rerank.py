"""k-reciprocal re-ranking against the published algorithm written out densely, and its bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_engine.evaluation import rerank as module
from reid_engine.evaluation.metrics import cmc_map_minp
from reid_engine.evaluation.rerank import Reranking, rerank


def dense(distances: np.ndarray, queries: int, k1: int, k2: int, weight: float) -> np.ndarray:
    """The algorithm as published: full (N, N) matrices, loops over all pairs, float64."""
    first = np.asarray(distances, np.float64) ** 2
    first = first / first.max(axis=1, keepdims=True)
    count = len(first)
    rank = np.argsort(first.astype(np.float32), axis=1, kind="stable")

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in rank[i, : k + 1] if i in rank[j, : k + 1]}

    v = np.zeros((count, count))
    for i in range(count):
        core = reciprocal(i, k1)
        grown = set(core)
        for candidate in core:
            others = reciprocal(candidate, round(k1 / 2))
            if len(others & core) > 2 / 3 * len(others):
                grown |= others
        members = sorted(grown)
        v[i, members] = np.exp(-first[i, members]) / np.exp(-first[i, members]).sum()
    v = np.stack([v[rank[i, :k2]].mean(axis=0) for i in range(count)])
    jaccard = np.zeros((queries, count - queries))
    for i in range(queries):
        for j in range(queries, count):
            jaccard[i, j - queries] = 1 - np.minimum(v[i], v[j]).sum() / np.maximum(v[i], v[j]).sum()
    return (1 - weight) * jaccard + weight * first[:queries, queries:]


def points(count: int, seed: int, size: int = 4) -> np.ndarray:
    """Euclidean distances (count, count) float32 of points in a few clumps."""
    rng = np.random.default_rng(seed)
    at = rng.normal(size=(1 + count // 6, size))[rng.integers(0, 1 + count // 6, count)] + rng.normal(
        scale=0.6, size=(count, size)
    )
    return np.linalg.norm(at[:, None] - at[None], axis=2).astype(np.float32)


def reranked(distances: np.ndarray, queries: int, options: Reranking) -> np.ndarray:
    tiles = rerank(lambda numbers: distances[numbers], queries, len(distances), options)
    return np.concatenate([final for _, final in tiles])


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 5), st.floats(0, 1))
@settings(max_examples=12, deadline=None)
def test_equals_the_published_algorithm(seed: int, k1: int, k2: int, weight: float) -> None:
    distances = points(18, seed)
    found = reranked(distances, 6, Reranking(k1, k2, weight))
    assert found == pytest.approx(dense(distances, 6, k1, k2, weight), abs=2e-5)


def test_equals_the_published_algorithm_at_its_published_settings() -> None:
    distances = points(90, 7)
    assert reranked(distances, 20, Reranking()) == pytest.approx(dense(distances, 20, 20, 6, 0.3), abs=2e-5)


def test_the_size_of_the_tiles_changes_nothing_and_no_tile_is_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    distances, asked = points(40, 3), []
    whole = reranked(distances, 10, Reranking(8, 3))
    monkeypatch.setattr(module, "TILE_CELLS", 5 * 40)

    def rows(numbers: np.ndarray) -> np.ndarray:
        asked.append(len(numbers))
        return distances[numbers]

    tiles = list(rerank(rows, 10, 40, Reranking(8, 3)))
    assert np.array_equal(np.concatenate([final for _, final in tiles]), whole)
    assert [number for numbers, _ in tiles for number in numbers] == list(range(10))
    assert max(asked) == 5 and sum(asked) == 2 * 40 + 10


def test_progress_counts_every_row_that_is_asked_for() -> None:
    told: list[tuple[int, int]] = []
    distances = points(30, 1)
    list(rerank(lambda n: distances[n], 5, 30, Reranking(6, 2), lambda done, total: told.append((done, total))))
    assert told[-1] == (65, 65)


def test_weight_one_is_the_order_that_was_there() -> None:
    distances = points(40, 5)
    found = reranked(distances, 10, Reranking(8, 3, weight=1.0))
    assert np.array_equal(np.argsort(found, axis=1), np.argsort(distances[:10, 10:], axis=1))


def test_a_crop_near_a_clump_but_not_of_it_falls_back() -> None:
    """Ten people, each a chain of crops: neighbours of neighbours help, so mean AP rises."""
    rng = np.random.default_rng(2)
    people = np.repeat(np.arange(10), 9)
    at = rng.normal(size=(10, 6))[people] * 1.1 + rng.normal(scale=0.55, size=(90, 6))
    order = np.r_[np.arange(0, 90, 9), np.setdiff1d(np.arange(90), np.arange(0, 90, 9))]
    at, people = at[order], people[order]
    distances = np.linalg.norm(at[:, None] - at[None], axis=2).astype(np.float32)
    cameras = np.zeros(10), np.ones(80)
    before = cmc_map_minp(distances[:10, 10:], people[:10], people[10:], *cameras)
    after = cmc_map_minp(reranked(distances, 10, Reranking(8, 3)), people[:10], people[10:], *cameras)
    assert after.mean_ap > before.mean_ap + 0.02


def test_many_equal_pictures_leave_no_crop_without_neighbours() -> None:
    distances = np.zeros((30, 30), np.float32)
    found = reranked(distances, 3, Reranking(4, 2))
    assert np.isfinite(found).all()
