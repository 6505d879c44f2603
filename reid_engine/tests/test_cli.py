"""The command line of the engine: what it takes, what it refuses and how, and the three commands end to end."""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from reid_engine.__main__ import EXIT_REFUSED, main, parser
from reid_engine.errors import BadConfig
from reid_engine.options import add_train_options, check_paths, train_config
from reid_engine.training.config import TrainConfig

ROOT = Path(__file__).parents[2]


def parsed(line: str) -> TrainConfig:
    options = argparse.ArgumentParser()
    add_train_options(options)
    return train_config(vars(options.parse_args(line.split())))


def test_every_field_of_the_config_is_an_option_and_takes_effect() -> None:
    plain = TrainConfig(data="d", out="o")
    for item in dataclasses.fields(TrainConfig):
        if item.name not in ("extra", "data", "out"):
            flag, value, expected = other_value(plain, item.name)
            assert getattr(parsed(f"--data d --out o {flag} {value}"), item.name) == expected, item.name


def other_value(config: TrainConfig, name: str) -> tuple[str, str, object]:
    """(flag, words, value) of a choice that is allowed and not the default."""
    flag, value = f"--{name.replace('_', '-')}", getattr(config, name)
    if isinstance(value, bool):
        return (f"--no-{name.replace('_', '-')}" if value else flag), "", not value
    if isinstance(value, tuple):
        kind = int if name in ("steps_at", "module_ratios") else float
        return flag, "1 1", (kind(1), kind(1))
    if isinstance(value, str):
        chosen = NAMES.get(name, "other")
        return flag, chosen, chosen
    chosen = HALVES.get(name, type(value)(value + 1))
    return flag, str(chosen), chosen


NAMES = {
    "data_format": "folder", "strategy": "separate", "backbone": "agw", "transform": "squ", "activation": "none",
    "distance": "cosine", "triplet": "weighted", "schedule": "step",
}
HALVES = dict.fromkeys(("weight_decay", "final_lr", "ema", "label_smoothing", "flip", "erasing", "jitter", "lr"), 0.25)


def test_options_lie_over_the_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.json"
    recipe.write_text(json.dumps({"data": "d", "out": "o", "epochs": 7, "lr": 0.5, "steps_at": [3, 5]}))
    config = parsed(f"--recipe {recipe} --lr 0.25")
    assert (config.epochs, config.lr, config.steps_at, config.data) == (7, 0.25, (3, 5), "d")


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(BadConfig, match="recipe is 'nothing'"):
        parsed("--recipe nothing")


def test_data_that_is_not_there_is_refused_before_training() -> None:
    with pytest.raises(BadConfig, match="--data nowhere: there is no such folder"):
        check_paths(parsed("--data nowhere --out o"))


def test_initial_weights_that_are_not_there_are_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="--init gone.onnx: there is no such file"):
        check_paths(parsed(f"--data {tmp_path} --out o --init gone.onnx"))


@pytest.mark.parametrize("line", [
    "train --data d --out o --learning-rate 1", "train --data d --out o --epoch 3",
    "train --data d --out o --epochs many", "train --data d --out o --backbone vgg",
    "evaluate --data d --formats folder", "evaluate", "search", "", "fly",
])
def test_unknown_shortened_wrong_and_missing_options_are_refused(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(line.split())
    assert stop.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(("line", "message"), [
    ("train --data d", "training option 'out' is missing"),
    ("train --data d --out o --epochs -1", "epochs is -1; allowed: a number from 0"),
    ("train --data nowhere --out o", "--data nowhere: there is no such folder"),
    ("evaluate --data nowhere", "nowhere: there is no such folder. Expected layout of Market-1501"),
    ("search photo.jpg --gallery nowhere", "nowhere: no .jpg, .png or .webp crop"),
])
def test_what_cannot_be_done_is_said_in_one_line_without_a_traceback(
    line: str, message: str, capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(line.split()) == EXIT_REFUSED
    assert f"error: {message}" in capsys.readouterr().err


def test_the_help_loads_no_torch() -> None:
    code = "import sys, runpy; sys.argv = ['x', '--help']\ntry: runpy.run_module('reid_engine')\n" \
           "except SystemExit: pass\nfrom reid_engine.__main__ import main\n" \
           "try: main(['train', '--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.rstrip().endswith("False")
    assert "--backbone" in done.stdout
