"""Diff attention against the formulas written out in float64, and every invariant of the method."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_engine.errors import BadConfig
from reid_engine.models.diff_attention import DiffAttention, pair_distance
from reid_engine.training.config import ACTIVATIONS, DISTANCES, TRANSFORMS


def module_of(dim: int = 12, seed: int = 0, **options: object) -> DiffAttention:
    """A module with weights large enough that the map differs from pair to pair."""
    torch.manual_seed(seed)
    module = DiffAttention(dim, **{"ratio": 2, **options})
    with torch.no_grad():
        module.expand.weight.mul_(4)
    return module


def vectors(rows: int, dim: int = 12, seed: int = 1) -> torch.Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))


def reference(module: DiffAttention, q: np.ndarray, g: np.ndarray, normalise: bool = True) -> float:
    """One pair, by the formulas, in float64."""
    w1, w2 = (layer.weight.detach().double().numpy() for layer in (module.reduce, module.expand))
    scalars = module.aggregate.detach().double().numpy()
    w_d, w_q, w_g, b = (scalars[0], scalars[1], scalars[1], scalars[2]) if module.tied else scalars
    d = {"sub": g - q, "squ": (g - q) ** 2, "abs": np.abs(g - q)}[module.transform]
    a = w2 @ np.maximum(w1 @ (w_d * d + w_q * q + w_g * g + b), 0)
    a = 1 / (1 + np.exp(-a)) if module.activation == "sigmoid" else a
    left, right = a * q, a * g
    if module.metric == "cosine":
        return 1 - left @ right / np.linalg.norm(left) / np.linalg.norm(right)
    if normalise:
        left, right = left / np.linalg.norm(left), right / np.linalg.norm(right)
    return float(np.linalg.norm(left - right))


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("tied", [True, False])
def test_every_form_equals_the_formulas_in_float64(transform: str, activation: str, distance: str, tied: bool) -> None:
    module = module_of(transform=transform, activation=activation, distance=distance, tied=tied)
    q, g = vectors(4), vectors(5, seed=2)
    expected = [[reference(module, a, b) for b in g.double().numpy()] for a in q.double().numpy()]
    assert np.allclose(module.distance_matrix(q, g).detach().numpy(), expected, atol=2e-5)


def test_without_normalisation_the_distance_is_that_of_the_attended_vectors() -> None:
    module = module_of()
    q, g = vectors(3), vectors(3, seed=2)
    expected = [[reference(module, a, b, normalise=False) for b in g.double().numpy()] for a in q.double().numpy()]
    assert np.allclose(module.distance_matrix(q, g, normalise=False).detach().numpy(), expected, atol=2e-5)


@pytest.mark.parametrize(("ratio", "parameters"), [(4, 2_097_156), (512, 16_388)])
def test_the_papers_modules_have_the_papers_size(ratio: int, parameters: int) -> None:
    module = DiffAttention(2048, ratio, tied=False)
    assert sum(weights.numel() for weights in module.parameters()) == parameters


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_a_vector_is_at_distance_zero_from_itself(seed: int) -> None:
    x = vectors(6, seed=seed)
    assert module_of(seed=seed, tied=bool(seed % 2)).distance_matrix(x, x).diagonal().abs().max() == 0


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_tied_weights_make_the_distance_symmetric(seed: int) -> None:
    q, g = vectors(4, seed=seed), vectors(5, seed=seed + 1)
    module = module_of(seed=seed)
    assert torch.allclose(module.distance_matrix(q, g), module.distance_matrix(g, q).T, atol=1e-5)


def test_untied_weights_do_not() -> None:
    q, g = vectors(4), vectors(5, seed=2)
    module = module_of(tied=False)
    assert not torch.allclose(module.distance_matrix(q, g), module.distance_matrix(g, q).T, atol=1e-3)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_constant_map_gives_the_baseline_ranking(activation: str) -> None:
    module = module_of(activation=activation)
    q, g = vectors(4), vectors(30, seed=2)
    if activation == "sigmoid":
        torch.nn.init.zeros_(module.expand.weight)
    else:
        module.forward = lambda q, g: torch.full_like(q + g, 3.0)  # type: ignore[method-assign]
    plain = torch.stack([pair_distance(row[None], g) for row in q])
    assert torch.equal(module.distance_matrix(q, g).argsort(1), plain.argsort(1))


def test_a_map_of_ones_is_neutral() -> None:
    module = module_of()
    module.forward = lambda q, g: torch.ones_like(q + g)  # type: ignore[method-assign]
    q, g = vectors(4), vectors(6, seed=2)
    plain = torch.stack([pair_distance(row[None], g) for row in q])
    assert torch.allclose(module.distance_matrix(q, g), plain)


def test_the_map_starts_near_a_half() -> None:
    torch.manual_seed(0)
    attention = DiffAttention(512)(vectors(20, 512), vectors(20, 512, seed=2))
    assert (attention - 0.5).abs().mean() < 0.1


@given(tile=st.integers(1, 60))
@settings(max_examples=20, deadline=None)
def test_the_tile_size_changes_nothing(tile: int) -> None:
    module = module_of()
    q, g = vectors(5), vectors(7, seed=2)
    assert torch.allclose(module.distance_matrix(q, g, tile=tile), module.distance_matrix(q, g), atol=1e-6)


def test_tiles_give_the_same_gradients() -> None:
    q, g = vectors(5), vectors(7, seed=2)
    gradients = []
    for tile in (None, 6):
        module = module_of()
        moved = q.clone().requires_grad_()
        module.distance_matrix(moved, g, tile=tile).square().sum().backward()
        gradients.append([moved.grad, *(weights.grad for weights in module.parameters())])
    for whole, tiled in zip(*gradients, strict=True):
        assert torch.allclose(whole, tiled, atol=1e-5)


def test_no_step_holds_more_pairs_than_a_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    module, seen = module_of(), []
    whole = DiffAttention.distance

    def watched(self: DiffAttention, q: torch.Tensor, g: torch.Tensor, normalise: bool = True) -> torch.Tensor:
        result = whole(self, q, g, normalise)
        seen.append(result.numel())
        return result

    monkeypatch.setattr(DiffAttention, "distance", watched)
    module.distance_matrix(vectors(20), vectors(33, seed=2), tile=16)
    assert max(seen) <= 16 and sum(seen) == 20 * 33


def test_an_empty_side_gives_an_empty_matrix() -> None:
    assert module_of().distance_matrix(vectors(0), vectors(3)).shape == (0, 3)
    assert module_of().distance_matrix(vectors(3), vectors(0)).shape == (3, 0)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_first_layers_per_image_terms_can_be_stored(transform: str) -> None:
    module = module_of(transform=transform, tied=False)
    q, g = vectors(4)[:, None], vectors(5, seed=2)[None]
    w_d, w_q, w_g, b = module.scalars()
    stored_q, stored_g = w_q * module.reduce(q), w_g * module.reduce(g)
    summed = w_d * module.reduce(module.difference(q, g)) + stored_q + stored_g + b * module.reduce.weight.sum(1)
    assert torch.allclose(torch.relu(summed), module.hidden(q, g), atol=1e-5)


def test_bfloat16_keeps_the_top_20() -> None:
    module = module_of(dim=64, ratio=4)
    q = vectors(8, 64)
    g = torch.cat([q.repeat(3, 1) + 0.5 * vectors(24, 64, seed=3), vectors(400, 64, seed=2)])
    exact = module.distance_matrix(q, g).argsort(1)[:, :20]
    rough = module.to(torch.bfloat16).distance_matrix(q.bfloat16(), g.bfloat16()).float().argsort(1)[:, :20]
    shared = [len(set(a.tolist()) & set(b.tolist())) for a, b in zip(exact, rough, strict=True)]
    assert np.mean(shared) >= 19


def test_a_dead_module_is_noticed() -> None:
    module = module_of()
    assert module.dead_share(vectors(9), vectors(9, seed=2)) < 0.5
    with torch.no_grad():
        module.aggregate.zero_()
    assert module.dead_share(vectors(9), vectors(9, seed=2)) == 1.0


def test_gradients_stay_finite_where_vectors_coincide() -> None:
    x = vectors(3).requires_grad_()
    module_of().distance_matrix(x, x).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_the_gradient_is_that_of_the_formula() -> None:
    module = module_of(dim=6, transform="squ").double()
    q, g = vectors(3, 6).double().requires_grad_(), vectors(2, 6, seed=2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: module.distance_matrix(a, b), (q, g))


@pytest.mark.parametrize(
    ("option", "value"), [("transform", "cube"), ("activation", "tanh"), ("distance", "manhattan")]
)
def test_an_unknown_option_is_refused_with_the_allowed_ones(option: str, value: str) -> None:
    with pytest.raises(BadConfig, match="allowed") as refusal:
        DiffAttention(8, **{option: value})
    assert refusal.value.data["option"] == option
