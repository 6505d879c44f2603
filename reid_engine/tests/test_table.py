"""The table of backbones and methods: one command, resumed row by row, judged by the steps a search takes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reid_engine import __main__ as cli
from reid_engine.bundle import read
from reid_engine.errors import BadConfig
from reid_engine.models.build import REGISTRY
from reid_engine.tests.test_training import TinyNet, paint
from reid_engine.training import run, table
from reid_engine.training.config import TrainConfig
from reid_engine.training.run import train
from reid_engine.training.table import read_plan

pytestmark = pytest.mark.usefixtures("untraced")

OPTIONS = {
    "epochs": 2, "height": 32, "width": 16, "people_per_batch": 4, "crops_per_person": 3, "warmup_epochs": 1, "pad": 2,
    "ratio": 2, "module_epochs": 2, "module_lrs": [0.001], "module_choice": "last", "separate_after": False,
}  # fmt: skip
PLAN = {"all": OPTIONS, "tiny": {"backbone": "osnet_x0_25", "epochs": 3}}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People of two colours, in crops large enough to be searched for."""
    root = tmp_path_factory.mktemp("market")
    parts = {"bounding_box_train": range(1, 9), "query": range(20, 26), "bounding_box_test": range(20, 26)}
    for part, people in parts.items():
        paint(root / part, people, np.random.default_rng(0))
    for path in root.glob("*/*.jpg"):
        with Image.open(path) as image:
            image.resize((32, 64)).save(path)
    return root


@pytest.fixture
def make(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """Runs the command; what it printed."""
    monkeypatch.setitem(REGISTRY, "osnet_x0_25", TinyNet)
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))

    def run_command(*options: str) -> str:
        places = ["--data", str(pictures), "--plan", str(tmp_path / "plan.json"), "--out", str(tmp_path / "out")]
        status = cli.main(["table", *places, "--threads", "1", *options])
        printed = capsys.readouterr()
        return printed.out if status == 0 else printed.err

    return run_command


def test_one_command_makes_every_row_once_and_puts_the_table_in_its_place(
    make: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "results.md"
    document.write_text("# Results\n\n<!-- table: begin -->\nold\n<!-- table: end -->\n\nAfter.\n")
    text = make("--into", str(document))
    lines = [line for line in text.splitlines() if line.startswith("| tiny")]
    assert [line.split(" | ")[1] for line in lines] == ["plain", "joint", "separate"]
    assert all(line.count(" | ") == text.splitlines()[0].count(" | ") for line in lines)
    assert [" 3 of the paper's 120 " in line for line in lines] == [True, True, False]
    assert text in document.read_text() and "old" not in document.read_text()
    assert document.read_text().endswith("After.\n")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "table.csv").read_text())))
    assert [row["gain_mean_ap"] != "" for row in rows] == [False, True, True]
    assert all(float(row["processor_minutes"]) > 0 for row in rows)
    monkeypatch.setattr(run, "train", lambda *_: pytest.fail("a finished row was trained again"))
    assert make() == text
    other = text.splitlines()[3].replace("| tiny |", "| other |")
    document.write_text(document.read_text().replace(lines[1], other))
    make("--rows", "tiny-joint", "tiny-plain", "--into", str(document))
    left = [line for line in document.read_text().splitlines() if line.startswith("| ")][1:]
    assert left == [lines[0], lines[1], lines[2], other]


def test_a_separate_row_has_the_backbone_of_its_plain_row(make: Callable[..., str], tmp_path: Path) -> None:
    make("--rows", "tiny-separate")
    weights = [read(table.Task("tiny", name, tmp_path / "out").bundle).state_dict for name in ("plain", "separate")]
    kept = [name for name in weights[0] if name.startswith("backbone.")]
    assert kept and all(weights[0][name].equal(weights[1][name]) for name in kept)
    assert not weights[0]["attention.reduce.weight"].equal(weights[1]["attention.reduce.weight"])


def test_rows_of_other_options_and_unknown_names_are_refused(make: Callable[..., str], tmp_path: Path) -> None:
    make("--rows", "tiny-plain")
    (tmp_path / "plan.json").write_text(json.dumps({**PLAN, "tiny": {"backbone": "osnet_x0_25", "epochs": 4}}))
    assert "another epochs" in make("--rows", "tiny-plain")
    assert "allowed: tiny-plain, tiny-joint, tiny-separate" in make("--rows", "tiny-other")
    (tmp_path / "plan.json").write_text("no plan")
    assert "cannot be read" in make()
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    (tmp_path / "other.md").write_text("# Other")
    assert "has no place for the table" in make("--rows", "tiny-plain", "--into", str(tmp_path / "other.md"))


def test_the_shipped_plans_are_valid_and_the_papers_is_the_papers() -> None:
    for name in ("paper", "short"):
        plan = table.read_plan(name)
        for task in table.tasks_of(plan, Path("out")):
            config = table.config_of(task, plan, {"data": "data"})
            assert (config.people_per_batch, config.crops_per_person, config.label_smoothing) == (16, 4, 0.1)
            if name == "paper":
                assert (config.epochs, config.steps_at, config.lr, config.module_epochs) == (120, (40, 70), 3.5e-4, 60)
    with pytest.raises(BadConfig, match="paper, short"):
        table.read_plan("other")


@pytest.mark.slow
@pytest.mark.parametrize("name", read_plan("gpu"))
def test_every_run_of_the_gpu_plan_starts(name: str, pictures: Path, tmp_path: Path) -> None:
    """Its own options but for size, length and weights that are not at hand: one epoch on the CPU, then a bundle.

    No smaller: where the last map has 2 x 1 places, torch 2.14.1's bfloat16 convolutions on AMX read memory that nobody
    has written, and now and then give nan.
    """
    short = {"height": 64, "width": 32, "epochs": 1, "warmup_epochs": 0, "pad": 2, "module_epochs": 1}
    short |= {"module_steps_at": (), "people_per_batch": 4, "crops_per_person": 2, "init": "", "threads": 1}
    if name == "bagtricks":  # with random weights of seed 1, in float32, none of its four hidden units ever fires
        short["seed"] = 2
    config = TrainConfig.from_dict({**read_plan("gpu")[name], **short, "data": str(pictures), "out": str(tmp_path)})
    assert config.camera and config.coarse and config.epochs == 1
    assert train(config).is_file()
