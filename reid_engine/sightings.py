"""From ranked crops to sightings, and from an operator's verdicts to a better query. numpy only, no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from reid_engine.contracts import Hit, Place, Sighting, Verdict

GAP_S = 30.0  # one walks through a camera's view within this time; longer unseen is a new stay
ALIKE = 3.0  # crops this far apart in ln(p / (1 - p)) from the burst's best are hardly the same person
REJECTED_SHARE = 0.3
SURE = 1e-6

Vector = NDArray[np.float32]


def collapse(
    hits: Iterable[Hit],
    places: Mapping[int, Place],
    clock_uncertainty: Mapping[int, float] | None = None,
    gap_s: float = GAP_S,
    verdicts: Mapping[int, Verdict] | None = None,
) -> list[Sighting]:
    """Bursts of crops, close in time before one camera and alike, as sightings in descending order of likelihood.

    A crop joins a burst last seen at most `gap_s` seconds earlier whose best crop is about as likely (within ALIKE in
    log-odds): two people who cross before one camera stay two sightings. A sighting's likelihood is its best crop's,
    its crops are best first, and its id is that of its first crop in time, which re-scoring leaves alone. `places` and
    `clock_uncertainty` (seconds) are by camera; `verdicts` by crop: a rejected crop never shares a sighting with
    others, and a sighting with a confirmed crop is confirmed. The order of the hits changes nothing.
    """
    said = verdicts or {}
    uncertain = clock_uncertainty or {}
    bursts = _bursts(sorted(hits, key=lambda hit: (hit.seen_at, hit.crop_id)), gap_s, said)
    found = [_sighting(burst, places, uncertain, said) for burst in bursts]
    return sorted(found, key=lambda sighting: (-sighting.likelihood, sighting.start, sighting.id))


def rescore(query: Vector, confirmed: NDArray[np.floating], rejected: NDArray[np.floating]) -> Vector:
    """query' = normalised mean of the confirmed features - 0.3 x the mean of the rejected, at the query's length.

    query (D,), confirmed (C, D), rejected (R, D) -> (D,) float32; C and R may be 0. Without a confirmed crop the query
    stands in for it. Every feature counts as a direction, so that a long vector does not outvote the others; the result
    has the length of the query because diff attention takes raw features, not directions.
    """
    length = float(np.linalg.norm(query.astype(np.float64)))
    towards = _mean_direction(confirmed) if len(confirmed) else _unit(query)
    away = _unit(np.asarray(rejected)).mean(axis=0) if len(rejected) else np.zeros(len(query))
    moved = _unit(towards - REJECTED_SHARE * away)
    if not moved.any():
        return query.astype(np.float32)
    return np.asarray(moved * length, dtype=np.float32)


def _bursts(hits: Sequence[Hit], gap_s: float, verdicts: Mapping[int, Verdict]) -> list[list[Hit]]:
    """The hits, given in time order, as bursts; one pass, with the bursts still open kept per camera."""
    bursts: list[list[Hit]] = []
    running: dict[tuple[int, bool], list[list[Hit]]] = {}
    for hit in hits:
        key = (hit.camera_id, verdicts.get(hit.crop_id) == "rejected")
        near = [burst for burst in running.get(key, []) if hit.seen_at - burst[-1].seen_at <= gap_s]
        joined = min(near, key=lambda burst: _unlikeness(hit, burst), default=None)
        if joined is None or _unlikeness(hit, joined) > ALIKE:
            joined = []
            bursts.append(joined)
            near.append(joined)
        joined.append(hit)
        running[key] = near
    return bursts


def _unlikeness(hit: Hit, burst: Sequence[Hit]) -> float:
    return abs(_log_odds(hit.likelihood) - max(_log_odds(other.likelihood) for other in burst))


def _log_odds(likelihood: float) -> float:
    kept = min(max(likelihood, SURE), 1 - SURE)
    return math.log(kept / (1 - kept))


def _sighting(
    burst: Sequence[Hit], places: Mapping[int, Place], uncertain: Mapping[int, float], verdicts: Mapping[int, Verdict]
) -> Sighting:
    best_first = sorted(burst, key=lambda hit: (-hit.likelihood, hit.distance, hit.crop_id))
    camera_id = burst[0].camera_id
    return Sighting(
        id=burst[0].crop_id,
        camera_id=camera_id,
        start=burst[0].seen_at,
        end=burst[-1].seen_at,
        likelihood=best_first[0].likelihood,
        crop_ids=tuple(hit.crop_id for hit in best_first),
        place=places[camera_id],
        clock_uncertainty_s=uncertain.get(camera_id, 0.0),
        verdict=_verdict_of(burst, verdicts),
    )


def _verdict_of(burst: Sequence[Hit], verdicts: Mapping[int, Verdict]) -> Verdict:
    """One confirmed crop confirms its sighting; rejected crops are only among themselves."""
    given = {verdicts.get(hit.crop_id, "undecided") for hit in burst}
    if "confirmed" in given:
        return "confirmed"
    return "rejected" if "rejected" in given else "undecided"


def _mean_direction(features: NDArray[np.floating]) -> NDArray[np.float64]:
    return _unit(_unit(np.asarray(features)).mean(axis=0))


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Each vector along the last axis at length 1; a zero vector stays zero."""
    wide = vectors.astype(np.float64)
    length = np.linalg.norm(wide, axis=-1, keepdims=True)
    return np.asarray(np.divide(wide, length, out=np.zeros_like(wide), where=length > 0))
