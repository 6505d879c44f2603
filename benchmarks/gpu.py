"""The GPU's figures: exact diff attention over resident rows at both ratios, and embedding. Not part of `all`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from benchmarks import exact, galleries
from benchmarks.figure import Figure, either, progress
from benchmarks.timing import seconds
from reid_engine.attention import Attention

QUERIES = 4
SHARE = 0.5
CROPS = 4096


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Pairs per second at r = 4 beside half of what the tensor cores' products alone allow.

    Raises SystemExit without a GPU; a quick run without one goes through Triton's interpreter, on this processor.
    """
    device = _device(quick)
    total, dim = either(quick, 200, 1_000_000, rows), 64 if quick else exact.DIM
    features, queries = galleries.mapped(total, dim), np.stack([galleries.query(dim, n) for n in range(QUERIES)])
    wide, narrow = (replace(galleries.attention(dim, ratio), device=device) for ratio in (4, dim // 4))
    progress(f"{QUERIES} queries against {total:,} resident rows of {dim}")
    rates = {attention: _pairs_per_second(attention, features, queries) for attention in (wide, narrow)}
    bandwidth = _rows_per_second(torch.from_numpy(np.array(features)).to(device))
    return Figure(
        "gpu",
        f"exact diff attention on a GPU, {QUERIES} queries at once, {total:,} resident rows, p = {dim}, r = 4",
        "pairs/s",
        rates[wide],
        target=SHARE * (ceiling := _products_per_second(wide)),
        ceiling=ceiling,
        ceiling_is="its two float16 matrix products alone",
        details={
            "pairs/s at four hidden units": rates[narrow],
            "of one pass over the rows, for each query": rates[narrow] / QUERIES / bandwidth,
            "crops embedded a second": _embedding(device, either(quick, 8, CROPS)),
        },
    )


def _device(quick: bool) -> str:
    if torch.cuda.is_available():
        return "cuda"
    if not quick:
        raise SystemExit("There is no GPU here; `--quick` runs the kernel by Triton's interpreter instead.")
    os.environ["TRITON_INTERPRET"] = "1"
    return "cpu"


def _pairs_per_second(attention: Attention, features: galleries.Features, queries: galleries.Vector) -> float:
    from reid_engine.gpu import Resident  # Triton asks for its interpreter when it is first loaded

    resident = Resident(attention, features)
    return len(queries) * len(features) / seconds(_waited(lambda: resident.nearest(queries, 100)), 3)


def _products_per_second(attention: Attention, tile: int = 16_384) -> float:
    kind = torch.float16 if attention.device == "cuda" else torch.float32
    layers = (torch.from_numpy(layer).to(attention.device, kind) for layer in (attention.w1, attention.w2))
    reduce, expand = (layer.t().contiguous() for layer in layers)
    rows = torch.ones(tile, attention.dim, dtype=kind, device=attention.device)
    return tile / seconds(_waited(lambda: torch.mm(torch.mm(rows, reduce), expand)), 10)


def _rows_per_second(rows: torch.Tensor) -> float:
    words = rows.view(torch.int32)
    return len(rows) / seconds(_waited(lambda: words.sum()), 5)


def _embedding(device: str, crops: int) -> float:
    from reid_engine.bundle import SHIPPED, read

    bundle = read(SHIPPED)
    model = bundle.model().to(device)
    size = int(bundle.manifest["preprocessing"]["height"]), int(bundle.manifest["preprocessing"]["width"])
    batch = torch.zeros(min(crops, 512), 3, *size, device=device).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        return len(batch) / seconds(_waited(lambda: model(batch)), 3)


def _waited(work: Callable[[], object]) -> Callable[[], object]:
    """`work`, and the end of what it set off on the GPU."""

    def both() -> object:
        found = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return found

    return both
