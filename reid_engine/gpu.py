"""Diff attention on a GPU in one Triton kernel: rows stay there in half precision, several queries share a launch.

One program takes a block of rows and one query through the whole of method.md, 1: no map, no hidden unit and no logit
is ever written to memory. With TRITON_INTERPRET=1 in the environment the same kernel runs on a CPU, slowly, for tests.
Importing this module raises ImportError where Triton is missing; scoring_torch.py then leaves the work to torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray
from torch import Tensor

from reid_engine.attention import Attention

BLOCK_ROWS = 64  # with 512 hidden units their sums fill half of a processor's registers
BLOCK_COLUMNS = 32
LARGEST = 65_504.0  # of float16; what exceeds it on the way into a product stays there
LEAST_HIDDEN, MOST_HIDDEN = 16, 512  # a product takes no fewer; registers hold no more


@triton.jit  # type: ignore[untyped-decorator]
def _sums_kernel(  # type: ignore[no-untyped-def]
    rows_at,
    queries_at,
    reduce_at,
    expand_at,
    constants_at,
    sums_at,
    count,
    dim,
    w_abs,
    w_squ,
    w_row,
    HIDDEN: tl.constexpr,
    SIGMOID: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    LARGEST: tl.constexpr,
):
    """rows (N, D) float16, queries (Q, D), reduce and expand (D, H), constants (Q, H) -> sums (Q, N, 3) float32."""
    query = tl.program_id(1)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    unit = tl.arange(0, HIDDEN)
    hidden = tl.zeros((ROWS, HIDDEN), tl.float32) + tl.load(constants_at + query * HIDDEN + unit)[None, :]
    for start in range(0, dim, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        inside = column < dim
        q = tl.load(queries_at + query * dim + column, mask=inside, other=0.0)[None, :]
        both = (row < count)[:, None] & inside[None, :]
        g = tl.load(rows_at + row.to(tl.int64)[:, None] * dim + column[None, :], mask=both, other=0.0).to(tl.float32)
        gap = g - q
        mixed = tl.clamp(w_abs * tl.abs(gap) + w_squ * gap * gap + w_row * g, -LARGEST, LARGEST)
        weights = tl.load(reduce_at + column[:, None] * HIDDEN + unit[None, :], mask=inside[:, None], other=0.0)
        hidden = tl.dot(mixed.to(weights.dtype), weights, hidden, input_precision="ieee")
    hidden = tl.clamp(hidden, 0.0, LARGEST)
    query_sum = tl.zeros((ROWS,), tl.float32)
    row_sum = tl.zeros((ROWS,), tl.float32)
    gap_sum = tl.zeros((ROWS,), tl.float32)
    for start in range(0, dim, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        inside = column < dim
        weights = tl.load(expand_at + column[None, :] * HIDDEN + unit[:, None], mask=inside[None, :], other=0.0)
        logit = tl.dot(hidden.to(weights.dtype), weights, input_precision="ieee")
        a = 1.0 / (1.0 + tl.exp(-logit)) if SIGMOID else logit
        q = tl.load(queries_at + query * dim + column, mask=inside, other=0.0)[None, :]
        both = (row < count)[:, None] & inside[None, :]
        g = tl.load(rows_at + row.to(tl.int64)[:, None] * dim + column[None, :], mask=both, other=0.0).to(tl.float32)
        query_sum += tl.sum(a * a * q * q, 1)
        row_sum += tl.sum(a * a * g * g, 1)
        gap_sum += tl.sum(a * a * (g - q) * (g - q), 1)
    place = sums_at + (query.to(tl.int64) * count + row) * 3
    tl.store(place, query_sum, mask=row < count)
    tl.store(place + 1, row_sum, mask=row < count)
    tl.store(place + 2, gap_sum, mask=row < count)


class Fused:
    """The weights as the kernel takes them. `dtype` is that of the two products.

    float16 is for tensor cores, float32 to compare. Raises ValueError for more hidden units than registers hold.
    """

    def __init__(self, attention: Attention, dtype: torch.dtype = torch.float16) -> None:
        if not fits(attention):
            raise ValueError(f"at most {MOST_HIDDEN} hidden units fit the registers, not {attention.hidden}")
        self.attention = attention
        self.w1, w2 = (torch.from_numpy(layer).to(attention.device) for layer in (attention.w1, attention.w2))
        self.units = max(LEAST_HIDDEN, triton.next_power_of_2(attention.hidden))
        self.missing = (0, self.units - attention.hidden)
        self.reduce, self.expand = (self._filled(layer).to(dtype) for layer in (self.w1.t(), w2))

    @torch.inference_mode()
    def distances(self, rows: Tensor, queries: Tensor) -> Tensor:
        """Distances of each query to each row: rows (N, D) float16, queries (Q, D) float32 -> (Q, N) float32."""
        constants = self._filled(self.attention.alone(queries) @ self.w1.t())
        count, dim = rows.shape
        sums = rows.new_empty((len(queries), count, 3), dtype=torch.float32)
        tensors = rows, queries.contiguous(), self.reduce, self.expand, constants, sums
        numbers = count, dim, *self.attention.scalars
        constexprs = self.units, self.attention.activation == "sigmoid", BLOCK_ROWS, BLOCK_COLUMNS, LARGEST
        grid = triton.cdiv(count, BLOCK_ROWS), len(queries)
        _sums_kernel[grid](*tensors, *numbers, *constexprs, num_warps=8)
        distances: Tensor = self.attention.distances(sums.view(-1, 3), torch)
        return distances.view(len(queries), count)

    def _filled(self, layer: Tensor) -> Tensor:
        """(n, h) with zeros for the units there are not."""
        return torch.nn.functional.pad(layer, self.missing).contiguous()


class Resident:
    """A gallery whose rows (N, D) stay on the device of the weights in float16, ready for any number of queries."""

    def __init__(self, attention: Attention, features: NDArray[Any], dtype: torch.dtype = torch.float16) -> None:
        self.fused = Fused(attention, dtype)
        self.rows = torch.from_numpy(np.array(features, np.float16)).to(attention.device)

    def distances(self, queries: NDArray[np.float32]) -> Tensor:
        """Distances of each query to each row: (Q, D) -> (Q, N) float32 on the device."""
        return self.fused.distances(self.rows, torch.from_numpy(queries).to(self.rows.device))

    def nearest(self, queries: NDArray[np.float32], limit: int) -> tuple[Tensor, Tensor]:
        """The `limit` smallest distances of each query, ascending, and their rows: (Q, limit) each."""
        found = self.distances(queries)
        nearest = found.topk(min(limit, found.shape[1]), dim=1, largest=False, sorted=True)
        return nearest.values, nearest.indices


def fits(attention: Attention) -> bool:
    """Whether a program's registers hold the hidden units."""
    return attention.hidden <= MOST_HIDDEN
