"""The ablations on small made features: the right figures, kept after each row, in every form of the table."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reid_engine.errors import BadConfig, BadDataset, TrainingDiverged, TrainingStopped
from reid_engine.evaluation.ablation import as_csv, as_json, as_markdown, write_ablation
from reid_engine.evaluation.metrics import cmc_map_minp
from reid_engine.training import separate
from reid_engine.training.ablate import Ablation, Row, ablate
from reid_engine.training.config import TrainConfig
from reid_engine.training.frozen import Frozen, read_frozen
from reid_engine.training.separate import module_epochs
from reid_engine.training.standing import ModuleLearner

SMALL = Ablation(ratios=(1, 4, 16, 32), epochs=2, threads=1)
PARTS = {"train": (12, 6, 0), "query": (8, 2, 100), "gallery": (8, 4, 100)}


def people(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Features of which the first half tells who it is, and (person, camera) of each."""
    count, crops, first = PARTS[part]
    rng = np.random.default_rng(len(part))
    person = np.repeat(np.arange(count), crops) + first
    centres = np.random.default_rng(first).normal(size=(count, 8))[person - first]
    vectors = np.concatenate([centres + 0.4 * rng.normal(size=centres.shape), 1.5 * rng.normal(size=centres.shape)], 1)
    return vectors.astype(np.float32), np.stack([person, np.arange(len(person)) % 2], 1)


@pytest.fixture
def features(tmp_path: Path) -> Path:
    folder = tmp_path / "features"
    folder.mkdir()
    for part in PARTS:
        vectors, ids = people(part)
        np.save(folder / f"{part}.npy", vectors)
        np.save(folder / f"{part}_ids.npy", ids)
    return folder


@pytest.fixture
def frozen(features: Path) -> Frozen:
    return read_frozen(features)


def figures(distances: np.ndarray) -> tuple[float, float, float]:
    ids = [people(part)[1].T for part in ("query", "gallery")]
    found = cmc_map_minp(distances, ids[0][0], ids[1][0], ids[0][1], ids[1][1])
    return found.cmc[1], found.mean_ap, found.mean_inp


def stated(row: Row) -> tuple[float, float, float]:
    return row.figures["rank1"], row.figures["mean_ap"], row.figures["mean_inp"]


def test_the_base_line_is_plain_cosine_of_the_same_features(frozen: Frozen, tmp_path: Path) -> None:
    q, g = (people(part)[0].astype(np.float64) for part in ("query", "gallery"))
    cosine = q @ g.T / np.linalg.norm(q, axis=1)[:, None] / np.linalg.norm(g, axis=1)
    found = ablate(Ablation(transforms=("abs",), ratios=(), epochs=1, threads=1), frozen, tmp_path)
    assert stated(found.baseline) == pytest.approx(figures(-cosine), abs=1e-9)


def test_a_row_is_the_module_its_last_epoch_leaves(frozen: Frozen, tmp_path: Path) -> None:
    found = ablate(SMALL, frozen, tmp_path)
    config = TrainConfig(data="", out="", ratio=16, module_epochs=2, module_steps_at=(1, 2), seed=1)
    learner = ModuleLearner(config, 16, 1e-3, frozen.dim)
    list(module_epochs(config, learner, frozen.train.vectors[None], frozen.labels, lambda *_: None))
    with torch.no_grad():
        distances = learner.module.distance_matrix(frozen.query.vectors, frozen.gallery.vectors).numpy()
    row = found.by_ratio(SMALL)[-1]
    assert (row.ratio, row.hidden, row.parameters) == (16, 1, 2 * 16 + 3)
    assert stated(row) == pytest.approx(figures(distances), abs=1e-9)
    gain = row.figures["mean_ap"] - found.baseline.figures["mean_ap"]
    assert row.figures["gain mean_ap"] == pytest.approx(gain)
    assert row.figures["gain mean_ap low"] <= gain <= row.figures["gain mean_ap high"]


def test_every_module_is_trained_once_and_ratios_above_the_feature_size_are_left_out(
    frozen: Frozen, tmp_path: Path
) -> None:
    told: list[Row] = []
    found = ablate(SMALL, frozen, tmp_path, told=told.append)
    names = [(row.transform, row.ratio) for row in told]
    assert names == [("sub", 4), ("squ", 4), ("abs", 4), ("abs", 1), ("abs", 16)]
    assert [row.transform for row in found.by_transform(SMALL)] == ["sub", "squ", "abs"]
    assert [row.ratio for row in found.by_ratio(SMALL)] == [1, 4, 16]


def test_what_the_module_learns_shows_in_its_row(frozen: Frozen, tmp_path: Path) -> None:
    longer = Ablation(transforms=("abs",), ratios=(2,), epochs=60, lr=1e-2, threads=1)
    found = ablate(longer, frozen, tmp_path)
    assert max(row.figures["gain mean_ap"] for row in found.rows) > 0.03


