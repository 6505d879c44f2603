"""Evaluation by the steps of a search: the right figures for the right pictures, in every form of the table."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from reid_engine.calibration import Reliability, Situation
from reid_engine.contracts import EvalReport, EvalRow, Ranking
from reid_engine.data import Dataset, Record
from reid_engine.errors import BadConfig, BadDataset, ReportUnwritten
from reid_engine.evaluation import evaluate as evaluation
from reid_engine.evaluation.curves import _by_bin
from reid_engine.evaluation.evaluate import evaluate, study
from reid_engine.evaluation.folder import write_folder, write_folders
from reid_engine.evaluation.metrics import cmc_map_minp
from reid_engine.evaluation.names import DIFF_ATTENTION, PLAIN_COSINE, RERANKED
from reid_engine.evaluation.sheet import worst, write_sheet
from reid_engine.evaluation.splits import study_all
from reid_engine.evaluation.tables import WRITERS, as_csv, as_dict, as_json, as_markdown


class ColourRanker:
    """A ranker without a network: a crop's feature is its mean colour; `weights` stand in for the attention map."""

    weights = np.array([1.0, 0.1, 1.0], np.float32)
    shortlist = 10**9

    def crop_features(self, images: list[Image.Image]) -> NDArray[np.float16]:
        return np.stack([np.asarray(image, np.float32).mean((0, 1)) / 64 for image in images]).astype(np.float16)

    def query_features(self, photos: list[Image.Image]) -> NDArray[np.float32]:
        return self.crop_features(photos).astype(np.float32).mean(0)

    def situation(self, query: NDArray[np.float32], rows: int) -> Situation | None:
        return None

    def absence(self, query: NDArray[np.float32], hits: NDArray[np.float16]) -> float | None:
        return None

    def rank(
        self,
        query: NDArray[np.float32],
        features: NDArray[np.float16],
        ids: NDArray[np.int64],
        limit: int,
    ) -> Ranking:
        rows = features.astype(np.float32)
        distances = np.linalg.norm((rows - query) * self.weights, axis=1)
        cosine = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
        best = np.argsort(distances, kind="stable")[: min(limit, self.shortlist)]
        exact = len(best) == min(limit, len(ids))
        return Ranking(ids[best], distances[best], cosine[best], np.exp(-distances[best]), len(ids), exact)


def paint(path: Path, colour: tuple[int, int, int]) -> None:
    Image.new("RGB", (64, 128), colour).save(path)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Eight people in clothes of their own colour, three cameras that tint it; the ninth query has no match."""
    folder, rng, records = tmp_path_factory.mktemp("crops"), np.random.default_rng(3), []
    for person in range(1, 9):
        clothes = rng.integers(30, 220, 3)
        for camera in (1, 2, 3):
            path = folder / f"{person}_{camera}.png"
            paint(path, tuple(int(value) for value in np.clip(clothes + rng.integers(-40, 40, 3), 0, 255)))
            records.append(Record(path, person, camera))
    query = [record for record in records if record.camera_id == 1]
    stranger = Record(query[0].path, 99, 1)
    return Dataset("painted", (), (*query, stranger), tuple(record for record in records if record.camera_id != 1))


def test_the_figures_are_those_of_the_rankings_themselves(dataset: Dataset) -> None:
    """Recomputed from each ranking's list of ids, as a caller of the search API would."""
    report, ranker = evaluate(ColourRanker(), dataset), ColourRanker()
    features = ranker.crop_features([Image.open(record.path) for record in dataset.gallery])
    order = np.empty((len(dataset.query), len(features)))
    for row, record in zip(order, dataset.query, strict=True):
        found = ranker.rank(ranker.query_features([Image.open(record.path)]), features, np.arange(len(features)), 10**6)
        row[found.ids] = np.arange(len(features))
    found = cmc_map_minp(
        order,
        [r.person_id for r in dataset.query],
        [r.person_id for r in dataset.gallery],
        [r.camera_id for r in dataset.query],
        [r.camera_id for r in dataset.gallery],
    )
    assert report.rows[0] == EvalRow(DIFF_ATTENTION, found.cmc, found.mean_ap, found.mean_inp)
    assert (report.queries, report.gallery, report.skipped_queries) == (9, 16, 1)


