"""Distances and cosines of one query and a piece of rows, on the fastest way this machine has.

`scorer` and `cosine` prepare a query once and give a function that threads call on pieces of rows. Four ways:

- at most four hidden units: one compiled visit to each row (kernels.py);
- more: compiled edges around two matrix products, whose weights oneDNN keeps packed (float32 or bfloat16);
- on a GPU: one Triton kernel (gpu.py), products in float16;
- without Numba, or without Triton: torch alone, the same sums.

Tiles always have their full size in the products, so that a row's distance does not depend on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reid_engine.attention import EPS, Attention

TILE_BYTES = 1 << 19  # of what enters a product: it and what leaves stay in a core's second-level cache
TILE_ON_GPU = 16_384
SMALLEST_TILE, LARGEST_TILE = 64, 1024

Vector = NDArray[np.float32]
Features = NDArray[np.float16]
Score = Callable[[Features], Vector]


@cache
def compiled_kernels() -> ModuleType | None:
    """The compiled loops, or None where they cannot be had."""
    try:
        from reid_engine import kernels
    except ImportError:
        return None
    return kernels


@cache
def gpu_kernels() -> ModuleType | None:
    """The Triton kernel, or None where there is no Triton."""
    try:
        from reid_engine import gpu
    except ImportError:
        return None
    return gpu


def tile_rows(attention: Attention, dtype: torch.dtype = torch.float32) -> int:
    """How many rows enter the matrix products at a time where the weights are."""
    if attention.w1.device.type != "cpu":
        return TILE_ON_GPU
    fitting = TILE_BYTES // (attention.dim * dtype.itemsize)
    return min(max(SMALLEST_TILE, 1 << max(fitting.bit_length() - 1, 0)), LARGEST_TILE)


@torch.inference_mode()
def scorer(attention: Attention, query: Vector, dtype: torch.dtype = torch.float32, tile: int | None = None) -> Score:
    """A function from rows (n, D) to their distances (n,) float32 from the query (D,); threads may share it.

    With `dtype=torch.bfloat16` the two products round to 8 bits where there are products; all else stays float32.
    """
    kernels, size = compiled_kernels(), tile or tile_rows(attention, dtype)
    if attention.w1.device.type == "cuda":
        gpu = gpu_kernels()
        return _OnGpu(attention, query, gpu) if gpu and gpu.fits(attention) else _Plain(attention, query, dtype, size)
    if kernels is None:
        return _Plain(attention, query, dtype, size)
    if attention.hidden <= kernels.NARROW:
        return _Narrow(attention, query, kernels)
    return _Wide(attention, query, dtype, size, kernels)


@torch.inference_mode()
def cosine(queries: Vector) -> Score:
    """A function from rows (n, D) to plain cosines (Q, n) float32 with the queries (Q, D); 0 where one is zero."""
    directions = np.asarray(queries, np.float32)
    directions = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), EPS)
    kernels = compiled_kernels()
    if kernels is None:
        return lambda rows: _plain_cosines(directions, rows)
    return lambda rows: _compiled_cosines(kernels, directions, _bits(rows))


class _Narrow:
    """One compiled visit to each row; hidden units are filled up with zeros."""

    def __init__(self, attention: Attention, query: Vector, kernels: ModuleType) -> None:
        self.attention, self.kernels = attention, kernels
        self.query = np.array(query, np.float32)
        missing = kernels.NARROW - attention.hidden
        pad = torch.nn.functional.pad
        self.reduce = pad(attention.w1, (0, 0, 0, missing)).numpy()
        self.expand = pad(attention.columns[1], (0, 0, 0, missing)).numpy()
        self.constant = pad(attention.constant(torch.from_numpy(self.query)), (0, missing)).numpy()
        self.scalars = _float32s(attention.scalars)

    @torch.inference_mode()
    def __call__(self, rows: Features) -> Vector:
        sums, sigmoid = np.empty((len(rows), 3), np.float32), self.attention.activation == "sigmoid"
        weights = self.reduce, self.expand, self.constant, self.scalars
        self.kernels.narrow_sums(_bits(rows), self.query, *weights, sigmoid, sums)
        return np.asarray(self.attention.distances(torch.from_numpy(sums)).numpy())


class _Wide:
    """Compiled edges around two matrix products over whole tiles."""

    def __init__(self, attention: Attention, query: Vector, dtype: torch.dtype, tile: int, kernels: ModuleType) -> None:
        self.attention, self.dtype, self.tile, self.kernels = attention, dtype, tile, kernels
        self.query = np.array(query, np.float32)
        self.packed = attention.packed(dtype, tile)
        self.constant = attention.constant(torch.from_numpy(self.query)).to(dtype)
        self.scalars = _float32s(attention.scalars)

    @torch.inference_mode()
    def __call__(self, rows: Features) -> Vector:
        sums = np.empty((len(rows), 3), np.float32)
        mixed = torch.zeros(self.tile, self.attention.dim, dtype=self.dtype)
        bits = _bits(rows)
        for start in range(0, len(bits), self.tile):
            self._tile(bits[start : start + self.tile], mixed, sums[start : start + self.tile])
        return np.asarray(self.attention.distances(torch.from_numpy(sums)).numpy())

    def _tile(self, bits: NDArray[Any], mixed: Tensor, sums: Vector) -> None:
        """At most one tile of rows -> their three sums; what an unfilled tile holds below them does not matter."""
        reduce, expand = self.packed
        self.kernels.mix(bits, self.query, self.scalars, _array(mixed))
        logits = linear(linear(mixed, reduce, self.constant, "relu"), expand, None, "none")
        self.kernels.map_sums(bits, self.query, _array(logits), self.attention.activation == "sigmoid", sums)


class _OnGpu:
    """Pieces of rows travel to the GPU, whose kernel needs no tiles. For rows that stay there see gpu.Resident."""

    def __init__(self, attention: Attention, query: Vector, gpu: ModuleType) -> None:
        self.fused = gpu.Fused(attention)
        self.queries = torch.from_numpy(np.array(query[None], dtype=np.float32)).to(attention.w1.device)

    def __call__(self, rows: Features) -> Vector:
        there = torch.from_numpy(np.array(rows, np.float16)).to(self.queries.device)
        return np.asarray(self.fused.distances(there, self.queries)[0].cpu().numpy())


class _Plain:
    """Torch alone, on the device of the weights."""

    def __init__(self, attention: Attention, query: Vector, dtype: torch.dtype, tile: int) -> None:
        self.attention, self.tile = attention, tile
        self.query = torch.from_numpy(np.array(query, dtype=np.float32)).to(attention.w1.device)
        self.reduce, self.expand = (layer.to(dtype) for layer in attention.columns)
        self.constant = attention.constant(self.query).to(dtype)

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
        return self.attention.distances(torch.stack(sums, 1))[: len(real)]

    def _squared_map(self, gap: Tensor, tile: Tensor) -> Tensor:
        """A * A (T, D): all three sums need the map only squared."""
        w_abs, w_squ, w_row = self.attention.scalars
        mixed = (w_abs * gap.abs() + w_squ * gap.square() + w_row * tile).to(self.reduce.dtype)
        logits = (torch.addmm(self.constant, mixed, self.reduce).relu_() @ self.expand).float()
        return (logits.sigmoid_() if self.attention.activation == "sigmoid" else logits).square_()


def linear(rows: Tensor, weights: Tensor, constant: Tensor | None, then: str) -> Tensor:
    """rows (T, n) times packed weights (m, n), plus a constant (m,), then "relu" or "none" -> (T, m).

    The same product that torch's own compiler calls; twice the speed of torch.mm in float32 on the processor measured.
    """
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weights, constant, then, [], "")
    return product


def _plain_cosines(directions: Vector, rows: Features) -> Vector:
    wide = torch.from_numpy(np.array(rows)).float()
    cosines = torch.from_numpy(directions) @ wide.t() / wide.norm(dim=1).clamp_min(EPS)
    return np.asarray(cosines.numpy())


def _compiled_cosines(kernels: ModuleType, directions: Vector, bits: NDArray[Any]) -> Vector:
    found = np.empty((len(directions), len(bits)), np.float32)
    kernels.cosines(bits, directions, found)
    return found


def _bits(rows: Features) -> NDArray[Any]:
    """Rows as the compiled loops take them: float16 seen as uint16, float32 as it is; contiguous and read-only."""
    wanted = rows if rows.dtype in (np.float16, np.float32) else rows.astype(np.float32)
    whole = np.ascontiguousarray(wanted)
    bits = whole.view(np.uint16) if whole.dtype == np.float16 else whole.view()
    bits.flags.writeable = False
    return bits


def _array(tensor: Tensor) -> NDArray[Any]:
    """A tensor's memory as the compiled loops take it: bfloat16 seen as uint16."""
    return np.asarray((tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy())


def _float32s(scalars: tuple[float, float, float]) -> tuple[np.float32, np.float32, np.float32]:
    first, second, third = scalars
    return np.float32(first), np.float32(second), np.float32(third)
