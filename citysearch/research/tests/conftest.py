"""Bundles for the tests of model versions: real format, random weights, made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Maker = Callable[..., Path]

METRICS = {"attention_rank1": 0.91, "attention_map": 0.8, "attention_minp": 0.6, "cosine_map": 0.7}


@pytest.fixture(scope="session")
def bundle_maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """make(name, seed): a bundle of the smallest backbone with random weights of that seed."""
    folder = tmp_path_factory.mktemp("bundles")

    def make(name: str = "tiny", seed: int = 1) -> Path:
        path = folder / f"{name}-{seed}.reid"
        return path if path.exists() else _write(path, name, seed)

    return make


def _write(path: Path, name: str, seed: int) -> Path:
    import torch

    from reid_engine import bundle
    from reid_engine.models import build

    torch.manual_seed(seed)
    config = {"backbone": "osnet_x0_25", "diff_attention": {"ratio": 64}}
    preprocessing = {
        "height": 128,
        "width": 64,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "interpolation": "bilinear",
        "views": ["plain", "flip"],
    }
    bundle.write(
        path,
        build(config).eval(),
        {
            "name": name,
            "created": "2024-05-01T00:00:00Z",
            "config": config,
            "preprocessing": preprocessing,
            "metrics": METRICS,
            "calibration": {"kind": "platt", "a": 4.0, "b": -3.0},
        },
    )
    return path


@pytest.fixture
def tiny(bundle_maker: Maker) -> Path:
    """A whole bundle named tiny."""
    return bundle_maker()
