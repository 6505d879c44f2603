"""train_reid, evaluate_reid and ablate_reid from options to bundle, table and model version."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from citysearch.research.management.commands import train_reid
from citysearch.research.models import ModelVersion
from citysearch.research.queries import bundle_path, headline, model_named
from citysearch.research.services import model_activate, model_register

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[3]
SMALL = [
    "--height",
    "64",
    "--width",
    "32",
    "--people-per-batch",
    "2",
    "--crops-per-person",
    "2",
    "--ratio",
    "64",
    "--threads",
    "1",
    "--no-separate-after",
]


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered people in Market-1501's folders."""
    from reid_engine.data.synthetic import write_dataset

    return write_dataset(tmp_path_factory.mktemp("people"), people=8, cameras=2, per_camera=2)


def test_training_writes_a_bundle_tells_its_figures_and_registers_it(
    people: Path,
    settings: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call_command("train_reid", "--data", str(people), "--name", "mine", "--epochs", "1", "--register", *SMALL)
    said = capsys.readouterr()
    path = settings.VAR_DIR / "training" / "mine" / "mine.reid"
    assert said.out.splitlines() == [str(path), "registered mine"]
    assert "epoch 1/1: cosine_map " in said.err
    version = model_named("mine")
    assert bundle_path(version).read_bytes() == path.read_bytes()
    assert 0 < headline(version)["mean_ap"] <= 1


def test_training_refuses_bad_options_before_it_starts(people: Path) -> None:
    for options, message in (
        (["--data", "nowhere"], "--data nowhere: there is no such folder"),
        (["--data", str(people), "--epochs", "-1"], "epochs is -1; allowed"),
        (["--data", str(people), "--recipe", "none"], "recipe is 'none'; allowed: citysearch"),
        (["--data", str(people), "--speed", "9"], "unrecognized arguments: --speed 9"),
        ([], "training option 'data' is missing"),
    ):
        with pytest.raises(CommandError, match=message):
            call_command("train_reid", *options)


def test_ctrl_c_says_how_to_go_on_and_the_same_command_goes_on(
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ["train_reid", "--data", str(people), "--out", str(tmp_path), "--epochs", "2", *SMALL]
    with monkeypatch.context() as patch:
        patch.setattr(train_reid.Teller, "__call__", lambda *told: signal.raise_signal(signal.SIGINT))
        with pytest.raises(CommandError, match="start the same command again to go on") as stop:
            call_command(*command)
    assert stop.value.returncode == 130
    assert not (tmp_path / "citysearch.reid").exists()
    steps: list[tuple[int, int]] = []
    monkeypatch.setattr(train_reid.Teller, "__call__", lambda self, *told: steps.append((told[0], told[2])))
    call_command(*command, "--resume")
    assert steps[0] == (1, 2)
    assert (tmp_path / "citysearch.reid").exists()


@pytest.mark.slow
def test_a_run_interrupted_by_a_signal_ends_with_the_same_weights_as_one_left_alone(
    people: Path,
    tmp_path: Path,
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    command = [sys.executable, "manage.py", "train_reid", "--data", str(people), "--epochs", "4", *SMALL]
    environment = os.environ | {"VAR_DIR": str(tmp_path / "v"), "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "--out", str(whole)], cwd=ROOT, env=environment, check=True, capture_output=True)
    stopped = [*command, "--out", str(broken)]
    run = subprocess.Popen(stopped, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    wait_for(broken / "joint.pt")
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=600)
    assert (run.returncode, "start the same command again" in said) == (130, True)
    assert not (broken / "citysearch.reid").exists()
    subprocess.run([*stopped, "--resume"], cwd=ROOT, env=environment, check=True, capture_output=True)
    from reid_engine import bundle

    first, second = (bundle.read(folder / "citysearch.reid").state_dict for folder in (whole, broken))
    assert first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


def wait_for(path: Path, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} was not written within {seconds} s"
        time.sleep(0.01)


def test_the_active_model_is_evaluated_when_none_is_named(
    people: Path,
    tiny: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(CommandError, match="No model version is active"):
        call_command("evaluate_reid", "--data", str(people))
    model_activate(model_register(tiny), anyway=True)
    call_command("evaluate_reid", "--data", str(people))
    said = capsys.readouterr().out
    assert "8 queries, 8 gallery crops, 0 queries skipped" in said
    assert "| diff attention |" in said and "| plain cosine |" in said


def test_a_table_is_printed_and_kept_in_the_form_asked_for(
    people: Path,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = ["evaluate_reid", "--data", str(people), "--format", "synthetic", "--bundle", str(tiny)]
    call_command(*base, "--json", "--out", str(tmp_path / "new" / "table.csv"))
    report = json.loads(capsys.readouterr().out)
    rows = list(csv.DictReader((tmp_path / "new" / "table.csv").open()))
    assert float(rows[0]["mean_ap"]) == pytest.approx(report["rows"][0]["mean_ap"], abs=1e-6)
    call_command(*base, "--csv", "--out", str(tmp_path / "table.md"))
    assert capsys.readouterr().out.startswith("dataset,")
    assert "| plain cosine |" in (tmp_path / "table.md").read_text()


def test_a_whole_report_is_kept_in_a_folder_with_re_ranked_rows(
    people: Path,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call_command(
        "evaluate_reid", "--data", str(people), "--bundle", str(tiny), "--out", str(tmp_path / "report"), "--rerank"
    )
    said = capsys.readouterr()
    assert "| diff attention + re-ranking |" in said.out and "diff attention minus plain cosine" in said.out
    assert str(tmp_path / "report" / "worst_queries.png") in said.err
    assert (tmp_path / "report" / "table.md").read_text().startswith(said.out)


def test_an_export_writes_two_graphs_that_answer_as_the_bundle(
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model_register(tiny)
    call_command("export_reid", "--model", "tiny", "--out", str(tmp_path))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        str(tmp_path / "extractor.onnx"),
        str(tmp_path / "diff_attention.onnx"),
    ]
    with pytest.raises(CommandError, match="No model version is active"):
        call_command("export_reid", "--out", str(tmp_path))


def test_a_registered_version_is_evaluated_by_name(
    people: Path,
    tiny: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model_register(tiny)
    call_command("evaluate_reid", "--data", str(people), "--model", "tiny", "--json")
    assert json.loads(capsys.readouterr().out)["gallery"] == 8


def test_an_evaluation_refuses_with_a_message(people: Path, tiny: Path, tmp_path: Path) -> None:
    for options, message in (
        (["--bundle", str(tiny), "--data", "nowhere"], "nowhere: there is no such folder. Expected layout"),
        (["--bundle", str(tmp_path / "no.reid"), "--data", str(people)], "no.reid cannot be read"),
        (["--model", "gone", "--data", str(people)], "no model version 'gone'"),
        (["--bundle", str(tiny), "--data", str(people), "--out", "table.xls"], "must end in one of .md, .csv, .json"),
        (["--bundle", str(tiny), "--data", str(people), "--device", "teapot"], "teapot"),
        (["--bundle", str(tiny), "--data", str(people), "--json", "--csv"], "not allowed with argument"),
    ):
        with pytest.raises(CommandError, match=message):
            call_command("evaluate_reid", *options)


def test_an_evaluation_leaves_the_model_versions_alone(people: Path, tiny: Path) -> None:
    call_command("evaluate_reid", "--data", str(people), "--bundle", str(tiny), "--no-progress")
    assert not ModelVersion.objects.exists()


SHORT = ["--epochs", "1", "--transforms", "abs", "--ratios", "4", "64", "--threads", "1"]


def test_an_ablation_prints_its_table_and_names_its_files(
    people: Path,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model_register(tiny)
    call_command("ablate_reid", "--data", str(people), "--model", "tiny", "--out", str(tmp_path), *SHORT)
    said = capsys.readouterr()
    assert said.out == (tmp_path / "table.md").read_text()
    assert said.out.count("| plain cosine |") == 2 and said.out.count("| abs |") == 3
    assert said.err.splitlines()[-2:] == [str(tmp_path / "transform.png"), str(tmp_path / "ratio.png")]
    call_command("ablate_reid", "--features", str(tmp_path / "features"), "--out", str(tmp_path / "b"), "--csv", *SHORT)
    assert capsys.readouterr().out.startswith("ablation,transform,ratio")


def test_an_ablation_stopped_by_ctrl_c_says_what_is_kept(
    people: Path,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from reid_engine.training import ablate

    def second_row(config: Any, learner: Any, *rest: Any) -> Any:
        if learner.module.ratio == 64:
            raise KeyboardInterrupt
        return trained(config, learner, *rest)

    trained = ablate.module_epochs
    monkeypatch.setattr(ablate, "module_epochs", second_row)
    command = ["ablate_reid", "--data", str(people), "--bundle", str(tiny), "--out", str(tmp_path), *SHORT]
    with pytest.raises(CommandError, match="1 of 2 rows are in .*rows.json") as stop:
        call_command(*command)
    assert stop.value.returncode == 130

    def no_picture(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("reid_engine.engine.Engine.crop_features", no_picture)
    with pytest.raises(CommandError, match="what was finished is in .*new; start the same command again"):
        call_command(*command[:5], "--out", str(tmp_path / "new"), *SHORT)


def test_an_ablation_refuses_with_a_message(tmp_path: Path) -> None:
    for options, message in (
        (["--features", "nowhere"], "nowhere: there is no such folder. Expected layout of features"),
        (["--data", "nowhere"], "No model version is active"),
        (["--features", ".", "--data", "."], "not allowed with argument"),
        (["--features", ".", "--ratios", "0"], "ratio is 0; allowed"),
    ):
        with pytest.raises(CommandError, match=message):
            call_command("ablate_reid", "--out", str(tmp_path), *options)


def test_a_table_of_rows_is_made_once_and_lies_in_its_folder(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"height": 64, "width": 32, "people_per_batch": 2, "crops_per_person": 2, "epochs": 1, "ratio": 64}
    plan = {"osnet": {**small, "separate_after": False, "module_epochs": 1, "module_choice": "last"}}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    command = ["table_reid", "--data", str(people), "--plan", str(tmp_path / "plan.json"), "--threads", "1"]
    command += ["--out", str(tmp_path / "out"), "--rows", "osnet-separate"]
    call_command(*command)
    said = capsys.readouterr()
    assert said.out == (tmp_path / "out" / "table.md").read_text() and "| osnet | separate |" in said.out
    assert "osnet-separate: rank1 " in said.err and (tmp_path / "out" / "osnet-plain" / "row.json").is_file()
    call_command(*command, "--csv")
    assert capsys.readouterr().out == (tmp_path / "out" / "table.csv").read_text()
    with pytest.raises(CommandError, match="rows is 'agw-joint'; allowed: osnet-plain"):
        call_command(*command[:-1], "agw-joint")
