"""Any frozen extractor: an ONNX file, or features as .npy with ids, trained over, evaluated and searched with."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from reid_engine import __main__ as cli
from reid_engine import bundle
from reid_engine.engine import Engine
from reid_engine.errors import BadConfig, BundleMismatch
from reid_engine.explain import explain
from reid_engine.tests.test_training import paint
from reid_engine.training.config import TrainConfig

HEIGHT, WIDTH = 64, 32
SMALL = [
    "--strategy", "separate", "--people-per-batch", "4", "--ratio", "2", "--module-epochs", "2", "--module-lrs",
    "0.003", "--threads", "1",
]  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("market")
    parts = {"bounding_box_train": range(1, 9), "query": range(20, 26), "bounding_box_test": range(20, 26)}
    for part, people in parts.items():
        paint(root / part, people, np.random.default_rng(0))
    for path in root.glob("*/*.jpg"):
        with Image.open(path) as image:
            image.resize((WIDTH, HEIGHT)).save(path)
    return root


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 12, 8, 8), nn.AdaptiveAvgPool2d((2, 1)), nn.Flatten()).eval()


@pytest.fixture(scope="module")
def extractor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph fixed to one picture, as many public ones are."""
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    torch.onnx.export(network(), (torch.zeros(1, 3, HEIGHT, WIDTH),), str(path), dynamo=False)
    return path


@pytest.fixture(scope="module")
def trained(pictures: Path, extractor: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    size = ["--height", str(HEIGHT), "--width", str(WIDTH)]
    places = ["--data", str(pictures), "--out", str(out), "--backbone", "onnx", "--init", str(extractor)]
    assert cli.main(["train", *places, *size, *SMALL]) == 0
    return out / "citysearch.reid"


def test_a_bundle_carries_the_onnx_file_and_gives_its_features(trained: Path, extractor: Path, pictures: Path) -> None:
    moved = trained.with_name("alone.reid")
    shutil.copy(trained, moved)
    crops = [Image.open(path) for path in sorted((pictures / "query").iterdir())[:3]]
    found = Engine(moved, threads=1).crop_features(crops).astype(np.float32)
    model = bundle.read(moved).model()
    assert model.backbone.graph.numpy().tobytes() == extractor.read_bytes()  # type: ignore[union-attr, operator]
    pixels = torch.stack([torch.from_numpy(np.array(crop)).permute(2, 0, 1) for crop in crops]).float() / 255
    normal = (pixels - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )
    with torch.no_grad():
        own = (network()(normal) + network()(normal.flip(3))) / 2
    cosine = torch.nn.functional.cosine_similarity(torch.from_numpy(found), own)
    assert cosine.min() > 0.999, "one scale for all coordinates leaves the extractor's own ranking"


def test_what_a_closed_extractor_cannot_do_is_said(
    trained: Path, extractor: Path, pictures: Path, tmp_path: Path
) -> None:
    crop = Image.open(next((pictures / "query").iterdir()))
    loaded = bundle.read(trained)
    with pytest.raises(BundleMismatch, match="closed"):
        explain(loaded.model(), loaded.manifest["preprocessing"], crop, crop)
    assert cli.main(["export", "--bundle", str(trained), "--out", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["diff_attention.onnx"]
    with pytest.raises(BadConfig, match="give --strategy separate"):
        TrainConfig(data="d", out="o", backbone="onnx", init=str(extractor))


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) == cli.EXIT_REFUSED
    return capsys.readouterr().err


def test_files_that_are_no_extractor_are_refused(
    pictures: Path, extractor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["train", "--data", str(pictures), "--out", str(tmp_path), "--backbone", "onnx", *SMALL]
    assert "64 x 32; give --height 64 --width 32" in refusal(capsys, *places, "--init", str(extractor))
    assert "needs an .onnx file" in refusal(capsys, *places)
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    assert "cannot be read" in refusal(capsys, *places, "--init", str(tmp_path / "noise.onnx"))


def write_features(folder: Path, as_csv: bool) -> Path:
    """People told by the first half of their coordinates; ids as .npy or as a table."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, first, people in (("train", 0, 20), ("query", 50, 10), ("gallery", 50, 10)):
        centres = rng.normal(size=(people, 16)) if part != "gallery" else centres  # noqa: F821
        rows = np.repeat(np.arange(people), 4)
        noise = rng.normal(size=(len(rows), 16)) * np.repeat([0.2, 1.5], 8)
        np.save(folder / f"{part}.npy", (centres[rows] * np.repeat([1.0, 0.2], 8) + noise).astype(np.float32))
        ids = np.stack(
            [first + rows, np.arange(len(rows)) % 2 if part == "train" else np.full(len(rows), part == "query")], 1
        )
        if as_csv:
            with (folder / f"{part}_ids.csv").open("w", newline="") as file:
                csv.writer(file).writerows([("person_id", "camera_id"), *ids.tolist()])
        else:
            np.save(folder / f"{part}_ids.npy", ids.astype(np.int64))
    return folder


@pytest.mark.parametrize("as_csv", [False, True])
def test_features_are_trained_over_evaluated_and_searched_without_a_picture(
    as_csv: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_features(tmp_path / "features", as_csv)
    places = ["--data", str(folder), "--out", str(tmp_path / "run")]
    trained = ["train", *places, "--data-format", "features", "--backbone", "features", *SMALL, "--module-epochs", "15"]
    assert cli.main(trained) == 0
    path = Path(capsys.readouterr().out.strip())
    asked = ["evaluate", "--data", str(folder), "--format", "features", "--bundle", str(path), "--table", "json"]
    assert cli.main([*asked, "--out", str(tmp_path / "report")]) == 0
    attended, plain = json.loads(capsys.readouterr().out)["rows"]
    assert attended["mean_ap"] > plain["mean_ap"]
    assert not (tmp_path / "report" / "worst_queries.png").exists() and (tmp_path / "report" / "table.md").exists()
    np.save(tmp_path / "one.npy", np.load(folder / "query.npy")[0])
    assert (
        cli.main(
            [
                "search",
                str(tmp_path / "one.npy"),
                "--gallery",
                str(folder / "gallery.npy"),
                "--bundle",
                str(path),
                "--json",
            ]
        )
        == 0
    )
    hits = json.loads(capsys.readouterr().out)
    assert len(hits) == 10 and [hit["distance"] for hit in hits] == sorted(hit["distance"] for hit in hits)


def test_features_that_do_not_fit_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_features(tmp_path / "features", as_csv=True)
    asked = ["evaluate", "--data", str(folder), "--format", "features"]
    assert "ranks features of size 512" in refusal(capsys, *asked)
    (folder / "query_ids.csv").write_text("person,camera\n1,2\n")
    assert "needs the columns person_id,camera_id" in refusal(capsys, *asked)
    (folder / "query_ids.csv").write_text("person_id,camera_id\n1,2\n")
    assert "the ids of query are (1, 2) int64, needed is (40, 2)" in refusal(capsys, *asked)
    search = ["search", str(folder / "query.npy"), "--gallery", str(tmp_path)]
    assert "features in a file of features" in refusal(capsys, *search)
    (tmp_path / "no.npy").write_text("no")
    assert "cannot be read" in refusal(
        capsys, "search", str(tmp_path / "no.npy"), "--gallery", str(tmp_path / "no.npy")
    )
    mixed = ["train", "--data", str(folder), "--out", str(tmp_path), "--data-format", "features", *SMALL]
    assert "go together" in refusal(capsys, *mixed)
