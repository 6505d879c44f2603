"""Both graphs of a bundle, run by onnxruntime beside the engine; what differs or cannot run is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reid_engine import bundle
from reid_engine.__main__ import EXIT_REFUSED, main
from reid_engine.engine import Engine
from reid_engine.errors import ExportFailed, ReportUnwritten
from reid_engine.export import ATTENTION, EXTRACTOR, export
from reid_engine.models import build

onnxruntime = pytest.importorskip("onnxruntime")


def made(path: Path, **attention: object) -> Path:
    torch.manual_seed(5)
    config = {"backbone": "osnet_x0_25", "diff_attention": {"ratio": 64, **attention}}
    bundle.write(
        path,
        build(config).eval(),
        {
            "name": "tiny",
            "created": "2024-05-01T00:00:00Z",
            "config": config,
            "metrics": {},
            "preprocessing": {
                "height": 64,
                "width": 32,
                "mean": [0.485, 0.456, 0.406],
                "std": [0.229, 0.224, 0.225],
                "interpolation": "bilinear",
                "views": ["plain", "flip"],
            },
            "calibration": {"kind": "platt", "a": 4.0, "b": -3.0},
        },
    )
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("bundle") / "tiny.reid")


@pytest.fixture(scope="module")
def folder(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("graphs") / "new"
    assert [graph.path.name for graph in export(tiny, out)] == [EXTRACTOR, ATTENTION]
    return out


def answers(path: Path, **inputs: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {name: value.astype(np.float32) for name, value in inputs.items()})


def test_the_extractor_gives_the_features_the_engine_gives(tiny: Path, folder: Path) -> None:
    rng = np.random.default_rng(0)
    crops = [Image.fromarray(rng.integers(0, 255, (64, 32, 3), dtype=np.uint8)) for _ in range(5)]
    wanted = Engine(tiny, threads=1).crop_features(crops)
    (found,) = answers(folder / EXTRACTOR, images=np.stack([np.asarray(crop) for crop in crops]).transpose(0, 3, 1, 2))
    assert found.shape == wanted.shape
    assert np.abs(found - wanted.astype(np.float32)).max() < 2e-3 * max(1, np.abs(found).max())


def test_one_query_against_any_number_of_crops_has_the_engines_distances(tiny: Path, folder: Path) -> None:
    rng, engine = np.random.default_rng(1), Engine(tiny, threads=1)
    query, gallery = rng.normal(size=(1, 512)).astype(np.float32), rng.normal(size=(7, 512)).astype(np.float16)
    distance, attention = answers(folder / ATTENTION, query=query, gallery=gallery)
    ranking = engine.rank(query[0], gallery, np.arange(7), 7)
    assert distance[ranking.ids] == pytest.approx(ranking.distances, abs=1e-4)
    assert attention.shape == (7, 512) and 0 < attention.min() <= attention.max() < 1


def test_a_graph_says_which_bundle_it_is_and_how_to_feed_it(tiny: Path, folder: Path) -> None:
    facts = onnxruntime.InferenceSession(str(folder / EXTRACTOR)).get_modelmeta().custom_metadata_map
    assert facts["bundle_sha256"] == bundle.read(tiny).sha256
    assert json.loads(facts["preprocessing"])["height"] == 64
    assert json.loads(facts["calibration"])["kind"] == "platt"


def test_a_graph_that_answers_otherwise_is_not_kept(
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reid_engine.export.TOLERANCE", 1e-12)
    with pytest.raises(ExportFailed, match=r"extractor.onnx differs from the bundle by .*; it was not kept"):
        export(tiny, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_the_files_and_their_differences(
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["export", "--bundle", str(tiny), "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" (largest difference ")[0] for line in lines] == [
        str(tmp_path / EXTRACTOR),
        str(tmp_path / ATTENTION),
    ]


def test_without_onnxruntime_the_command_says_what_to_install(
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["export", "--bundle", str(tiny), "--out", str(tmp_path)]) == EXIT_REFUSED
    assert "needs the packages onnx and onnxruntime" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportUnwritten, match="file/below cannot be written: Not a directory"):
        export(tiny, tmp_path / "file" / "below")


def test_the_papers_untied_module_ranks_and_is_exported_with_its_direction(tmp_path: Path) -> None:
    path = made(tmp_path / "paper.reid", variant="paper")
    engine, module = Engine(path, threads=1), bundle.read(path).model().attention
    rng = np.random.default_rng(3)
    query, gallery = rng.normal(size=512).astype(np.float32), rng.normal(size=(40, 512)).astype(np.float16)
    pair = torch.from_numpy(query), torch.from_numpy(gallery.astype(np.float32))
    with torch.no_grad():
        there, back = module.distance(*pair).numpy(), module.distance(*reversed(pair)).numpy()
    ranking = engine.rank(query, gallery, np.arange(40), 40)
    assert ranking.distances == pytest.approx(there[ranking.ids], abs=1e-5)
    assert np.abs(there - back).max() > 1e-4 and bundle.read(path).model().attention.trained_on == "pre"
    exported = export(path, tmp_path / "graphs")[1].path
    assert answers(exported, query=query[None], gallery=gallery)[0] == pytest.approx(there, abs=1e-4)
