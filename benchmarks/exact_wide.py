"""Row a: exact diff attention at r = 4, where the two matrix products are nearly all of the work."""

from __future__ import annotations

from dataclasses import replace

import torch

from benchmarks import galleries
from benchmarks.exact import DIM, figure, product_pairs_per_second
from benchmarks.figure import Figure, either

SHARE = 0.85


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Pairs per second of one query in bfloat16, against 85 % of what its matrix products alone allow."""
    attention, pairs = galleries.attention(DIM, 4), either(quick, 512, 16_384)
    found = figure(
        "a",
        f"exact diff attention, one query, p = {DIM}, r = 4",
        4,
        either(quick, 512, 40_000, rows),
        lambda: product_pairs_per_second(attention, torch.bfloat16, pairs),
        "its two bfloat16 matrix products alone",
        torch.bfloat16,
    )
    return replace(found, target=SHARE * (found.ceiling or 0))
