"""The command line of the engine: what it takes, what it refuses and how, and the commands end to end."""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reid_engine.__main__ import EXIT_REFUSED, main, parser
from reid_engine.data.market1501 import parse_name
from reid_engine.errors import BadConfig
from reid_engine.evaluation.metrics import cmc_map_minp
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
        kind = int if name in ("steps_at", "module_steps_at", "module_ratios") else float
        return flag, "1 1", (kind(1), kind(1))
    if isinstance(value, str):
        chosen = NAMES.get(name, "other")
        return flag, chosen, chosen
    chosen = HALVES.get(name, type(value)(value + 1))
    return flag, str(chosen), chosen


NAMES = {
    "data_format": "folder",
    "strategy": "separate",
    "backbone": "agw",
    "transform": "squ",
    "activation": "none",
    "distance": "cosine",
    "triplet": "weighted",
    "schedule": "step",
    "module_choice": "last",
    "variant": "paper",
    "plain_feature": "normalised",
    "single_crops": "repeat",
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


def test_random_weights_are_taken_only_where_told_to(tmp_path: Path) -> None:
    line = f"--data {tmp_path} --out o --backbone"
    for backbone in ("bagtricks", "agw", "mobilenetv2"):
        with pytest.raises(BadConfig, match=f"{backbone} needs --init: imagenet, a file of weights, or none"):
            check_paths(parsed(f"{line} {backbone}"))
        assert check_paths(parsed(f"{line} {backbone} --init none")).init == ""
        assert check_paths(parsed(f"{line} {backbone} --init imagenet")).init == "imagenet"
    assert check_paths(parsed(f"{line} osnet_x0_25")).init == ""


@pytest.mark.parametrize(
    "line",
    [
        "train --data d --out o --learning-rate 1",
        "train --data d --out o --epoch 3",
        "train --data d --out o --epochs many",
        "train --data d --out o --backbone vgg",
        "evaluate --data d --formats folder",
        "evaluate",
        "search",
        "",
        "fly",
    ],
)
def test_unknown_shortened_wrong_and_missing_options_are_refused(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(line.split())
    assert stop.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train --data d", "training option 'out' is missing"),
        ("train --data d --out o --epochs -1", "epochs is -1; allowed: a number from 0"),
        ("train --data nowhere --out o", "--data nowhere: there is no such folder"),
        ("evaluate --data nowhere", "nowhere: there is no such folder. Expected layout of Market-1501"),
        ("ablate --data nowhere --out o", "nowhere: there is no such folder. Expected layout of Market-1501"),
        ("ablate --features nowhere --out o", "nowhere: there is no such folder. Expected layout of features"),
        ("ablate --features . --out o --transforms cube", "transforms is 'cube'; allowed: sub, squ, abs"),
        ("ablate --features . --out o --ratios 0", "ratio is 0; allowed: a number from 1"),
        ("ablate --features . --out o --epochs 0", "epochs is 0; allowed: a number from 1"),
        ("ablate --features . --out o --lr 2", "lr is 2.0; allowed: a number above 0"),
        ("search photo.jpg --gallery nowhere", "nowhere: no .jpg, .png or .webp crop"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_without_a_traceback(
    line: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(line.split()) == EXIT_REFUSED
    assert f"error: {message}" in capsys.readouterr().err


def test_the_help_loads_no_torch() -> None:
    code = (
        "import sys, runpy; sys.argv = ['x', '--help']\ntry: runpy.run_module('reid_engine')\n"
        "except SystemExit: pass\nfrom reid_engine.__main__ import main\n"
        "try: main(['train', '--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.rstrip().endswith("False")
    assert "--backbone" in done.stdout


# End to end, on rendered people and a model trained for one epoch

SMALL = "--height 64 --width 32 --people-per-batch 2 --crops-per-person 2 --ratio 64 --threads 1 --module-lrs 0.001"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from reid_engine.data.synthetic import write_dataset

    return write_dataset(tmp_path_factory.mktemp("people"), people=8, cameras=2, per_camera=2)


@pytest.fixture(scope="module")
def trained(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    line = f"train --data {people} --data-format synthetic --out {out} --name small {SMALL}"
    assert main([*line.split(), "--epochs", "1", "--no-separate-after"]) == 0
    return out / "small.reid"


def test_training_prints_the_path_of_a_bundle_and_tells_its_epochs(
    people: Path,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "again"
    line = f"train --data {people} --out {out} --strategy separate --init {trained} {SMALL} --module-epochs 1"
    assert main(line.split()) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(out / "citysearch.reid")
    assert (out / "citysearch.reid").is_file()
    assert "epoch 1/1 " in said.err


def test_every_form_of_the_evaluation_is_printed(
    people: Path,
    trained: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = f"evaluate --data {people} --bundle {trained}".split()
    for table, start in (("markdown", "Market-1501: 8 queries"), ("csv", "dataset,queries"), ("json", "{")):
        assert main([*base, "--table", table]) == 0
        assert capsys.readouterr().out.startswith(start)


def test_the_evaluations_figures_are_those_of_the_searches_hits(
    people: Path,
    trained: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Search with each query alone, take the hits as printed, and score them."""
    main(["evaluate", "--data", str(people), "--bundle", str(trained), "--table", "json"])
    stated = json.loads(capsys.readouterr().out)["rows"][0]
    queries, gallery = (sorted((people / part).glob("*.jpg")) for part in ("query", "bounding_box_test"))
    place = {str(path): column for column, path in enumerate(gallery)}
    order = np.empty((len(queries), len(gallery)))
    for row, query in zip(order, queries, strict=True):
        main(
            [
                "search",
                str(query),
                "--gallery",
                str(people / "bounding_box_test"),
                "--top",
                "99",
                "--json",
                "--bundle",
                str(trained),
            ]
        )
        for hit in json.loads(capsys.readouterr().out):
            row[place[hit["crop"]]] = hit["rank"]
    names = [[parse_name(path.name) for path in part] for part in (queries, gallery)]
    found = cmc_map_minp(
        order,
        *([name.person_id for name in part] for part in names),
        *([name.camera_id for name in part] for part in names),
    )
    assert stated["mean_ap"] == pytest.approx(found.mean_ap, abs=5e-4)
    assert stated["mean_inp"] == pytest.approx(found.mean_inp, abs=5e-4)
    assert stated["cmc"]["1"] == pytest.approx(found.cmc[1], abs=5e-4)


def test_an_ablation_of_a_data_set_keeps_features_that_serve_again(
    people: Path,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short = ["--epochs", "1", "--transforms", "abs", "--ratios", "4", "1024", "--threads", "1"]
    first = ["ablate", "--data", str(people), "--bundle", str(trained), "--out", str(tmp_path / "one"), *short]
    assert main(first) == 0
    said = capsys.readouterr()
    assert "| plain cosine |" in said.out and "Left out: ratio 1024, above D = 512" in said.out
    assert "abs ratio 4: rank1" in said.err

    monkeypatch.setattr("reid_engine.engine.Engine.crop_features", None)
    assert main(first) == 0
    assert capsys.readouterr() == (said.out, "")
    again = ["ablate", "--features", str(tmp_path / "one" / "features"), "--out", str(tmp_path / "two"), *short]
    assert main([*again, "--table", "json"]) == 0
    mine, theirs = (json.loads((tmp_path / name / "table.json").read_text()) for name in ("one", "two"))
    assert mine["ratio"][0]["figures"] == theirs["ratio"][0]["figures"]


def test_a_search_prints_the_best_crops_as_a_table(
    people: Path,
    trained: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    query = next((people / "query").glob("*.jpg"))
    line = f"search {query} {query} --gallery {people} --top 3 --bundle {trained}"
    assert main(line.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rank", "distance", "likelihood", "crop"]
    assert [row.split()[0] for row in lines[1:]] == ["1", "2", "3"]
    assert lines[1].endswith(query.name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no picture", "photo.jpg cannot be used"),
        (b"", "photo.jpg cannot be used"),
    ],
)
def test_a_photo_that_is_no_picture_is_refused(
    content: bytes,
    message: str,
    people: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)
    assert main(["search", str(tmp_path / "photo.jpg"), "--gallery", str(people)]) == EXIT_REFUSED
    assert message in capsys.readouterr().err


def test_a_damaged_bundle_is_refused(
    people: Path,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = bytearray(trained.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged.reid").write_bytes(content)
    assert main(["evaluate", "--data", str(people), "--bundle", str(tmp_path / "damaged.reid")]) == EXIT_REFUSED
    assert "damaged.reid is damaged or no bundle" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_refused(
    people: Path,
    trained: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = f"evaluate --data {people} --bundle {trained} --device teapot"
    assert main(line.split()) == EXIT_REFUSED
    assert "teapot" in capsys.readouterr().err
