"""Row f: how much of exhaustive diff attention's first twenty survives the coarse stage, on real crops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks import galleries
from benchmarks.figure import Figure, Plot, progress
from reid_engine.bundle import SHIPPED, read
from reid_engine.ranking import (
    SHORTLIST_FACTOR,
    SHORTLIST_ROWS,
    Attention,
    cosine_similarities,
    exact_distances,
)

FIRST = 20
RECALL = 0.99
SIZES = (500, 1000, 2000, 4000, 8000)
ASKED = (20, 100, 500)

Features = NDArray[np.float16]
Positions = NDArray[np.int64]

TEXT = f"""
Each query is ranked twice against real crops, by diff attention over every row and by plain cosine; what counts is how
far down the coarse order the exact order's first {FIRST} lie. Most of the crops are of people the shipped bundle was
trained on, none of the queries is. The size needed hardly grows with the gallery, but with how many hits are asked for:
the product hands on {SHORTLIST_FACTOR} rows for each, and never fewer than {SHORTLIST_ROWS:,}. The figure is for the
factor alone, without that floor. A bundle whose diff attention departs further from its cosine needs more; the curve is
drawn again by `python -m benchmarks f`.
"""


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Recall of the first twenty with the product's factor, and the shortlist that 0.99 needs at each gallery size."""
    queries, gallery = _made() if quick else _real()
    sizes = [size for size in SIZES if size < len(gallery)] + [len(gallery)]
    asked = [count for count in ASKED if count < len(gallery)]
    attention = read(SHIPPED).attention
    places = {size: _places(attention, queries, _some(gallery, size), asked[-1]) for size in sizes}
    largest = places[len(gallery)]
    needed = {size: _needed(found[:, :FIRST]) for size, found in places.items()}
    by_asked = {f"{count} asked for": _curve(largest[:, :count], count) for count in asked}
    return Figure(
        "f",
        f"recall@{FIRST} of coarse-to-fine against exhaustive diff attention, {len(gallery):,} real crops, "
        f"{SHORTLIST_FACTOR * FIRST} handed on",
        "",
        float((largest[:, :FIRST] < SHORTLIST_FACTOR * FIRST).mean()),
        target=RECALL,
        text=TEXT,
        details={f"rows handed on for {RECALL} among {size:,}": float(count) for size, count in needed.items()}
        | {f"rows handed on for {RECALL} of {count}": float(_needed(largest[:, :count])) for count in asked},
        plots=(
            Plot(
                "recall",
                f"Recall among {len(gallery):,} real crops",
                "rows handed on for each one asked for",
                "recall",
                by_asked,
                ("log", "linear"),
                RECALL,
            ),
            Plot(
                "shortlist",
                f"Rows handed on that keep {RECALL} of the first {FIRST}",
                "rows of the gallery",
                "rows handed on",
                {
                    "needed": [(float(size), float(count)) for size, count in needed.items()],
                    "the product's": [(float(size), float(SHORTLIST_FACTOR * FIRST)) for size in sizes],
                },
                ("log", "linear"),
            ),
        ),
    )


def _some(gallery: Features, size: int) -> Features:
    progress(f"{size:,} crops")
    return gallery[np.random.default_rng(size).permutation(len(gallery))[:size]]


def _places(attention: Attention, queries: Features, gallery: Features, first: int) -> Positions:
    """Where the coarse order has each of the `first` of the exact order: (Q, first)."""
    found = []
    for query in queries.astype(np.float32):
        nearest = np.argsort(exact_distances(attention, query, gallery), kind="stable")[:first]
        order = np.argsort(-cosine_similarities(query, gallery), kind="stable")
        place = np.empty(len(gallery), np.int64)
        place[order] = np.arange(len(gallery))
        found.append(place[nearest])
    return np.array(found)


def _needed(positions: Positions) -> int:
    """The smallest shortlist that keeps 0.99 of them."""
    return int(np.quantile(positions, RECALL, method="higher")) + 1


def _curve(positions: Positions, asked: int) -> list[tuple[float, float]]:
    """Recall by how many rows are handed on for each one asked for."""
    return [(float(share), float((positions < share * asked).mean())) for share in np.geomspace(1, 16, 25)]


def _real() -> tuple[Features, Features]:
    """Query crops, and all other crops of the data set as their gallery."""
    gallery = np.concatenate([galleries.real("bounding_box_test"), galleries.real("bounding_box_train")])
    return galleries.real("query"), gallery


def _made() -> tuple[Features, Features]:
    """Crops around made people, for a run that only shows that it runs."""
    rng = np.random.default_rng(0)
    people = rng.normal(size=(60, galleries.shipped().dim))
    crops = people[:, None] + rng.normal(size=(60, 10, people.shape[1]))
    return people[:5].astype(np.float16), crops.reshape(-1, people.shape[1]).astype(np.float16)
