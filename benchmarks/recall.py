"""Row f: how much of exhaustive diff attention's first twenty survives the coarse stage, on real crops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks import galleries
from benchmarks.figure import Figure, Plot, progress
from reid_engine.bundle import SHIPPED, read
from reid_engine.ranking import Attention, cosine_similarities, exact_distances, shortlist_rows

FIRST = 20
RECALL = 0.99
SIZES = (500, 1000, 2000, 4000, 8000)
CITY = 1_000_000

Features = NDArray[np.float16]
Positions = NDArray[np.int64]


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Recall at the share of a gallery that the product hands on, and the shortlist that 0.99 needs at each size."""
    queries, gallery = _made() if quick else _real()
    sizes = [size for size in SIZES if size < len(gallery)] + [len(gallery)]
    attention = Attention.of(read(SHIPPED).model().attention)
    positions = {}
    for size in sizes:
        progress(f"{len(queries)} queries against {size:,} real crops")
        chosen = np.random.default_rng(size).permutation(len(gallery))[:size]
        positions[size] = _positions(attention, queries, gallery[chosen])
    needed = {size: _needed(found) for size, found in positions.items()}
    largest, share = sizes[-1], shortlist_rows(CITY, 100) / CITY
    curves = {f"{size:,} crops": _curve(found, size) for size, found in positions.items()}
    exponent = _exponent(needed)
    return Figure(
        "f",
        f"recall@{FIRST} of coarse-to-fine against exhaustive diff attention, real crops, {share:.1%} handed on",
        "",
        float((positions[largest] < share * largest).mean()),
        target=RECALL,
        details={f"rows handed on for {RECALL} among {size:,}": float(count) for size, count in needed.items()}
        | {
            "grows with the gallery to the power of": exponent,
            f"so {RECALL} among {CITY:,} asks for": needed[largest] * (CITY / largest) ** exponent,
            f"the product hands on, of {CITY:,}": float(shortlist_rows(CITY, 100)),
        },
        plots=(
            Plot("recall", f"Recall@{FIRST} by share handed on", "share of the gallery", "recall", curves,
                 ("log", "linear"), RECALL),
            Plot("shortlist", f"Rows handed on for recall {RECALL}", "rows of the gallery", "rows handed on",
                 {"needed": [(float(size), float(count)) for size, count in needed.items()],
                  "the product's": [(float(n), float(share * n)) for n in (*sizes, CITY)]}),
        ),
    )  # fmt: skip


def _positions(attention: Attention, queries: Features, gallery: Features) -> Positions:
    """Where the coarse order has each of the first twenty of the exact order: (Q, 20)."""
    found = []
    for query in queries.astype(np.float32):
        nearest = np.argsort(exact_distances(attention, query, gallery), kind="stable")[:FIRST]
        order = np.argsort(-cosine_similarities(query, gallery), kind="stable")
        place = np.empty(len(gallery), np.int64)
        place[order] = np.arange(len(gallery))
        found.append(place[nearest])
    return np.array(found)


def _needed(positions: Positions) -> int:
    """The smallest shortlist that keeps 0.99 of them."""
    return int(np.quantile(positions, RECALL, method="higher")) + 1


def _curve(positions: Positions, size: int) -> list[tuple[float, float]]:
    counts = np.unique(np.geomspace(FIRST, size, 40).astype(int))
    return [(count / size, float((positions < count).mean())) for count in counts]


def _exponent(needed: dict[int, int]) -> float:
    """The slope of the line through the points in logarithms; 1 where there are not two."""
    if len(needed) < 2:
        return 1.0
    return float(np.polyfit(np.log(list(needed)), np.log(list(needed.values())), 1)[0])


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
