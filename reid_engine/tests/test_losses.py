"""The losses against numbers worked out by hand, the formulas in float64, and their own gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_engine.losses.center import CenterLoss
from reid_engine.losses.identity import identity_loss
from reid_engine.losses.triplet import batch_hard, plain_distances, weighted_regularised

LABELS = torch.tensor([0, 0, 1, 1])
TABLE = torch.tensor([[0.0, 1.0, 2.0, 3.0], [1.0, 0.0, 0.5, 4.0], [2.0, 0.5, 0.0, 1.5], [3.0, 4.0, 1.5, 0.0]])


def features(rows: int = 8, dim: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_label_smoothing_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1]]))
    expected = -(0.9 * math.log(0.7) + 0.1 / 3 * (math.log(0.7) + math.log(0.2) + math.log(0.1)))
    assert identity_loss(logits, torch.tensor([0]), 0.1).item() == pytest.approx(expected)


@given(seed=st.integers(0, 999), smoothing=st.floats(0, 0.9))
@settings(max_examples=25, deadline=None)
def test_label_smoothing_is_the_frameworks(seed: int, smoothing: float) -> None:
    logits, labels = features(6, 4, seed), torch.arange(6) % 4
    expected = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    assert torch.allclose(identity_loss(logits, labels, smoothing), expected)


def test_batch_hard_by_hand() -> None:
    """Anchors: 1 - 2, 1 - .5, 1.5 - .5, 1.5 - 3 with margin .3."""
    assert batch_hard(TABLE, LABELS, 0.3).item() == pytest.approx((0 + 0.8 + 1.3 + 0) / 4)


def test_the_soft_margin_by_hand() -> None:
    gaps = [-1.0, 0.5, 1.0, -1.5]
    expected = np.mean([math.log1p(math.exp(gap)) for gap in gaps])
    assert batch_hard(TABLE, LABELS, soft=True).item() == pytest.approx(expected)


def test_weighted_regularised_by_hand() -> None:
    far = [1.0, 1.0, 1.5, 1.5]
    near = [
        (2 * math.exp(-2) + 3 * math.exp(-3)) / (math.exp(-2) + math.exp(-3)),
        (0.5 * math.exp(-0.5) + 4 * math.exp(-4)) / (math.exp(-0.5) + math.exp(-4)),
        (2 * math.exp(-2) + 0.5 * math.exp(-0.5)) / (math.exp(-2) + math.exp(-0.5)),
        (3 * math.exp(-3) + 4 * math.exp(-4)) / (math.exp(-3) + math.exp(-4)),
    ]
    expected = np.mean([math.log1p(math.exp(a - b)) for a, b in zip(far, near, strict=True)])
    assert weighted_regularised(TABLE, LABELS).item() == pytest.approx(expected, rel=1e-5)


def public_code(distances: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The weighted regularised triplet loss step by step as AGW's public code computes it."""
    is_pos = labels[:, None].eq(labels[None]).float()
    is_neg = 1 - is_pos

    def softmax_weights(dist: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        shifted = dist - torch.max(dist * mask, dim=1, keepdim=True)[0]
        total = torch.sum(torch.exp(shifted) * mask, dim=1, keepdim=True) + 1e-6
        return torch.exp(shifted) * mask / total

    far = (distances * is_pos * softmax_weights(distances * is_pos, is_pos)).sum(1)
    near = (distances * is_neg * softmax_weights(-distances * is_neg, is_neg)).sum(1)
    return torch.nn.SoftMarginLoss()(near - far, torch.ones(len(labels)))


def test_the_published_form_is_that_of_the_public_code_and_collapses_far_away() -> None:
    published = weighted_regularised(TABLE, LABELS, published=True)
    assert published.item() == pytest.approx(public_code(TABLE, LABELS).item(), rel=1e-5)
    far = TABLE + 20 * (1 - torch.eye(4))
    safe, published = weighted_regularised(far, LABELS), weighted_regularised(far, LABELS, published=True)
    assert safe.item() == pytest.approx(weighted_regularised(TABLE, LABELS).item(), rel=1e-4)
    assert abs(published.item() - safe.item()) > 1


@pytest.mark.parametrize("loss", [batch_hard, weighted_regularised])
def test_without_a_positive_or_a_negative_the_loss_is_zero_and_has_a_gradient(loss) -> None:  # type: ignore[no-untyped-def]
    for labels in (torch.tensor([0, 1, 2, 3]), torch.tensor([5, 5, 5, 5])):
        table = TABLE.clone().requires_grad_()
        value = loss(table, labels)
        value.backward()
        assert value.item() == 0 and torch.equal(table.grad, torch.zeros(4, 4))


@pytest.mark.parametrize("loss", [batch_hard, weighted_regularised])
def test_an_anchor_alone_is_left_out(loss) -> None:  # type: ignore[no-untyped-def]
    labels = torch.tensor([0, 0, 1, 2])
    table = TABLE.clone().requires_grad_()
    loss(table, labels).backward()
    assert torch.isfinite(table.grad).all() and torch.equal(table.grad[2:], torch.zeros(2, 4))


@pytest.mark.parametrize("soft", [False, True])
def test_batch_hard_gradient(soft: bool) -> None:
    labels = torch.arange(8) // 2
    x = features().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: batch_hard(plain_distances(v), labels, 5.0, soft), x)


def test_weighted_regularised_gradient() -> None:
    labels = torch.arange(8) // 4
    x = features().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: weighted_regularised(plain_distances(v), labels), x)


def test_identity_gradient() -> None:
    assert torch.autograd.gradcheck(lambda x: identity_loss(x, torch.arange(8) % 5), features().requires_grad_())


def test_center_gradient_and_value() -> None:
    centers = CenterLoss(4, 5).double()
    x, labels = features().requires_grad_(), torch.arange(8) % 4
    expected = ((x - centers.centers[labels]) ** 2).sum(1).mean()
    assert torch.allclose(centers(x, labels), expected)
    assert torch.autograd.gradcheck(lambda v: centers(v, labels), x)


def test_plain_distances_are_euclidean_and_safe_at_zero() -> None:
    x = features().requires_grad_()
    table = plain_distances(x)
    assert torch.allclose(table, torch.cdist(x, x), atol=1e-5)
    table.sum().backward()
    assert torch.isfinite(x.grad).all()
