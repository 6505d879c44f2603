"""Exact diff attention, one query against many rows: ours beside the textbook form, as pairs per second."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks import galleries
from benchmarks.figure import Figure, progress
from benchmarks.timing import Work, interleaved, seconds
from reid_engine.calibration import Calibration
from reid_engine.ranking import Attention, Ranker
from reid_engine.scoring import linear
from reid_engine.workers import Workers

DIM = 2048
TEXTBOOK_TILE = 256
PRODUCT_TILES = (64, 128, 256, 512, 1024)

Products = Callable[[Tensor], Tensor]

Features = NDArray[np.float16]


def ranker(attention: Attention, dtype: torch.dtype = torch.float32) -> Ranker:
    """A ranker on all cores, as a worker of the product has it, that scores every row."""
    return Ranker(attention, Calibration(6.0, -4.0), exhaustive_rows=1 << 62, workers=Workers(), dtype=dtype)


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


def figure(
    letter: str,
    what: str,
    ratio: int,
    rows: int,
    ceiling: Callable[[], float],
    ceiling_is: str,
    dtype: torch.dtype = torch.float32,
) -> Figure:
    """Ours and the textbook over the same rows; `ceiling` measures pairs per second beside them. No target yet."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    attention, query, features = galleries.attention(DIM, ratio), galleries.query(DIM), galleries.mapped(rows, DIM)
    progress(f"{rows:,} rows of {DIM}, ratio {ratio}")
    few = np.array(features[: max(TEXTBOOK_TILE, rows // 20)])
    works: dict[str, Work] = {
        "ours": partial(ranker(attention, dtype).distances, query, features),
        "float32": partial(ranker(attention).distances, query, features[: len(features) // 4]),
        "textbook": partial(textbook, attention, query, few),
    }
    best = interleaved(works)
    progress(ceiling_is)
    return Figure(
        letter,
        what,
        "pairs/s",
        rows / best["ours"],
        peers={"textbook form, float32": len(few) / best["textbook"]},
        ceiling=ceiling(),
        ceiling_is=ceiling_is,
        details={"ours in float32, as the product ranks, pairs/s": len(features) // 4 / best["float32"]},
    )


def product_pairs_per_second(attention: Attention, dtype: torch.dtype, pairs: int) -> float:
    """How many pairs per second the two matrix products alone allow on all cores, at the best of some tile sizes."""
    workers = Workers()
    rates = []
    for tile in PRODUCT_TILES:
        for products in (_packed_products(attention, dtype, tile), _torch_products(attention, dtype)):
            work, tiles = partial(_run, products, tile, attention.dim, dtype), max(workers.count, pairs // tile)
            rates.append(tile * tiles / seconds(partial(workers.map, work, range(tiles)), 3))
    return max(rates)


def _packed_products(attention: Attention, dtype: torch.dtype, tile: int) -> Products:
    reduce, expand = attention.packed(dtype, tile)
    return lambda rows: linear(linear(rows, reduce, None, "none"), expand, None, "none")


def _torch_products(attention: Attention, dtype: torch.dtype) -> Products:
    reduce, expand = (layer.to(dtype) for layer in attention.columns)
    return lambda rows: torch.mm(torch.mm(rows, reduce), expand)


@torch.inference_mode()
def _run(products: Products, tile: int, dim: int, dtype: torch.dtype, _number: int) -> None:
    products(torch.ones(tile, dim, dtype=dtype))
