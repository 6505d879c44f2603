"""Exact diff attention, one query against many rows: ours beside the textbook form and a ceiling, taking turns."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import galleries
from benchmarks.figure import Figure, progress
from benchmarks.timing import Work, interleaved
from reid_engine.calibration import Calibration
from reid_engine.ranking import Attention, Ranker
from reid_engine.scoring import Precision
from reid_engine.workers import Workers

DIM = 2048
TEXTBOOK_TILE = 256
FEWER = 32  # the textbook form gets so many times fewer rows; its time grows with them
ROUNDS = 30

Features = NDArray[np.float16]


def ranker(attention: Attention, precision: Precision = "float32") -> Ranker:
    """A ranker on all cores, as a worker of the product has it, that scores every row."""
    return Ranker(attention, Calibration(6.0, -4.0), exhaustive_rows=1 << 62, workers=Workers(), precision=precision)


@torch.inference_mode()
def textbook(attention: Attention, query: NDArray[np.float32], features: Features) -> NDArray[np.float32]:
    """The published form: stack (|g - q|, q, g), 1x1 convolution, two linear layers, both products, their distance."""
    weights = torch.tensor([attention.w_d, attention.w_q, attention.w_g]).view(1, 3, 1)
    bias, q = torch.tensor([attention.b]), torch.from_numpy(query)
    w1, w2 = torch.from_numpy(attention.w1), torch.from_numpy(attention.w2)
    found = []
    for start in range(0, len(features), TEXTBOOK_TILE):
        g = torch.from_numpy(np.array(features[start : start + TEXTBOOK_TILE])).float()
        both = torch.stack([(g - q).abs(), q.expand_as(g), g], dim=1)
        mixed = torch.nn.functional.conv1d(both, weights, bias)[:, 0]
        hidden = torch.relu(torch.nn.functional.linear(mixed, w1))
        a = torch.sigmoid(torch.nn.functional.linear(hidden, w2))
        u, v = (torch.nn.functional.normalize(a * x, dim=1) for x in (q.expand_as(g), g))
        found.append((u - v).norm(dim=1))
    return np.asarray(torch.cat(found).numpy())


def all_cores() -> None:
    """Let torch's own threads, which the peers use, have every core."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))


def figure(
    letter: str, ratio: int, features: Features, ceiling: Work, ceiling_is: str, precision: Precision, quick: bool
) -> Figure:
    """Ours and the textbook over the rows, and a ceiling for as many pairs. The target is the row's own."""
    all_cores()
    attention, query, total = galleries.attention(DIM, ratio), galleries.query(DIM), len(features)
    few = np.array(features[: max(TEXTBOOK_TILE, total // FEWER)])
    progress(f"{total:,} rows of {DIM}, ratio {ratio}")
    works: dict[str, Work] = {
        "ours": partial(ranker(attention, precision).distances, query, features),
        "float32": partial(ranker(attention).distances, query, features),
        "textbook": partial(textbook, attention, query, few),
        "ceiling": ceiling,
    }
    best = interleaved(works, 1 if quick else ROUNDS)
    return Figure(
        letter,
        f"exact diff attention, one query, p = {DIM}, r = {ratio}",
        "pairs/s",
        total / best["ours"],
        peers={"textbook form, float32": len(few) / best["textbook"]},
        ceiling=total / best["ceiling"],
        ceiling_is=ceiling_is,
        details={"ours with float32 products, as the product ranks, pairs/s": total / best["float32"]},
    )
