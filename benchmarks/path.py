"""Row l: the path through 2,000 sightings, the most that one is drawn through."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.figure import Figure, Plot, either, progress
from benchmarks.timing import Work, interleaved, seconds
from reid_engine.contracts import Place, Sighting
from reid_engine.trajectory import MAX_SIGHTINGS, build, great_circle, travel_gain

SECONDS = 0.1
CAMERAS = 300
DAY_S = 86_400.0
CONFIRMED = 6
PEER_SIGHTINGS = 200  # one pair after the other takes a minute and a half for 2,000


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Seconds for chain, confidences and conflicts, before and after verdicts; beside the recurrence pair by pair."""
    count = min(either(quick, 100, MAX_SIGHTINGS, rows), MAX_SIGHTINGS)
    few = min(count, PEER_SIGHTINGS)
    progress(f"a path through {count:,} sightings of {CAMERAS} cameras")
    works: dict[str, Work] = {
        "ours": partial(build, crowd(count)),
        "after verdicts": partial(build, crowd(count, CONFIRMED), has_feedback=True),
        "as many cameras": partial(build, crowd(count, cameras=count)),
        "pairs": partial(pair_by_pair, crowd(few)),
    }
    best = interleaved(works)
    sizes = [size for size in (125, 250, 500, 1000, MAX_SIGHTINGS) if size <= count]
    growth = [(float(size), seconds(partial(build, crowd(size)), 3)) for size in sizes] or [
        (float(count), best["ours"])
    ]
    return Figure(
        "l",
        f"trajectory over {count:,} sightings",
        "s",
        best["ours"],
        target=SECONDS if count == MAX_SIGHTINGS else None,
        peers={"the recurrence in Python, pair by pair, scaled by the square": best["pairs"] * (count / few) ** 2},
        more_is_better=False,
        text=(
            f"Sightings of one day before {CAMERAS} cameras, great-circle distances, one thread. The peer is measured "
            f"on {few} sightings and computes the chain alone, without its confidences."
        ),
        details={
            f"seconds with {CONFIRMED} of them confirmed": best["after verdicts"],
            "seconds with a camera for each sighting": best["as many cameras"],
        },
        plots=(Plot("growth", "A path grows with the square of its sightings", "sightings", "s", {"ours": growth}),),
    )


def crowd(count: int, confirmed: int = 0, cameras: int = CAMERAS) -> list[Sighting]:
    """Sightings of a day, spread over ten kilometres, of any likelihood."""
    rng = np.random.default_rng(3)
    places = [Place(float(x), float(y), 30.0) for x, y in rng.uniform(0, 0.1, (cameras, 2))]
    found = []
    for number in range(count):
        camera, start = int(rng.integers(cameras)), float(rng.uniform(0, DAY_S))
        likelihood, verdict = float(rng.uniform(0.01, 0.95)), "confirmed" if number < confirmed else "undecided"
        found.append(
            Sighting(number, camera, start, start + 10, likelihood, (number,), places[camera], 1.0, verdict)  # type: ignore[arg-type]
        )
    return found


def pair_by_pair(sightings: list[Sighting], v_max: float = 3.0) -> float:
    """The weight of the best chain by the recurrence as it is written down."""
    nodes = sorted(sightings, key=lambda s: s.start)
    value: list[float] = []
    for j, b in enumerate(nodes):
        best = 0.0
        for i, a in enumerate(nodes[:j]):
            metres, dt = great_circle(a.place, b.place), b.start - a.end
            apart = max(0.0, metres - a.place.view_radius_m - b.place.view_radius_m)
            if dt + a.clock_uncertainty_s + b.clock_uncertainty_s >= apart / v_max:
                gain = float(travel_gain(np.array([dt]), np.array([metres]), v_max)[0])
                best = max(best, value[i] + 0.5 * gain)
        value.append(float(np.log(b.likelihood / (1 - b.likelihood))) + best)
    return max(value)
