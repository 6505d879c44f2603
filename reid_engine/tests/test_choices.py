"""A recipe's choices, compared on a tiny rendered city: every row once, nothing twice, the right gains."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from reid_engine import bundle
from reid_engine.__main__ import main
from reid_engine.data.synthetic import write_dataset
from reid_engine.errors import BadConfig
from reid_engine.evaluation.choices import choices_markdown
from reid_engine.evaluation.domains import DOMAINS, altered, joined_scores, keep_scores
from reid_engine.evaluation.metrics import Scores
from reid_engine.losses.distil import likeness_loss
from reid_engine.models import build
from reid_engine.training.choices import ATTENDED, LAST, RECIPE, SOUP, Choices, Judged, compare, mixed, stored
from reid_engine.training.crops import Crops
from reid_engine.training.start import start_model

pytestmark = pytest.mark.usefixtures("untraced")

CONFIG = {"backbone": "osnet_x0_25"}
VIEW = {"height": 32, "width": 16, "mean": [0.5] * 3, "std": [0.25] * 3, "views": ["plain", "flip"]}
FACTS = {"name": "tiny", "created": "2026-01-01T00:00:00Z", "config": CONFIG, "preprocessing": VIEW, "metrics": {}}
FACTS |= {"calibration": {"a": 1.0, "b": 0.0}}

BASE = {"backbone": "osnet_x0_25", "height": 32, "width": 16, "epochs": 1, "warmup_epochs": 0, "threads": 1}
BASE |= {"people_per_batch": 4, "crops_per_person": 2, "pad": 2}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("choices")
    write_dataset(folder / "people", 10, 3, 2, seed=2)
    rows = {"drawn": {"rendered": 2, "distil": 1.0, "coarse": 0.5}}
    facts = {"base": {**BASE, "data": str(folder / "people")}, "rows": rows, "blends": [0.5], "seeds": [1, 2]}
    path = folder / "recipe.json"
    path.write_text(json.dumps(facts | {"unseen_camera": 3, "city_people": 2}))
    return path


@pytest.mark.slow
def test_every_row_is_trained_once_judged_in_all_domains_and_printed(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["choices", "--recipe", str(recipe), "--out", str(tmp_path)]
    assert main(command) == 0
    first = capsys.readouterr()
    rows = [RECIPE, ATTENDED, LAST, "0.5 trained + 0.5 start weights", "drawn"]
    assert [line.split(", seed")[0] for line in first.err.splitlines()] == [*rows, *rows, SOUP]
    assert main(command) == 0
    again = capsys.readouterr()
    assert (again.err, again.out) == ("", first.out)
    assert [line.split(" | ")[0][2:] for line in again.out.splitlines()[4:]] == [*rows, SOUP]
    found = stored(Choices.from_file(recipe), tmp_path)
    assert len(found.rows[RECIPE][DOMAINS[0]].ap) == len(found.rows[SOUP][DOMAINS[0]].ap)
    other = json.loads(recipe.read_text())
    (tmp_path / "other.json").write_text(json.dumps(other | {"unseen_camera": 1}))
    with pytest.raises(BadConfig, match="unseen_camera"):
        compare(Choices.from_file(tmp_path / "other.json"), tmp_path)


def test_what_has_not_been_run_is_named_and_what_gained_is_marked(tmp_path: Path) -> None:
    choices = Choices({**BASE, "data": ""}, {"better": {}, "later": {}})
    people, low = np.repeat(np.arange(20), 3), np.full(60, 0.5)
    plain = Scores(np.ones(60, np.int64), low, low, people, 0)
    better = Scores(np.ones(60, np.int64), low + 0.1, low, people, 0)
    for name, scores in ((RECIPE, plain), ("better", better)):
        keep_scores(tmp_path / f"{name}.npz", dict.fromkeys(DOMAINS, scores))
    rows = {name: joined_scores([tmp_path / f"{name}.npz"]) for name in (RECIPE, "better")}
    text = choices_markdown(Judged(choices, rows))
    assert "60.0 **+10.0** (+10.0 to +10.0)" in text and text.endswith("Not run: later.\n")


def test_blended_weights_lie_between_and_the_classifier_is_not_blended(recipe: Path, tmp_path: Path) -> None:
    config = Choices.from_file(recipe).config(RECIPE, 1, tmp_path)
    crops = Crops(torch.zeros(4, 3, 32, 16, dtype=torch.uint8), torch.arange(4), np.arange(4), np.arange(4))
    first, second = start_model(config, crops), start_model(config, crops)
    with torch.no_grad():
        for weights in second.parameters():
            weights += 1
    half = mixed([first, second], [0.75, 0.25]).state_dict()
    name = "backbone.conv1.conv.weight"
    assert torch.allclose(half[name], first.state_dict()[name] + 0.25)
    assert torch.equal(half["attention.aggregate"], first.state_dict()["attention.aggregate"])


def test_an_altered_camera_changes_all_its_crops_alike_and_another_differently() -> None:
    grey = torch.full((4, 3, 32, 16), 128, dtype=torch.uint8)
    seen = altered(Crops(grey, torch.arange(4), np.arange(4), np.array([1, 1, 2, 3]))).images
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], grey[0])


def test_likeness_is_lost_by_what_the_average_holds_alike() -> None:
    vectors = torch.eye(4)
    assert likeness_loss(vectors, 3 * vectors) == pytest.approx(0, abs=1e-6)
    close = torch.eye(4)
    close[1] = close[0] + 0.1 * close[1]
    assert likeness_loss(vectors, close) > 0.1


def test_bundles_are_compared_before_their_own_altered_and_rendered_cameras(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(1)
    colours = build({**CONFIG, "classes": 0}).eval()
    blind = copy.deepcopy(colours)
    torch.nn.init.zeros_(blind.backbone.conv1.conv.weight)
    paths = [str(tmp_path / name) for name in ("colours.reid", "blind.reid")]
    for path, model in zip(paths, (colours, blind), strict=True):
        bundle.write(path, model, FACTS)
    people = json.loads(recipe.read_text())["base"]["data"]
    shutil.copytree(people, tmp_path / "out" / "city")
    assert main(["domains", "--data", people, "--bundles", *paths, "--out", str(tmp_path / "out")]) == 0
    head, _, *rows = (line.split(" | ") for line in capsys.readouterr().out.splitlines())
    assert head[1:] == ["seen cameras", "altered cameras", "rendered city |"]
    names = [f"| {name}, {kind}" for name in ("colours", "blind") for kind in ("plain cosine", "diff attention")]
    assert [row[0] for row in rows] == names
    base, (mean, gain, *_) = rows[0][1].split(), rows[2][1].split()
    assert len(base) == 4 and base[0] != mean
    assert float(gain.strip("*")) == pytest.approx(float(mean) - float(base[0]), abs=0.11)
    assert (tmp_path / "out" / "domains.md").read_text().startswith("| mAP, % |")
