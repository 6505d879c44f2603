"""Distances and cosines of one query and a piece of rows, on the fastest way this machine has.

`scorer` and `cosine` prepare a query once and give a function that threads call on pieces of rows. The ways:

- at most four hidden units: one compiled visit to each row (kernels.py);
- more: compiled edges around two matrix products in float32 (products.py);
- the same with products in bfloat16, on a GPU, or without Numba: by torch (scoring_torch.py), which nothing else loads.

Tiles always have their full size in the products, so that a row's distance does not depend on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reid_engine.attention import EPS, Attention

TILE_BYTES = 1 << 19  # of what enters a product: it and what leaves stay in a core's second-level cache
TILE_ON_GPU = 16_384
SMALLEST_TILE, LARGEST_TILE = 64, 1024

Vector = NDArray[np.float32]
Features = NDArray[np.float16]
Score = Callable[[Features], Vector]
Precision = Literal["float32", "bfloat16"]
Products = Callable[[NDArray[Any]], NDArray[Any]]


@cache
def compiled_kernels() -> ModuleType | None:
    """The compiled loops, or None where they cannot be had."""
    try:
        from reid_engine import kernels
    except ImportError:
        return None
    return kernels


def tile_rows(attention: Attention, precision: Precision = "float32") -> int:
    """How many rows enter the matrix products at a time where they are scored."""
    if attention.device != "cpu":
        return TILE_ON_GPU
    fitting = TILE_BYTES // (attention.dim * (2 if precision == "bfloat16" else 4))
    return min(max(SMALLEST_TILE, 1 << max(fitting.bit_length() - 1, 0)), LARGEST_TILE)


def scorer(attention: Attention, query: Vector, precision: Precision = "float32", tile: int | None = None) -> Score:
    """A function from rows (n, D) to their distances (n,) float32 from the query (D,); threads may share it.

    With "bfloat16" the two products round to 8 bits, where there are products and the processor has such; all else
    stays float32.
    """
    kernels, size = compiled_kernels(), tile or tile_rows(attention, precision)
    if attention.device != "cpu" or kernels is None:
        from reid_engine import scoring_torch

        return scoring_torch.scorer(attention, query, precision, size)
    if attention.hidden <= kernels.NARROW:
        return _Narrow(attention, query, kernels)
    return _Wide(attention, query, precision, size, kernels)


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
        layers = attention.w1, np.ascontiguousarray(attention.w2.T)  # np.pad keeps the order of columns otherwise
        self.reduce, self.expand = (np.pad(layer, ((0, missing), (0, 0))) for layer in layers)
        self.constant = np.pad(attention.constant(self.query), (0, missing))
        self.scalars = _float32s(attention.scalars)

    def __call__(self, rows: Features) -> Vector:
        sums, sigmoid = np.empty((len(rows), 3), np.float32), self.attention.activation == "sigmoid"
        weights = self.reduce, self.expand, self.constant, self.scalars
        self.kernels.narrow_sums(_bits(rows), self.query, *weights, sigmoid, sums)
        return np.asarray(self.attention.distances(sums), np.float32)


class _Wide:
    """Compiled edges around two matrix products over whole tiles."""

    def __init__(
        self, attention: Attention, query: Vector, precision: Precision, tile: int, kernels: ModuleType
    ) -> None:
        self.attention, self.tile, self.kernels = attention, tile, kernels
        self.query = np.array(query, np.float32)
        self.products, self.dtype = _products(attention, attention.constant(self.query), precision, tile)
        self.scalars = _float32s(attention.scalars)

    def __call__(self, rows: Features) -> Vector:
        sums = np.empty((len(rows), 3), np.float32)
        mixed: NDArray[Any] = np.zeros((self.tile, self.attention.dim), self.dtype)
        bits = _bits(rows)
        for start in range(0, len(bits), self.tile):
            self._tile(bits[start : start + self.tile], mixed, sums[start : start + self.tile])
        return np.asarray(self.attention.distances(sums), np.float32)

    def _tile(self, bits: NDArray[Any], mixed: NDArray[Any], sums: Vector) -> None:
        """At most one tile of rows -> their three sums; what an unfilled tile holds below them does not matter."""
        self.kernels.mix(bits, self.query, self.scalars, mixed)
        logits = self.products(mixed)
        self.kernels.map_sums(bits, self.query, logits, self.attention.activation == "sigmoid", sums)


def _products(attention: Attention, constant: Vector, precision: Precision, tile: int) -> tuple[Products, type]:
    """Mixed rows (T, D) -> logits (T, D), and of which type both are: float32, or bfloat16 seen as uint16."""
    if precision == "bfloat16":
        from reid_engine import scoring_torch

        if scoring_torch.has_bfloat16("cpu"):
            return scoring_torch.bfloat16_products(attention, constant, tile), np.uint16
    from reid_engine.products import float32_products

    return float32_products(attention, constant), np.float32


def _plain_cosines(directions: Vector, rows: Features) -> Vector:
    wide = np.asarray(rows, np.float32)
    return np.asarray(directions @ wide.T / np.maximum(np.linalg.norm(wide, axis=1), EPS), np.float32)


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


def _float32s(scalars: tuple[float, float, float]) -> tuple[np.float32, np.float32, np.float32]:
    first, second, third = scalars
    return np.float32(first), np.float32(second), np.float32(third)
