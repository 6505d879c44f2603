"""Row a: exact diff attention at r = 4, where the two matrix products are nearly all of the work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks import exact, galleries
from benchmarks.figure import Figure, either, progress
from benchmarks.timing import Work, interleaved
from reid_engine.attention import Attention
from reid_engine.models.reid_model import has_bfloat16
from reid_engine.products import float32_products
from reid_engine.scoring import Precision
from reid_engine.scoring_torch import linear, packed
from reid_engine.workers import Workers

SHARE = 0.85
TILES = (64, 128, 256, 512)

Products = Callable[[Tensor], object]

TEXT = """
One visit to each row before the two matrix products and one after them, compiled, in tiles that stay in a core's cache;
the products are oneDNN's with packed weights where the processor has bfloat16, else onnxruntime's in float32. The
ceiling is these two products over constant tiles and nothing else, by the best of oneDNN, torch.mm and onnxruntime at
the best of several tile sizes. What a query alone decides is summed without BLAS: its threads, waiting for more work
for 80 ms, took a quarter of the two cores from the rows that followed.
"""


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Pairs per second of one query, against 85 % of what its matrix products alone allow; bfloat16 where there is."""
    features = galleries.mapped(either(quick, 512, 8192, rows), exact.DIM)
    precision: Precision = "bfloat16" if has_bfloat16("cpu") else "float32"
    ceiling = best_products(galleries.attention(exact.DIM, 4), getattr(torch, precision), len(features), quick)
    of = f"its two {precision} matrix products alone"
    found = exact.figure("a", 4, features, ceiling, of, precision, quick)
    return replace(found, target=SHARE * (found.ceiling or 0), text=TEXT)


def best_products(attention: Attention, dtype: torch.dtype, pairs: int, quick: bool) -> Work:
    """The two matrix products for that many pairs on all cores, in the fastest of several ways."""
    workers = Workers()
    works: dict[str, Work] = {}
    for tile in TILES:
        for name, products in ways(attention, dtype, tile).items():
            work = partial(run, products, tile, attention.dim, dtype)
            works[f"{name} {tile}"] = partial(workers.map, work, range(-(-pairs // tile)))
    best = interleaved(works, 1 if quick else exact.ROUNDS // 3)
    progress(f"ceiling: {min(best, key=best.__getitem__)}")
    return works[min(best, key=best.__getitem__)]


def ways(attention: Attention, dtype: torch.dtype, tile: int) -> dict[str, Products]:
    """The two products by each library that has them in this precision."""
    reduce, expand = packed(attention, dtype, tile)
    columns = [torch.from_numpy(layer.T.copy()).to(dtype) for layer in (attention.w1, attention.w2)]
    found: dict[str, Products] = {
        "oneDNN": lambda rows: linear(linear(rows, reduce, None, "none"), expand, None, "none"),
        "torch.mm": lambda rows: torch.mm(torch.mm(rows, columns[0]), columns[1]),
    }
    if dtype == torch.float32:
        run = float32_products(attention, np.zeros(attention.hidden, np.float32))
        found["onnxruntime"] = lambda rows: run(rows.numpy())
    return found


@torch.inference_mode()
def run(products: Products, tile: int, dim: int, dtype: torch.dtype, _number: int) -> None:
    products(torch.ones(tile, dim, dtype=dtype))
