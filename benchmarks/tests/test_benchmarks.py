"""Every row can be measured at a tiny size and written up; no test looks at a clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import galleries, report
from benchmarks.__main__ import main
from benchmarks.figure import Figure, Plot, load, save
from benchmarks.rows import IN_A_CITY, MODULES, measure


@pytest.fixture(autouse=True)
def own_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galleries, "FOLDER", tmp_path / "rows")


LONG = (*IN_A_CITY, "h")  # a whole city, or the shipped network run by several libraries


@pytest.mark.parametrize(
    "letter", [pytest.param(letter, marks=[pytest.mark.slow] * (letter in LONG)) for letter in MODULES]
)
def test_a_row_can_be_measured_at_a_tiny_size(letter: str, tmp_path: Path) -> None:
    figure = measure(letter, quick=True, rows=None)
    assert figure.letter == letter and figure.ours > 0 and figure.machine
    assert load(save(figure, tmp_path)) == figure


def test_the_document_says_which_targets_were_met_and_draws_the_curves(tmp_path: Path) -> None:
    plot = Plot("growth", "Rows and seconds", "rows", "s", {"ours": [(10, 1), (100, 9)]}, guide=5)
    good = Figure("a", "pairs", "pairs/s", 2000, 1000, {"peer": 100}, 4000, "memory", plots=(plot,), machine="M")
    slow = Figure("b", "one search", "s", 0.9, 0.5, {"other": 1.8}, more_is_better=False, text="Because.", machine="M")
    for figure in (good, slow):
        save(figure, tmp_path)
    report.write(tmp_path, tmp_path / "docs" / "performance.md")
    text = (tmp_path / "docs" / "performance.md").read_text()
    assert "| a | pairs | 2,000 pairs/s | 1,000 pairs/s | met | 50% | 20x peer |" in text
    assert "| b | one search | 0.9 s | 0.5 s | missed |  | 2x other |" in text
    assert "Because." in text and (tmp_path / "docs" / "figures" / "performance_a_growth.png").exists()


def test_a_quick_run_keeps_its_figure_apart_and_writes_no_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "DOCUMENT", tmp_path / "performance.md")
    assert main(["b", "--quick", "--rows", "300", "--results", str(tmp_path)]) == 0
    assert (tmp_path / "b.json").exists() and not (tmp_path / "performance.md").exists()
    assert "textbook" in capsys.readouterr().out


@pytest.mark.slow
def test_the_gpu_row_is_ready_to_run_where_there_is_a_gpu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "gpu", "--quick", "--results", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, run.stderr
    assert load(tmp_path / "gpu.json").details["pairs/s at four hidden units"] > 0
