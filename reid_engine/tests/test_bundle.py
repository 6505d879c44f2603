"""A bundle comes back as it was written, says what is in it without torch, and no flipped byte passes."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reid_engine import bundle
from reid_engine.attention import Attention
from reid_engine.errors import BundleCorrupt, BundleMismatch, ReportUnwritten
from reid_engine.models import build

CONFIG = {"backbone": "osnet_x0_25", "options": {}, "diff_attention": {"ratio": 16}}
FACTS = {
    "name": "tiny",
    "created": "2026-01-01T00:00:00+00:00",
    "config": CONFIG,
    "metrics": {"cosine_map": 0.5},
    "preprocessing": {"height": 64, "width": 32, "mean": [0, 0, 0], "std": [1, 1, 1], "views": ["plain"]},
    "calibration": {"kind": "platt", "a": 1.0, "b": 0.0},
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("bundles") / "tiny.reid"
    bundle.write(path, build({**CONFIG, "classes": 5}), FACTS)
    return path


def test_a_bundle_comes_back_as_it_was_written(written: Path) -> None:
    torch.manual_seed(0)
    model, read = build({**CONFIG, "classes": 5}).eval(), bundle.read(written)
    x = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        assert torch.allclose(model(x), read.model()(x), atol=5e-2)
    assert read.manifest["metrics"] == FACTS["metrics"] and read.manifest["dim"] == 512


def test_matrices_are_half_and_statistics_whole_and_the_classifier_stays_behind(written: Path) -> None:
    state = bundle.read(written).state_dict
    assert {str(value.dtype) for value in state.values() if value.dim() > 1} == {"torch.float16"}
    assert state["backbone.conv1.bn.running_var"].dtype == torch.float32
    assert not any(name.startswith("classifier") for name in state)


def test_the_same_content_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    bundle.write(tmp_path / "again.reid", build({**CONFIG, "classes": 5}), FACTS)
    assert (tmp_path / "again.reid").read_bytes() == written.read_bytes()
    assert bundle.read(tmp_path / "again.reid").sha256 == bundle.read(written).sha256


@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_anywhere_is_found(written: Path, tmp_path: Path, share: float, bit: int) -> None:
    content = bytearray(written.read_bytes())
    content[int(share * len(content))] ^= 1 << bit
    damaged = tmp_path / "damaged.reid"
    damaged.write_bytes(content)
    with pytest.raises(BundleCorrupt):
        bundle.verify(damaged)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 5000])
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.reid"
    path.write_bytes(content)
    with pytest.raises(BundleCorrupt):
        bundle.read(path)


def test_a_missing_or_cut_bundle_is_refused(written: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleCorrupt, match="cannot be read"):
        bundle.read(tmp_path / "nowhere.reid")
    (tmp_path / "cut.reid").write_bytes(written.read_bytes()[:-1000])
    with pytest.raises(BundleCorrupt):
        bundle.read(tmp_path / "cut.reid")


def resealed(written: Path, target: Path, **changes: object) -> Path:
    """The same bundle with another manifest and a seal that fits."""
    with zipfile.ZipFile(written) as archive:
        manifest, *others = [(name, archive.read(name)) for name in archive.namelist()]
    stored = json.loads(manifest[1]) | changes
    facts = {name: value for name, value in stored.items() if value is not None}
    target.write_bytes(bundle._sealed({"manifest.json": json.dumps(facts).encode(), **dict(others)}))
    return target


def test_another_format_is_named(written: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleMismatch, match="format 7"):
        bundle.read(resealed(written, tmp_path / "new.reid", format_version=7))


def test_a_manifest_without_calibration_is_refused(written: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleMismatch, match="calibration"):
        bundle.read(resealed(written, tmp_path / "bare.reid", calibration=None))


def test_weights_exchanged_for_others_are_found(written: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleCorrupt, match="weights"):
        bundle.read(resealed(written, tmp_path / "swap.reid", files={"weights.pt": "0" * 64}))


def test_weights_of_another_configuration_are_refused(written: Path, tmp_path: Path) -> None:
    other = {**CONFIG, "diff_attention": {"ratio": 8}}
    with pytest.raises(BundleMismatch, match="configuration"):
        bundle.read(resealed(written, tmp_path / "other.reid", config=other)).model()


def test_a_full_disk_leaves_the_old_bundle_whole(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "kept.reid"
    target.write_bytes(written.read_bytes())

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ReportUnwritten, match="No space"):
        bundle.write(target, build(CONFIG), FACTS)
    bundle.verify(target)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.reid"]


def test_an_older_bundle_without_the_arrays_ranks_with_the_same_weights(written: Path, tmp_path: Path) -> None:
    new, older = bundle.read(written), tmp_path / "older.reid"
    files = {name: content for name, content in new.files.items() if name != bundle.ATTENTION}
    named = {name: digest for name, digest in new.manifest["files"].items() if name != bundle.ATTENTION}
    manifest = json.dumps({**new.manifest, "files": named}).encode()
    older.write_bytes(bundle._sealed({bundle.MANIFEST: manifest, **files}))
    found, wanted, kept = bundle.read(older).attention, Attention.of(new.model().attention), new.attention
    for attention in (found, kept):
        assert np.array_equal(attention.w1, wanted.w1) and np.array_equal(attention.w2, wanted.w2)
        assert attention.scalars == wanted.scalars and attention.b == wanted.b and attention.w_q == wanted.w_q


def test_reading_the_manifest_and_the_map_loads_no_torch(written: Path) -> None:
    script = (
        "import sys; from reid_engine import bundle; bundle.verify(sys.argv[1]); "
        "bundle.read(sys.argv[1]).attention; "
        "print(bundle.read_manifest(sys.argv[1])['name'], 'torch' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(written)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(bundle.__file__).parents[1],
    )
    assert said.stdout.split() == ["tiny", "False"]


def test_the_shipped_bundle_is_whole_small_and_trained() -> None:
    shipped = bundle.read(bundle.SHIPPED)
    assert bundle.SHIPPED.stat().st_size <= 20 * 2**20
    assert shipped.manifest["metrics"]["attention_map"] > shipped.manifest["metrics"]["cosine_map"] > 0.65
    assert shipped.model()(torch.zeros(1, 3, 256, 128)).shape == (1, shipped.manifest["dim"])
