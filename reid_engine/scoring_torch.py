"""What of scoring needs torch: products in bfloat16, a GPU, a machine without Numba. scoring.py loads it for these."""

from __future__ import annotations

from functools import cache, lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reid_engine.attention import Attention
from reid_engine.models.reid_model import has_bfloat16 as has_bfloat16
from reid_engine.scoring import Features, Precision, Products, Score, Vector

KEPT = 8  # prepared weights: of the bundles in use, at a few sizes of tiles


def scorer(attention: Attention, query: Vector, precision: Precision, tile: int) -> Score:
    """As scoring.scorer: on a GPU one Triton kernel (gpu.py); without Triton, or without Numba, torch alone."""
    gpu = gpu_kernels()
    if attention.device != "cpu" and gpu and gpu.fits(attention):
        return _OnGpu(attention, query, gpu)
    return _Plain(attention, query, precision, tile)


@cache
def gpu_kernels() -> ModuleType | None:
    """The Triton kernel, or None where there is no Triton."""
    try:
        from reid_engine import gpu
    except ImportError:
        return None
    return gpu


def bfloat16_products(attention: Attention, constant: Vector, tile: int) -> Products:
    """As scoring's products, for mixed rows and logits that are bfloat16 seen as uint16."""
    reduce, expand = packed(attention, torch.bfloat16, tile)
    shared = torch.from_numpy(constant).bfloat16()

    @torch.inference_mode()
    def products(mixed: NDArray[Any]) -> NDArray[Any]:
        rows = torch.from_numpy(mixed).view(torch.bfloat16)
        logits = linear(linear(rows, reduce, shared, "relu"), expand, None, "none")
        return np.asarray(logits.view(torch.uint16).numpy())

    return products


@lru_cache(KEPT)
@torch.inference_mode()
def packed(attention: Attention, dtype: torch.dtype, tile: int) -> tuple[Tensor, Tensor]:
    """w1 and w2 in the order in which oneDNN's products over tiles of that many rows read them."""
    reorder, layers = torch.ops.mkldnn._reorder_linear_weight, (attention.w1, attention.w2)
    reduce, expand = (reorder(torch.from_numpy(layer).to(dtype), tile) for layer in layers)
    return reduce, expand


def linear(rows: Tensor, weights: Tensor, constant: Tensor | None, then: str) -> Tensor:
    """rows (T, n) times packed weights (m, n), plus a constant (m,), then "relu" or "none" -> (T, m).

    The same product that torch's own compiler calls.
    """
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weights, constant, then, [], "")
    return product


@lru_cache(KEPT)
def _fused(attention: Attention, gpu: ModuleType) -> Any:
    """The kernel's weights, on the GPU."""
    return gpu.Fused(attention)


@lru_cache(KEPT)
@torch.inference_mode()
def _columns(attention: Attention, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """w1 and w2 transposed and contiguous on the attention's device, as the products over rows need them."""
    layers = (torch.from_numpy(layer).to(attention.device, dtype) for layer in (attention.w1, attention.w2))
    reduce, expand = (layer.t().contiguous() for layer in layers)
    return reduce, expand


class _OnGpu:
    """Pieces of rows travel to the GPU, whose kernel needs no tiles. For rows that stay there see gpu.Resident."""

    def __init__(self, attention: Attention, query: Vector, gpu: ModuleType) -> None:
        self.fused = _fused(attention, gpu)
        self.queries = torch.from_numpy(np.array(query[None], dtype=np.float32)).to(attention.device)

    def __call__(self, rows: Features) -> Vector:
        there = torch.from_numpy(np.array(rows, np.float16)).to(self.queries.device)
        return np.asarray(self.fused.distances(there, self.queries)[0].cpu().numpy())


class _Plain:
    """Torch alone, on the attention's device."""

    def __init__(self, attention: Attention, query: Vector, precision: Precision, tile: int) -> None:
        self.attention, self.tile = attention, tile
        there, dtype = attention.device, torch.bfloat16 if precision == "bfloat16" else torch.float32
        self.query = torch.from_numpy(np.array(query, dtype=np.float32)).to(there)
        self.reduce, self.expand = _columns(attention, dtype)
        self.constant = torch.from_numpy(attention.constant(np.asarray(query, np.float32))).to(there, dtype)

    @torch.inference_mode()
    def __call__(self, rows: Features) -> Vector:
        found = [self._tile(rows[start : start + self.tile]) for start in range(0, len(rows), self.tile)]
        return np.asarray(torch.cat(found).cpu().numpy()) if found else np.empty(0, np.float32)

    def _tile(self, rows: Features) -> Tensor:
        """At most one tile of rows, filled up with zeros -> their distances."""
        real = torch.from_numpy(np.array(rows)).to(self.query.device).float()
        tile = torch.nn.functional.pad(real, (0, 0, 0, self.tile - len(real)))
        gap = tile - self.query
        weights = self._squared_map(gap, tile)
        sums = (weights @ self.query.square(), (weights * tile.square()).sum(1), (weights * gap.square()).sum(1))
        distances: Tensor = self.attention.distances(torch.stack(sums, 1), torch)
        return distances[: len(real)]

    def _squared_map(self, gap: Tensor, tile: Tensor) -> Tensor:
        """A * A (T, D): all three sums need the map only squared."""
        w_abs, w_squ, w_row = self.attention.scalars
        mixed = (w_abs * gap.abs() + w_squ * gap.square() + w_row * tile).to(self.reduce.dtype)
        logits = (torch.addmm(self.constant, mixed, self.reduce).relu_() @ self.expand).float()
        return (logits.sigmoid_() if self.attention.activation == "sigmoid" else logits).square_()