def test_progress_counts_the_epochs_of_all_rows(frozen: Frozen, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    ablate(SMALL, frozen, tmp_path, lambda done, total, _: seen.append((done, total)))
    assert seen == [(done, 10) for done in range(1, 11)]


def test_ctrl_c_keeps_the_finished_rows_and_the_same_command_goes_on(frozen: Frozen, tmp_path: Path) -> None:
    def interrupted(done: int, total: int, note: str) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(TrainingStopped, match="2 of 5 rows are in .*; start the same command again"):
        ablate(SMALL, frozen, tmp_path / "stopped", interrupted)
    told: list[Row] = []
    resumed = ablate(SMALL, frozen, tmp_path / "stopped", told=told.append)
    whole = ablate(SMALL, frozen, tmp_path / "whole")
    assert len(told) == 3
    assert [row.figures for row in resumed.rows] == [row.figures for row in whole.rows]


def test_rows_of_other_settings_are_not_gone_on_with(frozen: Frozen, tmp_path: Path) -> None:
    ablate(Ablation(transforms=("abs",), ratios=(), epochs=1, threads=1), frozen, tmp_path)
    with pytest.raises(BadConfig, match=r"rows.json belongs to an ablation with another epochs, seed"):
        ablate(Ablation(transforms=("abs",), ratios=(), epochs=2, seed=2, threads=1), frozen, tmp_path)
    (tmp_path / "rows.json").write_text("[]")
    with pytest.raises(BadConfig, match="holds no rows of an ablation"):
        ablate(SMALL, frozen, tmp_path)


def test_a_row_that_diverges_is_said_and_the_others_go_on(
    frozen: Frozen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = separate._step

    def diverging(config: TrainConfig, *rest: object) -> float:
        if config.transform == "squ":
            raise TrainingDiverged("the module's loss is nan")
        return step(config, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(separate, "_step", diverging)
    found = ablate(SMALL, frozen, tmp_path)
    assert [row.note for row in found.by_transform(SMALL)] == ["", "diverged", ""]
    assert "| squ | 4 | 4 |" in as_markdown(found, SMALL) and "diverged" in as_markdown(found, SMALL)
    stored = json.loads(as_json(found, SMALL), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert stored["transform"][1]["figures"]["mean_ap"] is None
    write_ablation(tmp_path, found, SMALL)
    assert ablate(SMALL, frozen, tmp_path).by_transform(SMALL)[1].note == "diverged"


def test_a_dead_module_is_said(frozen: Frozen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reid_engine.training.ablate.dead_share", lambda *_: 1.0)
    found = ablate(Ablation(transforms=("abs",), ratios=(), epochs=1, threads=1), frozen, tmp_path)
    assert found.rows[0].note == "dead" and "| 100% |" in as_markdown(found, SMALL)


def test_tables_and_plots_lie_in_the_folder(frozen: Frozen, tmp_path: Path) -> None:
    found = ablate(SMALL, frozen, tmp_path)
    paths = write_ablation(tmp_path / "report", found, SMALL)
    assert [path.name for path in paths] == ["table.md", "table.csv", "table.json", "transform.png", "ratio.png"]
    assert all(Image.open(path).size == (1440, 690) for path in paths[3:])
    rows = list(csv.DictReader(io.StringIO(as_csv(found, SMALL))))
    assert [row["ablation"] for row in rows] == ["baseline", *["transform"] * 3, *["ratio"] * 3]
    assert float(rows[2]["gain_mean_ap"]) == pytest.approx(found.rows[1].figures["gain mean_ap"], abs=1e-6)
    assert "Left out: ratio 32, above D = 16" in paths[0].read_text()


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("query.npy", None, "query.npy cannot be read"),
        ("query.npy", np.ones((16, 9), np.float32), "differ in their feature size"),
        ("gallery.npy", np.full((32, 16), np.nan, np.float32), "needed are finite numbers"),
        ("gallery.npy", np.ones(16, np.float32), "needed are finite numbers"),
        ("train_ids.npy", np.ones((72, 3), np.int64), r"needed is \(72, 2\) integers"),
        ("train_ids.npy", np.ones((72, 2), np.float32), r"needed is \(72, 2\) integers"),
        ("train_ids.npy", np.ones((72, 2), np.int64), "fewer than two people"),
        ("train_ids.npy", np.array([[{}]], object), "train_ids.npy cannot be read"),
    ],
)
def test_features_that_cannot_be_used_are_refused_with_the_layout(
    name: str, values: np.ndarray | None, message: str, features: Path
) -> None:
    (features / name).unlink()
    if values is not None:
        np.save(features / name, values)
    with pytest.raises(BadDataset, match=message) as refusal:
        read_frozen(features)
    assert "train_ids.npy  query_ids.npy" in str(refusal.value)


def test_queries_without_any_match_are_refused(features: Path, tmp_path: Path) -> None:
    np.save(features / "query_ids.npy", people("query")[1] + [1000, 0])
    with pytest.raises(BadDataset, match="no query has a match"):
        ablate(SMALL, read_frozen(features), tmp_path)
