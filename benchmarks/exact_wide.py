"""Row a: exact diff attention at r = 4, where the two matrix products are nearly all of the work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from benchmarks import exact, galleries
from benchmarks.figure import Figure, either, progress
from benchmarks.timing import Work, interleaved
from reid_engine.attention import Attention
from reid_engine.scoring import linear
from reid_engine.workers import Workers

SHARE = 0.85
TILES = (64, 128, 256, 512)

Products = Callable[[Tensor], Tensor]

TEXT = """
One visit to each row before the two matrix products and one after them, compiled, in tiles that stay in a core's cache;
the products are oneDNN's, with packed weights. The ceiling is these two products over constant tiles and nothing else,
by oneDNN or by torch.mm, at the best of several tile sizes.
"""


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Pairs per second of one query in bfloat16, against 85 % of what its matrix products alone allow."""
    features = galleries.mapped(either(quick, 512, 8192, rows), exact.DIM)
    ceiling = best_products(galleries.attention(exact.DIM, 4), torch.bfloat16, len(features), quick)
    of = "its two bfloat16 matrix products alone"
    found = exact.figure("a", 4, features, ceiling, of, torch.bfloat16, quick)
    return replace(found, target=SHARE * (found.ceiling or 0), text=TEXT)


def best_products(attention: Attention, dtype: torch.dtype, pairs: int, quick: bool) -> Work:
    """The two matrix products for that many pairs on all cores, in the fastest of several ways."""
    workers = Workers()
    works: dict[str, Work] = {}
    for tile in TILES:
        for name, products in (("oneDNN", packed(attention, dtype, tile)), ("torch.mm", plain(attention, dtype))):
            work = partial(run, products, tile, attention.dim, dtype)
            works[f"{name} {tile}"] = partial(workers.map, work, range(-(-pairs // tile)))
    best = interleaved(works, 1 if quick else exact.ROUNDS // 3)
    progress(f"ceiling: {min(best, key=best.__getitem__)}")
    return works[min(best, key=best.__getitem__)]


def packed(attention: Attention, dtype: torch.dtype, tile: int) -> Products:
    reduce, expand = attention.packed(dtype, tile)
    return lambda rows: linear(linear(rows, reduce, None, "none"), expand, None, "none")


def plain(attention: Attention, dtype: torch.dtype) -> Products:
    reduce, expand = (layer.to(dtype) for layer in attention.columns)
    return lambda rows: torch.mm(torch.mm(rows, reduce), expand)


@torch.inference_mode()
def run(products: Products, tile: int, dim: int, dtype: torch.dtype, _number: int) -> None:
    products(torch.ones(tile, dim, dtype=dtype))
