"""An engine over a real bundle file: a small OSNet with random weights, so the path is tested and not the skill."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reid_engine import bundle
from reid_engine.calibration import Calibration, Situated, Situation, directions, strangeness
from reid_engine.engine import Engine
from reid_engine.errors import BadConfig, BundleCorrupt, BundleMismatch
from reid_engine.models import build
from reid_engine.photo import views_of
from reid_engine.ranking import Attention, exact_distances
from reid_engine.workers import Workers

PREPROCESSING = {
    "height": 64,
    "width": 32,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "interpolation": "bilinear",
    "views": ["plain", "flip"],
}
CONFIG = {"backbone": "osnet_x0_25", "diff_attention": {"ratio": 4, "transform": "abs"}}


def write_bundle(path: Path, strangers: np.ndarray | None = None, **changed: object) -> Path:
    torch.manual_seed(0)
    model = build({**CONFIG, "classes": 0}).eval()
    manifest = {
        "name": "tiny",
        "created": "2026-01-01T00:00:00Z",
        "config": CONFIG,
        "preprocessing": PREPROCESSING,
        "metrics": {},
        "calibration": Calibration(5.0, -3.0).as_dict(),
        **changed,
    }
    bundle.write(path, model, manifest, strangers)
    return path


@pytest.fixture(scope="module")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle") / "tiny.reid")


@pytest.fixture(scope="module")
def engine(bundle_path: Path) -> Engine:
    return Engine(bundle_path)


def picture(seed: int, width: int = 40, height: int = 80) -> Image.Image:
    """Blocks of random colour: bright enough to need no enhancement, and different for each seed."""
    blocks = np.random.default_rng(seed).integers(60, 256, (8, 4, 3)).astype(np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)


def test_an_engine_knows_its_bundle(engine: Engine, bundle_path: Path) -> None:
    assert engine.bundle_sha == bundle.read(bundle_path).sha256
    assert engine.dim == 512 and engine.manifest["name"] == "tiny"
    assert engine.calibration == Calibration(5.0, -3.0)


def test_crops_become_one_half_precision_row_each_whatever_the_batch(engine: Engine, bundle_path: Path) -> None:
    crops = [picture(i) for i in range(7)]
    rows = engine.crop_features(crops)
    assert rows.shape == (7, 512) and rows.dtype == np.float16 and np.isfinite(rows).all()
    one_by_one = Engine(bundle_path, batch=1).crop_features(crops)
    assert one_by_one.astype(float) == pytest.approx(rows.astype(float), abs=5e-3, rel=5e-3)
    assert engine.crop_features([]).shape == (0, 512)


def test_features_are_the_mean_of_the_bundles_views(engine: Engine, bundle_path: Path) -> None:
    crop = picture(1)
    mirrored = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert engine.query_features([crop]) == pytest.approx(engine.query_features([mirrored]), abs=1e-4)
    plain_path = write_bundle(bundle_path.with_name("plain.reid"), preprocessing={**PREPROCESSING, "views": ["plain"]})
    plain = Engine(plain_path)
    views = [plain.query_features([view]) for view in (crop, mirrored)]
    assert abs(views[0] - views[1]).max() > 1e-3
    assert np.mean(views, axis=0) == pytest.approx(engine.query_features([crop]), abs=1e-4)


def test_a_bundle_without_a_graph_gives_the_same_features(engine: Engine, bundle_path: Path, tmp_path: Path) -> None:
    written, bare = bundle.read(bundle_path), tmp_path / "bare.reid"
    files = {bundle.WEIGHTS: written.files[bundle.WEIGHTS]}
    manifest = {**written.manifest, "files": {bundle.WEIGHTS: written.manifest["files"][bundle.WEIGHTS]}}
    bare.write_bytes(bundle._sealed({bundle.MANIFEST: json.dumps(manifest).encode(), **files}))
    pictures = [picture(seed) for seed in range(5)]
    assert bundle.NETWORK in written.files
    assert np.allclose(Engine(bare)._features(pictures), engine._features(pictures), atol=1e-4)


def test_a_query_is_the_mean_over_its_photos_each_enhanced_as_the_page_promises(engine: Engine) -> None:
    dark, tall, wide = picture(3).point(lambda value: value // 6), picture(4, 40, 200), picture(5, 120, 80)
    single = [engine.query_features([photo]) for photo in (dark, tall, wide)]
    assert engine.query_features([dark, tall, wide]) == pytest.approx(np.mean(single, axis=0), abs=1e-4)
    for photo, features in zip((dark, tall, wide), single, strict=True):
        as_shown = engine.crop_features(views_of(photo)).astype(np.float32).mean(axis=0)
        as_it_was = engine.crop_features([photo])[0].astype(np.float32)
        assert np.linalg.norm(features - as_shown) < 0.05 * np.linalg.norm(features - as_it_was)
    with pytest.raises(ValueError, match="photo"):
        engine.query_features([])


def test_a_photo_finds_itself_first_and_with_the_bundles_distance(engine: Engine, bundle_path: Path) -> None:
    crops = [picture(i) for i in range(30)]
    features, ids = engine.crop_features(crops), np.arange(100, 130)
    query = engine.query_features([crops[17]])
    found = engine.rank(query, features, ids, 10)
    assert found.ids[0] == 117 and found.exact and found.scanned == 30
    attention = Attention.of(bundle.read(bundle_path).model().attention)
    assert found.distances == pytest.approx(np.sort(exact_distances(attention, query, features))[:10])
    assert np.array_equal(found.likelihoods, engine.calibration.likelihood(found.distances))


def test_the_size_up_to_which_every_row_is_scored_can_be_chosen(bundle_path: Path) -> None:
    query = np.random.default_rng(0).normal(size=512).astype(np.float32)
    rows = np.random.default_rng(1).normal(size=(2500, 512)).astype(np.float16)
    ids = np.arange(2500)
    assert Engine(bundle_path).rank(query, rows, ids, 5).exact
    assert not Engine(bundle_path, exhaustive_rows=2400).rank(query, rows, ids, 5).exact
    assert Engine(bundle_path, exhaustive_rows=2500).rank(query, rows, ids, 5).exact


def test_features_beyond_half_precision_are_capped_not_infinite(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_extract", lambda images: np.full((len(images), 512), 1e6, np.float32))
    assert (engine.crop_features([picture(0)]) == 65504).all()


def test_a_damaged_bundle_is_refused(bundle_path: Path, tmp_path: Path) -> None:
    whole = bytearray(bundle_path.read_bytes())
    whole[len(whole) // 2] ^= 1
    (tmp_path / "bad.reid").write_bytes(whole)
    with pytest.raises(BundleCorrupt):
        Engine(tmp_path / "bad.reid")


def test_a_bundle_this_program_cannot_serve_is_refused_by_name(tmp_path: Path) -> None:
    tilted = write_bundle(tmp_path / "tilted.reid", preprocessing={**PREPROCESSING, "views": ["plain", "tilt"]})
    with pytest.raises(BundleMismatch, match="tilt"):
        Engine(tilted)
    with pytest.raises(BundleCorrupt, match="calibration"):
        Engine(write_bundle(tmp_path / "raw.reid", calibration={}))


def test_likelihoods_know_how_many_rows_are_searched_and_how_common_the_query_looks(tmp_path: Path) -> None:
    curve = Situated(5.0, -3.0, 1.5, 0.8, 4.0)
    strangers = np.random.default_rng(0).normal(size=(40, 512))
    situated = write_bundle(tmp_path / "situated.reid", strangers, calibration=curve.as_dict())
    engine, query = Engine(situated), np.random.default_rng(1).normal(size=512).astype(np.float32)
    features = np.random.default_rng(2).normal(size=(30, 512)).astype(np.float16)
    near = strangeness(query[None], directions(strangers))[0]
    for among in (None, 5000):
        found = engine.rank(query, features, np.arange(30), 10, among)
        around = Situation(among or 30, near)
        assert found.likelihoods == pytest.approx(curve.likelihood(found.distances, around), rel=0.02)
    with pytest.raises(BundleCorrupt, match="strangers"):
        Engine(write_bundle(tmp_path / "bare.reid", calibration=curve.as_dict()))


def test_a_device_that_is_not_there_is_refused_by_name(bundle_path: Path) -> None:
    with pytest.raises(BadConfig, match="toaster"):
        Engine(bundle_path, device="toaster")


def test_the_number_of_cores_changes_the_time_and_not_one_bit_of_the_result(bundle_path: Path) -> None:
    crops = [picture(i) for i in range(40)]
    query, rows = np.random.default_rng(0).normal(size=512).astype(np.float32), np.random.default_rng(1)
    gallery, ids = rows.normal(size=(40_000, 512)).astype(np.float16), np.arange(40_000)
    one, three = Engine(bundle_path, threads=1), Engine(bundle_path, threads=3)
    assert np.array_equal(one.crop_features(crops), three.crop_features(crops))
    alone, shared = one.rank(query, gallery, ids, 100), three.rank(query, gallery, ids, 100)
    assert np.array_equal(alone.ids, shared.ids) and np.array_equal(alone.distances, shared.distances)


def test_workers_use_one_core_each_and_leave_torchs_own_setting_alone() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        workers = Workers(3)
        assert workers.map(lambda _: torch.get_num_threads(), range(6)) == [1] * 6
        assert torch.get_num_threads() == 2
        with ThreadPoolExecutor(1) as other:
            assert other.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_worker_reaches_the_caller(engine: Engine) -> None:
    with pytest.raises(AttributeError):
        engine.crop_features([picture(1), "not a picture"])  # type: ignore[list-item]


def test_the_manifest_can_be_shown_as_json(engine: Engine) -> None:
    assert json.loads(json.dumps(engine.manifest)) == engine.manifest