def test_plain_cosine_stands_beside_diff_attention_and_differs(dataset: Dataset) -> None:
    attended, plain = evaluate(ColourRanker(), dataset).rows
    assert (attended.name, plain.name) == (DIFF_ATTENTION, PLAIN_COSINE)
    assert attended.mean_ap != plain.mean_ap


def test_the_number_of_queries_at_a_time_changes_nothing(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate(ColourRanker(), dataset)
    monkeypatch.setattr(evaluation, "CELL_BYTES", 1 << 15)
    for memory in (1, 2, 1000):
        assert study(ColourRanker(), dataset, pair_memory=memory).report == whole


def test_several_splits_give_their_means_and_how_far_they_differ(dataset: Dataset, tmp_path: Path) -> None:
    halves = [replace(dataset, query=dataset.query[part]) for part in (slice(0, 4), slice(4, 9))]
    report, studies = study_all(ColourRanker(), halves)
    figures = [found.report.rows[0].mean_ap for found in studies]
    assert report.rows[0].mean_ap == pytest.approx(np.mean(figures)) and report.queries == 9
    assert report.extra["diff attention mean_ap deviation"] == pytest.approx(np.std(figures, ddof=1))
    assert "Means over 2 splits" in as_markdown(report) and "95%" not in as_markdown(report)
    names = {str(path.relative_to(tmp_path)) for path in write_folders(tmp_path, report, studies)}
    assert {"table.md", "split-1/table.md", "split-2/worst_queries.png"} <= names
    assert study_all(ColourRanker(), [dataset])[0] == evaluate(ColourRanker(), dataset)


def test_progress_counts_every_picture_and_ends_at_the_total(dataset: Dataset) -> None:
    told: list[tuple[int, int]] = []
    evaluate(ColourRanker(), dataset, lambda done, total: told.append((done, total)))
    assert told[-1] == (25, 25)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_shortlist_is_refused_because_figures_need_every_crop(dataset: Dataset) -> None:
    ranker = ColourRanker()
    ranker.shortlist = 5
    with pytest.raises(BadConfig, match="ranked 5 of 16 crops; .* raise its exhaustive_rows"):
        evaluate(ranker, dataset)


def test_a_set_without_queries_is_refused(dataset: Dataset) -> None:
    with pytest.raises(BadDataset, match="painted needs query and gallery crops"):
        evaluate(ColourRanker(), replace(dataset, query=()))


def test_a_broken_gallery_picture_is_named(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(dataset.gallery[0].path.read_bytes()[:60])
    broken = Record(tmp_path / "cut.png", 1, 2)
    with pytest.raises(BadDataset, match="cut.png cannot be used"):
        evaluate(ColourRanker(), replace(dataset, gallery=(broken,)))


def test_re_ranked_rows_stand_beside_the_others_and_are_marked(dataset: Dataset) -> None:
    found = study(ColourRanker(), dataset, again=True)
    assert [row.name for row in found.report.rows] == [
        DIFF_ATTENTION,
        PLAIN_COSINE,
        DIFF_ATTENTION + RERANKED,
        PLAIN_COSINE + RERANKED,
    ]
    assert found.report.rows[:2] == evaluate(ColourRanker(), dataset).rows
    assert "those rows are no figures of a search" in as_markdown(found.report)


def test_re_ranking_without_the_memory_for_a_whole_matrix_gives_the_same(
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = evaluate_again(dataset)
    monkeypatch.setattr(evaluation, "KEPT_CELLS", 0)
    assert evaluate_again(dataset) == whole


def evaluate_again(dataset: Dataset) -> EvalReport:
    return study(ColourRanker(), dataset, again=True).report


def test_a_report_in_a_folder_is_tables_curves_and_the_worst_queries(dataset: Dataset, tmp_path: Path) -> None:
    found = study(ColourRanker(), dataset)
    written = {path.name: path for path in write_folder(tmp_path / "new" / "report", found)}
    assert {
        "table.md",
        "table.csv",
        "table.json",
        "cameras.csv",
        "cmc.png",
        "precision_recall.png",
        "distances.png",
        "cameras.png",
        "worst_queries.png",
    } <= set(written)
    for path in written.values():
        assert f"]({path.name})" in written["table.md"].read_text() or path.suffix != ".png"
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert min(picture.size) >= 150 and len(picture.convert("L").getcolors(256) or []) > 8
    assert "| camera 1 | " in written["table.md"].read_text()
    assert json.loads(written["table.json"].read_text())["cameras"][0]["query_camera"] == 1


def test_halvings_side_by_side_are_drawn_as_one_line() -> None:
    """Two halvings of three bins: their shares weighed by their pairs, bin by bin, from 0 to 1 once."""
    said, pairs = np.array([0.03, 0.5, 0.97, 0.05, 0.5, 0.99]), np.array([30.0, 0.0, 5.0, 10.0, 4.0, 15.0])
    bins = _by_bin(Reliability(said, np.array([0.0, 0.0, 1.0, 0.4, 0.5, 0.8]), pairs))
    there = bins.pairs > 0
    assert bins.pairs[there].tolist() == [40, 4, 20]
    assert bins.share[there] == pytest.approx([0.1, 0.5, 0.85])
    assert bins.likelihood[there] == pytest.approx([0.035, 0.5, 0.985])


def test_the_worst_queries_come_first(dataset: Dataset) -> None:
    found = study(ColourRanker(), dataset)
    rows = worst(found, 5)
    assert [ap for _, ap, _ in rows] == sorted(found.scores[DIFF_ATTENTION].ap)[:5]
    assert all(dataset.query[number].person_id != 99 for number, _, _ in rows)


def test_the_sheet_frames_right_crops_green_and_others_red(dataset: Dataset, tmp_path: Path) -> None:
    found = study(ColourRanker(), dataset)
    colours = {colour for _, colour in Image.open(write_sheet(tmp_path / "s.png", found)).getcolors(1 << 20)}
    assert {(42, 143, 106), (200, 85, 61)} <= colours


def test_a_folder_that_cannot_be_written_is_named(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportUnwritten, match="file/report cannot be written: Not a directory"):
        write_folder(tmp_path / "file" / "report", study(ColourRanker(), dataset))


@pytest.fixture
def report() -> EvalReport:
    rows = (
        EvalRow(DIFF_ATTENTION, {1: 0.9, 5: 0.95, 10: 1.0, 20: 1.0}, 0.8125, 0.5),
        EvalRow(PLAIN_COSINE, {1: 0.85, 5: 0.9, 10: 0.99, 20: 1.0}, 0.75, 0.4),
    )
    extra = {
        f"{DIFF_ATTENTION} {figure} {side}": value
        for figure in ("rank1", "mean_ap", "mean_inp")
        for side, value in (("low", 0.7), ("high", 0.9))
    }
    return EvalReport("Market-1501", 422, 1316, 3, rows, extra)


def test_the_markdown_table_shows_both_rows_the_skipped_queries_and_the_intervals(report: EvalReport) -> None:
    text = as_markdown(report)
    assert "422 queries, 1316 gallery crops, 3 queries skipped" in text
    assert "| % | Rank-1 | Rank-5 | Rank-10 | Rank-20 | mAP | mINP |" in text
    assert "| diff attention | 90.0 | 95.0 | 100.0 | 100.0 | 81.2 | 50.0 |" in text
    assert "| plain cosine | 85.0 | 90.0 | 99.0 | 100.0 | 75.0 | 40.0 |" in text
    assert "- diff attention: Rank-1 70.0 to 90.0, mAP 70.0 to 90.0, mINP 70.0 to 90.0" in text


def test_the_csv_reads_back(report: EvalReport) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(report))))
    assert [row["row"] for row in rows] == [DIFF_ATTENTION, PLAIN_COSINE]
    assert (float(rows[0]["rank1"]), float(rows[0]["mean_ap"]), rows[1]["skipped_queries"]) == (0.9, 0.8125, "3")


def test_the_json_is_the_whole_report(report: EvalReport) -> None:
    values = json.loads(as_json(report))
    assert values == as_dict(report)
    assert values["rows"][0]["cmc"]["1"] == 0.9
    assert values["extra"] == report.extra


def test_every_form_of_the_table_ends_its_last_line(report: EvalReport) -> None:
    assert all(write(report).endswith("\n") for write in WRITERS.values())
