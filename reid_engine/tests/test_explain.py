"""Contributions that sum to the distance, lie where the pictures differ, and are drawn over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reid_engine.augment import eval_tensor
from reid_engine.explain import explain, last_map, overlay, pair_overlay
from reid_engine.models import build
from reid_engine.models.reid_model import ReidModel
from reid_engine.photo import enhance

SIZE = {"height": 64, "width": 32, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
BOTH = SIZE | {"views": ["plain", "flip"]}


def model_of(backbone: str = "osnet_x0_25", **attention: Any) -> ReidModel:
    """Random weights, settled statistics: features spread as those of a trained network."""
    torch.manual_seed(3)
    options = {"options": {"relu": True}} if attention.pop("relu", False) else {}
    model = build({"backbone": backbone, "diff_attention": {"ratio": 32, **attention}, **options})
    model.train()
    with torch.no_grad():
        model(torch.randn(4, 3, 64, 32))
    return model.eval()


def noise(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(60, 220, (128, 64, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def osnet() -> ReidModel:
    return model_of()


def distance_of(model: ReidModel, preprocessing: dict[str, Any], photo: Image.Image, crop: Image.Image) -> float:
    """By the model itself, view by view."""

    def feature(image: Image.Image) -> torch.Tensor:
        batch = eval_tensor(image, preprocessing)[None]
        views = preprocessing.get("views", ["plain"])
        return torch.stack([model(batch.flip(3) if view == "flip" else batch) for view in views]).mean(0)

    with torch.no_grad():
        return float(model.attention.distance(feature(enhance(photo)), feature(crop)))


@given(st.integers(0, 10_000), st.integers(0, 10_000))
@settings(max_examples=5, deadline=None)
def test_the_contributions_of_both_maps_sum_to_the_squared_distance(osnet: ReidModel, first: int, second: int) -> None:
    found = explain(osnet, BOTH, noise(first), noise(second))
    assert found.method == "exact"
    assert found.query_map.sum() + found.gallery_map.sum() == pytest.approx(found.term, abs=1e-4)
    assert found.distance == pytest.approx(distance_of(osnet, BOTH, noise(first), noise(second)), abs=1e-5)
    assert found.term == pytest.approx(found.distance**2, abs=1e-4)


@pytest.mark.parametrize(("backbone", "distance"), [("mobilenetv2", "cosine"), ("osnet_ain_x0_25", "euclidean")])
def test_every_averaging_backbone_and_both_metrics_split_exactly(backbone: str, distance: str) -> None:
    model = model_of(backbone, distance=distance)
    found = explain(model, SIZE, noise(1), noise(2))
    assert found.method == "exact"
    assert found.query_map.sum() + found.gallery_map.sum() == pytest.approx(found.term, abs=1e-4)
    assert found.term == pytest.approx(found.distance if distance == "cosine" else found.distance**2, abs=1e-4)


def test_the_maps_have_the_shape_of_the_last_layer(osnet: ReidModel) -> None:
    found = explain(osnet, BOTH, noise(1), noise(2))
    with torch.no_grad():
        shape = last_map(osnet.backbone, torch.zeros(1, 3, 64, 32)).shape[2:]
    assert found.query_map.shape == found.gallery_map.shape == tuple(shape)


def test_a_picture_beside_itself_has_nothing_to_explain(osnet: ReidModel) -> None:
    found = explain(osnet, BOTH, noise(4), noise(4))
    assert found.distance == pytest.approx(0, abs=1e-4)
    assert np.abs(found.query_map).max() < 1e-3


def test_a_mirrored_pair_has_mirrored_maps(osnet: ReidModel) -> None:
    flipped = [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for image in (noise(5), noise(6))]
    straight, mirrored = explain(osnet, BOTH, noise(5), noise(6)), explain(osnet, BOTH, *flipped)
    assert mirrored.query_map[:, ::-1] == pytest.approx(straight.query_map, abs=1e-4)
    assert mirrored.distance == pytest.approx(straight.distance, abs=1e-4)


def test_behind_a_relu_the_maps_are_gradients_and_say_so() -> None:
    model = model_of(relu=True)
    found = explain(model, BOTH, noise(1), noise(2))
    assert found.method == "gradient"
    assert np.abs(found.query_map).max() > 0 and np.isfinite(found.gallery_map).all()
    assert found.distance == pytest.approx(distance_of(model, BOTH, noise(1), noise(2)), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "method"), [("bagtricks", "exact"), ("agw", "gradient")])
def test_the_large_backbones(backbone: str, method: str) -> None:
    found = explain(model_of(backbone), BOTH, noise(1), noise(2))
    assert found.method == method
    if method == "exact":
        assert found.query_map.sum() + found.gallery_map.sum() == pytest.approx(found.term, abs=1e-3)


def test_an_overlay_is_red_where_the_map_is_positive_and_blue_where_it_is_negative() -> None:
    values = np.zeros((4, 2), np.float32)
    values[0], values[3] = 1.0, -1.0
    drawn = np.asarray(overlay(Image.new("RGB", (32, 64), (128, 128, 128)), values), np.int64)
    assert drawn.shape == (64, 32, 3)
    assert drawn[2, 16, 0] > drawn[2, 16, 2] + 60
    assert drawn[61, 16, 2] > drawn[61, 16, 0] + 60


def test_the_sheet_of_a_pair_holds_four_pictures_of_one_height(osnet: ReidModel) -> None:
    found = explain(osnet, BOTH, noise(1), noise(2))
    assert pair_overlay(noise(1), noise(2), found, height=128).size == (4 * 64 + 5 * 8, 128 + 16)
