"""The evaluation tensor is the bundle's preprocessing; the random views do what they say and repeat with their seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from reid_engine.augment import IMAGENET_MEAN, IMAGENET_STD, Views, eval_tensor, normalise

PREPROCESSING = {"height": 32, "width": 16, "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}


def crops(count: int = 8, height: int = 32, width: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_evaluation_tensor_is_resized_and_normalised() -> None:
    tensor = eval_tensor(Image.new("RGB", (64, 128), (255, 0, 128)), PREPROCESSING)
    expected = (np.array([1, 0, 128 / 255]) - IMAGENET_MEAN) / IMAGENET_STD
    assert tensor.shape == (3, 32, 16)
    assert np.allclose(tensor.mean(dim=(1, 2)), expected, atol=1e-6)


def test_a_grey_picture_becomes_three_channels() -> None:
    assert eval_tensor(Image.new("L", (10, 20), 7), PREPROCESSING).shape == (3, 32, 16)


def test_without_randomness_a_view_is_the_evaluation_tensor() -> None:
    assert torch.allclose(Views(0, 0, 0, 0)(crops(), seeded()), normalise(crops()), atol=1e-6)


def test_the_same_seed_gives_the_same_views_and_another_one_others() -> None:
    views = Views(0.5, 4, 0.2, 0.5)
    assert torch.equal(views(crops(), seeded(1)), views(crops(), seeded(1)))
    assert not torch.equal(views(crops(), seeded(1)), views(crops(), seeded(2)))


def test_certain_mirroring_mirrors_everything() -> None:
    assert torch.equal(Views(1, 0, 0, 0)(crops(), seeded()), Views(0, 0, 0, 0)(crops(), seeded()).flip(3))


def test_a_shifted_view_is_a_window_of_the_padded_crop() -> None:
    plain, shifted = Views(0, 0, 0, 0)(crops(), seeded()), Views(0, 3, 0, 0)(crops(), seeded())
    padded = torch.nn.functional.pad(plain, (3,) * 4)
    windows = padded.unfold(2, 32, 1).unfold(3, 16, 1)
    for row in range(len(plain)):
        assert (windows[row] == shifted[row][:, None, None]).all(dim=(0, 3, 4)).any()


def test_erasing_takes_a_rectangle_of_2_to_40_percent() -> None:
    plain, erased = Views(0, 0, 0, 0)(crops(200), seeded()), Views(0, 0, 0, 1)(crops(200), seeded())
    gone = ((plain != erased).any(1) | (erased == 0).all(1)).float().mean(dim=(1, 2))
    hit = gone[gone > 0]
    assert len(hit) > 100 and hit.min() > 0.01 and hit.max() < 0.45


@pytest.mark.parametrize("strength", [0.1, 0.4])
def test_colour_changes_but_stays_a_picture(strength: float) -> None:
    view = Views(0, 0, strength, 0)(crops(), seeded())
    raw = view * torch.tensor(IMAGENET_STD).view(3, 1, 1) + torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
    assert raw.min() > -1e-6 and raw.max() < 1 + 1e-6
    assert not torch.allclose(view, normalise(crops()), atol=0.01)


def test_a_poorer_camera_takes_detail_and_stays_a_picture() -> None:
    view = Views(0, 0, 0, 0, camera=1)(crops(40), seeded())
    raw = view * torch.tensor(IMAGENET_STD).view(3, 1, 1) + torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
    assert raw.min() > -1e-6 and raw.max() < 1 + 1e-6
    detail = [(images[..., 1:] - images[..., :-1]).abs().mean() for images in (raw, crops(40).float() / 255)]
    assert detail[0] < 0.7 * detail[1]


def test_only_the_asked_share_is_shown_as_by_a_poorer_camera() -> None:
    plain, mixed = normalise(crops(400)), Views(0, 0, 0, 0, camera=0.3)(crops(400), seeded())
    same = torch.isclose(plain, mixed, atol=1e-5).flatten(1).all(1).float().mean()
    assert same == pytest.approx(0.7, abs=0.08)
