"""Row e: a whole search in a warm worker: a photo's bytes in, a hundred ranked hits out of a million mapped rows."""

from __future__ import annotations

import io
import os
from functools import partial

import numpy as np
import torch
from PIL import Image

from benchmarks import galleries
from benchmarks.coarse import faiss_flat
from benchmarks.exact import textbook
from benchmarks.figure import Figure, either, progress
from benchmarks.timing import Work, interleaved, seconds
from reid_engine.bundle import SHIPPED, read
from reid_engine.photo import load_photo
from reid_engine.ranking import Attention, shortlist_rows
from reid_engine.store import SegmentStore, gather

SECONDS = 0.5
HITS = 100
SEGMENT_ROWS = 65_536
PEER_ROWS = 250_000


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Seconds of one search over segments that are opened, scanned and scored each time, beside FAISS's way."""
    total, engine = either(quick, 6_000, 1_000_000, rows), galleries.shipped()
    store, paths = stored(total, engine.dim)
    photo = person()
    progress(f"a photo against {total:,} rows of {engine.dim}")

    def ours() -> object:
        ids, _, features = gather(store, paths)
        return engine.rank(engine.query_features([load_photo(photo)]), features, ids, HITS)

    few = np.array(gather(store, paths)[2][np.arange(min(total, PEER_ROWS))])
    works: dict[str, Work] = {"ours": ours, "photo": lambda: engine.query_features([load_photo(photo)])}
    best = interleaved(works)
    progress("FAISS and the textbook form")
    return Figure(
        "e",
        f"whole search over {total:,} rows, warm: photo in, {HITS} ranked hits out, p = {engine.dim}",
        "s",
        best["ours"],
        target=SECONDS,
        peers=peers(photo, few, total),
        more_is_better=False,
        details={
            "seconds from photo to features": best["photo"],
            "rows scored by diff attention": shortlist_rows(HITS),
        },
    )


def peers(photo: bytes, few: galleries.Features, total: int) -> dict[str, float]:
    """The same photo, FAISS's flat scan of all rows, and the textbook form on its shortlist of the same size.

    The scan is measured on some of the rows in memory and grows with them; the shortlist is scored whole.
    """
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    engine, count = galleries.shipped(), min(shortlist_rows(HITS), len(few))
    attention = Attention.of(read(SHIPPED).model().attention)
    query = engine.query_features([load_photo(photo)])
    index = faiss_flat(few)
    if index is None:
        return {}
    scan = seconds(partial(index, query, count), 3) * total / len(few)
    exact = seconds(partial(textbook, attention, query, few[:count]), 3)
    features = seconds(lambda: engine.query_features([load_photo(photo)]), 3)
    return {"FAISS flat fp16, then the textbook form": features + scan + exact}


def stored(total: int, dim: int) -> tuple[SegmentStore, list[str]]:
    """A store below var/ with that many made rows in segments as compaction leaves them; made once."""
    store = SegmentStore(galleries.FOLDER / f"store-{total}x{dim}")
    made = sorted(path.relative_to(store.root).as_posix() for path in store.root.rglob("*.seg"))
    if len(made) == -(-total // SEGMENT_ROWS):
        return store, made
    rows = galleries.mapped(total, dim)
    for start in range(0, total, SEGMENT_ROWS):
        part = rows[start : start + SEGMENT_ROWS]
        ids = np.arange(start, start + len(part))
        store.write("bench", 1 + start // SEGMENT_ROWS, ids, ids.astype(np.float64), part)
    return stored(total, dim)


def person() -> bytes:
    """A photo of the usual size; what is on it changes no time."""
    noise = np.random.default_rng(0).integers(0, 255, (320, 128, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((256, 640)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
