"""Row d: the coarse scan, cosine top 2,000 of a million rows, as fast as memory delivers them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks import exact, galleries
from benchmarks.figure import Figure, either, progress
from benchmarks.timing import Work, interleaved, reading

COUNT = 2_000
SHARE = 0.8
PEER_ROWS = 250_000  # peers hold a copy in memory; their time grows with the rows alone
ROUNDS = 10

TEXT = f"""
The rows lie in a mapped file, as the store keeps them, raw; their norms are computed in the same visit. FAISS and numpy
have {PEER_ROWS:,} of them in memory, FAISS normalised beforehand; their time grows with the rows alone.
"""

Features = NDArray[np.float16]
Vector = NDArray[np.float32]


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Rows per second of one query over rows mapped from a file, beside FAISS and numpy over rows in memory."""
    total, dim = either(quick, 5_000, 1_000_000, rows), exact.DIM
    features, query = galleries.mapped(total, dim), galleries.query(dim)
    ranker, count = exact.ranker(galleries.attention(dim, 512)), min(COUNT, total // 2)
    few = np.array(features[:PEER_ROWS])
    exact.all_cores()
    progress(f"cosine top {count:,} of {total:,} rows of {dim}")
    works: dict[str, Work] = {
        "ours": partial(ranker.most_alike, query, features, count),
        "reading": reading(features),
        "numpy": partial(with_numpy, few, query, count),
    }
    if index := faiss_flat(few):
        works["FAISS flat fp16"] = partial(index, query, count)
    best = interleaved(works, 1 if quick else ROUNDS)
    ceiling = total / best.pop("reading")
    return Figure(
        "d",
        f"coarse scan, cosine top {count:,} of {total:,} rows, p = {dim}",
        "rows/s",
        total / best.pop("ours"),
        target=SHARE * ceiling,
        peers={name: len(few) / least for name, least in best.items()},
        ceiling=ceiling,
        ceiling_is="one pass over the rows in memory",
        text=TEXT,
    )


def with_numpy(features: Features, query: Vector, count: int, block: int = 8192) -> NDArray[np.int64]:
    """The same answer block by block: to float32, product, norms, partition."""
    found = np.empty(len(features), np.float32)
    for start in range(0, len(features), block):
        part = features[start : start + block].astype(np.float32)
        found[start : start + len(part)] = part @ query / np.linalg.norm(part, axis=1)
    best = np.argpartition(-found, count)[:count]
    return best[np.argsort(-found[best], kind="stable")]


def faiss_flat(features: Features) -> Callable[[Vector, int], NDArray[np.int64]] | None:
    """A search over a flat float16 index of normalised rows; None where FAISS is not installed."""
    try:
        import faiss
    except ImportError:
        return None
    index = faiss.IndexScalarQuantizer(features.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    for start in range(0, len(features), galleries.CHUNK):
        part = features[start : start + galleries.CHUNK].astype(np.float32)
        index.add(part / np.linalg.norm(part, axis=1, keepdims=True))
    return lambda query, count: index.search(query[None] / np.linalg.norm(query), count)[1][0]
