"""Row e: a whole search in a warm worker: a photo's bytes in, a hundred ranked hits out of a million mapped rows."""

from __future__ import annotations

import io
from functools import partial

import numpy as np
from PIL import Image

from benchmarks import exact, galleries
from benchmarks.coarse import faiss_flat
from benchmarks.figure import Figure, either, progress
from benchmarks.timing import Work, interleaved
from reid_engine.bundle import SHIPPED, read
from reid_engine.photo import load_photo
from reid_engine.ranking import shortlist_rows
from reid_engine.store import SegmentStore, gather

SECONDS = 0.5
HITS = 100
SEGMENT_ROWS = 65_536
PEER_ROWS = 250_000
ROUNDS = 15

TEXT = f"""
Ours opens the segments, takes the photo's features, scans every row by cosine and scores the shortlist, each time. The
peer has {PEER_ROWS:,} normalised rows in FAISS's memory (its time is taken for all), opens nothing, and is charged the
same time for the photo.
"""


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Seconds of one search over segments that are opened, scanned and scored each time, beside FAISS's way."""
    total, engine = either(quick, 6_000, 1_000_000, rows), galleries.shipped()
    store, paths = stored(total, engine.dim)
    photo = person()
    progress(f"a photo against {total:,} rows of {engine.dim}")

    def ours() -> object:
        ids, _, features = gather(store, paths)
        return engine.rank(engine.query_features([load_photo(photo)]), features, ids, HITS)

    best = interleaved({"ours": ours} | by_peers(photo, store, paths), 1 if quick else ROUNDS)
    by_turns = best["photo"] + best["scan"] * total / min(total, PEER_ROWS) + best["score"] if "scan" in best else 0.0
    return Figure(
        "e",
        f"whole search over {total:,} rows, warm: photo in, {HITS} ranked hits out, p = {engine.dim}",
        "s",
        best["ours"],
        target=SECONDS,
        peers={"FAISS flat fp16, then the textbook form": by_turns} if by_turns else {},
        more_is_better=False,
        text=TEXT,
        details={
            "seconds from photo to features, part of both": best["photo"],
            "rows scored by diff attention, by both": shortlist_rows(HITS),
        },
    )


def by_peers(photo: bytes, store: SegmentStore, paths: list[str]) -> dict[str, Work]:
    """The same search in parts: the photo's features, FAISS's scan, and the textbook form on a shortlist as long."""
    exact.all_cores()
    engine, count = galleries.shipped(), shortlist_rows(HITS)
    features = gather(store, paths)[2]
    few = features[np.arange(min(len(features), PEER_ROWS))]
    attention = read(SHIPPED).attention
    query = engine.query_features([load_photo(photo)])
    works: dict[str, Work] = {
        "photo": lambda: engine.query_features([load_photo(photo)]),
        "score": partial(exact.textbook, attention, query, few[:count]),
    }
    if index := faiss_flat(few):
        works["scan"] = partial(index, query, count)
    return works


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
