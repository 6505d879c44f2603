"""Exact diff attention, one query against many rows: ours beside the textbook form, as pairs per second."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks import galleries
from benchmarks.figure import Figure, progress
from benchmarks.timing import interleaved, seconds
from reid_engine.calibration import Calibration
from reid_engine.ranking import Attention, Ranker
from reid_engine.workers import Workers

DIM = 2048
TEXTBOOK_TILE = 256
PRODUCT_TILES = (256, 512, 1024)

Features = NDArray[np.float16]


def ranker(attention: Attention) -> Ranker:
    """A ranker on all cores, as a worker of the product has it, that scores every row."""
    return Ranker(attention, Calibration(6.0, -4.0), exhaustive_rows=1 << 62, workers=Workers())


@torch.inference_mode()
def textbook(attention: Attention, query: NDArray[np.float32], features: Features) -> NDArray[np.float32]:
    """The published form: stack (|g - q|, q, g), 1x1 convolution, two linear layers, both products, their distance."""
    weights = torch.tensor([attention.w_d, attention.w_q, attention.w_g]).view(1, 3, 1)
    bias, q = torch.tensor([attention.b]), torch.from_numpy(query)
    found = []
    for start in range(0, len(features), TEXTBOOK_TILE):
        g = torch.from_numpy(np.array(features[start : start + TEXTBOOK_TILE])).float()
        both = torch.stack([(g - q).abs(), q.expand_as(g), g], dim=1)
        mixed = torch.nn.functional.conv1d(both, weights, bias)[:, 0]
        hidden = torch.relu(torch.nn.functional.linear(mixed, attention.w1))
        a = torch.sigmoid(torch.nn.functional.linear(hidden, attention.w2))
        u, v = (torch.nn.functional.normalize(a * x, dim=1) for x in (q.expand_as(g), g))
        found.append((u - v).norm(dim=1))
    return np.asarray(torch.cat(found).numpy())


def figure(letter: str, what: str, ratio: int, rows: int, ceiling: Callable[[], float], ceiling_is: str) -> Figure:
    """Ours and the textbook over the same rows; `ceiling` measures pairs per second beside them. No target yet."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    attention, query, features = (
        galleries.attention(DIM, ratio), galleries.query(DIM), np.array(galleries.mapped(rows, DIM))
    )  # fmt: skip
    progress(f"{rows:,} rows of {DIM}, ratio {ratio}")
    few = features[: max(TEXTBOOK_TILE, rows // 10)]
    best = interleaved(
        {
            "ours": partial(ranker(attention).distances, query, features),
            "textbook": partial(textbook, attention, query, few),
        }
    )
    progress(ceiling_is)
    return Figure(
        letter,
        what,
        "pairs/s",
        rows / best["ours"],
        peers={"textbook form, float32": len(few) / best["textbook"]},
        ceiling=ceiling(),
        ceiling_is=ceiling_is,
    )


def product_pairs_per_second(attention: Attention, dtype: torch.dtype, pairs: int = 8192) -> float:
    """How many pairs per second the two matrix products alone allow on all cores, at the best of some tile sizes."""
    workers, layers = Workers(), [layer.to(dtype) for layer in attention.columns]
    rates = []
    for tile in PRODUCT_TILES:
        work, starts = partial(_products, layers, tile), range(0, pairs, tile)
        rates.append(tile * len(starts) / seconds(partial(workers.map, work, starts), 3))
    return max(rates)


@torch.inference_mode()
def _products(layers: Sequence[Tensor], tile: int, _start: int) -> None:
    reduce, expand = layers
    torch.mm(torch.mm(torch.ones(tile, len(reduce), dtype=reduce.dtype), reduce), expand)
