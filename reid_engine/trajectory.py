"""Sightings to path: the maximum-weight chain in which nobody is in two places at once.

The rules are those of product.md, "Hits to sightings to path". A node weighs ln(p / (1 - p)), a confirmed one 8 more;
V_j = w_j + max(0, max over allowed i of V_i + eta g_ij) gives the best chain exactly, and the forward-backward sums of
the same recurrence give the probability of each stop and leg, all in O(N^2). numpy only, no torch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_engine.contracts import Conflict, Leg, Place, Sighting, Stop, Trajectory

Route = tuple[tuple[float, float], ...]
GroundDistance = Callable[[Place, Place], tuple[float, Route]]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Numbers = NDArray[np.intp]
Table = tuple[NDArray[np.floating[Any]], Numbers]
GroundDistances = Callable[[Sequence[Place]], Table]

ON_FOOT = 3.0  # m/s
CONFIRMED_BONUS = 8.0
ETA = 0.5  # weight of travel times before feedback; 0 after
ROWS_AT_ONCE = 16  # 16 x 2000 float64 are 256 KB: several such arrays fit a core's second-level cache
MAX_SIGHTINGS = 2000  # beyond, the least likely are left out: the pairs would fill the memory, not change the path

EARTH_RADIUS_M = 6_371_008.8
SURE = 1e-6  # likelihoods are kept this far from 0 and 1, so that no weight is infinite
SPAN = 300.0  # exp of it, and sums of thousands of it, are numbers yet
LEAST_SHARE = 1e-250  # below it, terms that were lost (under 1e-308) may count: then the logarithms are summed
SLACK_S = 1e-6  # absorbs the rounding of seconds since the epoch (2e-7) at the very edge of what is possible

WALK_MPS = 1.3
WALK_SPREAD = 0.35
WALK_SHARE = 0.8
PAUSE_S = 600.0
CHANCE_DENSITY = 1 / 1200.0
GAIN_LIMIT = 3.0


def build(
    sightings: Sequence[Sighting],
    ground_distance: GroundDistance | None = None,
    has_feedback: bool = False,
    v_max: float = ON_FOOT,
    ground_distances: GroundDistances | None = None,
) -> Trajectory:
    """The path through the sightings, in time order, with the probability of each stop and leg.

    Confirmed sightings are always on it, rejected ones never; a photo's known place and time is passed as a confirmed
    sighting. Confirmed sightings that exclude each other are reported as conflicts and the heaviest consistent choice
    is kept. The path is empty when no sighting is more likely than not. `ground_distance` gives metres and route
    between two points (places without a view) and must be symmetric in metres (default: the great circle, also where
    it gives inf or nan), `ground_distances` those between all of some points at once, which it is worth where there are
    many: a table (T, T) that may hold more points, and the number (P,) of each in it; `v_max` is in m/s. The order of
    the input and a shift common to all clocks change nothing.
    """
    nodes = _in_time_order(sightings)
    if not nodes:
        return Trajectory((), (), 0.0)
    measured = ground_distances or (partial(_one_by_one, ground_distance) if ground_distance else _great_circles)
    graph = _graph(nodes, measured, 0.0 if has_feedback else ETA, v_max)
    kept = _consistent(graph)
    through = graph.through(kept)
    chain, weight = _best_chain(through)
    stops, legs = _confidences(through, chain)
    return Trajectory(
        tuple(Stop(nodes[i].id, p) for i, p in zip(chain, stops, strict=True)),
        tuple(_leg(graph, i, j, p, ground_distance) for i, j, p in zip(chain, chain[1:], legs, strict=False)),
        weight,
        _conflicts(graph, kept),
    )


def great_circle(first: Place, second: Place) -> float:
    """Metres between two places on a sphere of the Earth's mean radius (haversine)."""
    lon, lat = np.radians([first.longitude, second.longitude]), np.radians([first.latitude, second.latitude])
    return float(_haversine(lon, lat)[0, 1])


_HIGHER = itemgetter(0)


@dataclass(frozen=True)
class _Hops:
    """When and where each of the N sightings was, for any pair of them; seconds, metres.

    `apart` (T, T) metres between different points, `point` (N,) the one a sighting was at; all others (N,).
    """

    start: Floats
    end: Floats
    slack: Floats
    radius: Floats
    apart: NDArray[np.floating[Any]]
    point: Numbers

    def between(self, i: int, j: int) -> tuple[float, float, float]:
        """Of the hop from i to j: metres on the ground, seconds from end to start, seconds both clocks may be off."""
        metres, seconds = self.apart[self.point[i], self.point[j]], self.start[j] - self.end[i]
        return float(metres), float(seconds), float(self.slack[i] + self.slack[j])


class _Sources(NamedTuple):
    """Of a node j: arriving from first .. near - 1 gains `far`, from near .. j - 1 `gain`; `odds` are exp(gain)."""

    first: int
    near: int
    gain: Floats
    odds: Floats


@dataclass(frozen=True)
class _Graph:
    """The sightings in time order and what may follow what.

    `gain` is one row after the other: for each j the eta * g of arriving there from i = near[j] .. j - 1, -inf where
    that is impossible. From what was earlier it is `far`, the least there is, and from what lies before `first[j]` no
    chain may arrive at all. `near`, `first` and `row` (N,), where the row of j begins, ascend; `begins` and `ends` (N,)
    tell whether a chain may begin, or end, at a node.
    """

    nodes: Sequence[Sighting]
    weight: Floats
    mandatory: Bools
    hops: _Hops
    gain: Floats
    far: float
    row: Numbers
    near: Numbers
    first: Numbers
    begins: Bools
    ends: Bools

    def between(self, i: int, j: int) -> float:
        """The gain of arriving at j from the earlier i, whatever chains must pass through."""
        near = int(self.near[j])
        return self.far if i < near else float(self.gain[self.row[j] + i - near])

    @cached_property
    def sources(self) -> list[_Sources]:
        """Where a chain may arrive from, for each node."""
        odds, order = np.exp(self.gain), np.arange(len(self.near))
        later = np.maximum(self.first, self.near)
        starts, stops = self.row + later - self.near, self.row + order - self.near
        columns = (column.tolist() for column in (self.first, later, starts, stops))
        return [
            _Sources(first, near, self.gain[start:stop], odds[start:stop])
            for first, near, start, stop in zip(*columns, strict=True)
        ]

    def onward(self, i: int) -> Floats:
        """The gains (n,) of arriving from i at each of i + 1 .. i + n; at no later one does a chain arrive from it."""
        near, first = (int(np.searchsorted(column, i, "right")) for column in (self.near, self.first))
        later = np.arange(i + 1, max(i + 1, min(near, first)))
        return np.append(self.gain[self.row[later] + i - self.near[later]], np.full(max(0, first - near), self.far))

    def through(self, kept: Sequence[int]) -> _Graph:
        """The same graph in which every chain passes through all of the `kept` nodes.

        They are the most that a chain can hold, so that it passes through no other mandatory one.
        """
        if not self.mandatory.any():
            return self
        order = np.arange(len(self.nodes))
        passed = np.searchsorted(kept, order, "right")  # how many kept nodes lie at or before each node
        is_kept = np.isin(order, kept)
        earlier = passed - is_kept  # how many lie before it
        first = np.searchsorted(passed, earlier, "left")  # what lies before the last of them leaps over it
        return replace(self, mandatory=is_kept, first=first, begins=earlier == 0, ends=passed == len(kept))


def _in_time_order(sightings: Sequence[Sighting]) -> list[Sighting]:
    """All but the rejected, at most the likeliest MAX_SIGHTINGS (confirmed first), whatever the order of the input."""
    left = [s for s in sightings if s.verdict != "rejected"]
    if len(left) > MAX_SIGHTINGS:
        left = sorted(left, key=lambda s: (s.verdict != "confirmed", -s.likelihood, s.start, s.id))[:MAX_SIGHTINGS]
    return sorted(left, key=lambda s: (s.start, s.end, s.camera_id, s.id))


def _graph(nodes: Sequence[Sighting], measured: GroundDistances, eta: float, v_max: float) -> _Graph:
    apart, point = _distances([node.place for node in nodes], measured)
    start, end, slack, radius = (
        np.array(column, dtype=np.float64)
        for column in zip(*((n.start, n.end, n.clock_uncertainty_s, n.place.view_radius_m) for n in nodes), strict=True)
    )
    hops = _Hops(start, end, slack, radius, apart, point)
    always = np.ones(len(nodes), dtype=np.bool_)
    mandatory = np.array([node.verdict == "confirmed" for node in nodes])
    near = _nearest(hops, eta, v_max)
    length = np.arange(len(nodes)) - near
    row = np.cumsum(length) - length
    gain = _gains(hops, near, row, eta, v_max)
    least, first = -eta * GAIN_LIMIT, np.zeros_like(near)
    return _Graph(nodes, _weights(nodes), mandatory, hops, gain, least, row, near, first, always, always)


def _nearest(hops: _Hops, eta: float, v_max: float) -> Numbers:
    """The `near` of the graph, the same for some rows: what ended so long before that the gain is the least there is,
    however far away, needs no look."""
    settled, latest_end = _settled(float(hops.apart.max()), eta, v_max), np.maximum.accumulate(hops.end)
    firsts = np.arange(len(hops.start)) // ROWS_AT_ONCE * ROWS_AT_ONCE
    return np.minimum(np.searchsorted(latest_end, hops.start[firsts] - settled, "right"), firsts)


def _gains(hops: _Hops, near: Numbers, row: Numbers, eta: float, v_max: float) -> Floats:
    """The `gain` of the graph, some rows at a time, so that they stay in the cache on the way."""
    count = len(near)
    gain = np.empty(int((np.arange(count) - near).sum()))
    for first in range(0, count, ROWS_AT_ONCE):
        after = slice(first, min(first + ROWS_AT_ONCE, count))
        rows = _gains_between(hops, slice(near[first], after.stop), after, eta, v_max)
        for j, found in enumerate(rows, first):
            gain[row[j] : row[j] + j - near[j]] = found[: j - near[j]]  # up to the diagonal
    return gain


def _gains_between(hops: _Hops, before: slice, after: slice, eta: float, v_max: float) -> Floats:
    """(J, I) gains of arriving at the nodes `after` from those `before`; -inf where that is impossible."""
    metres = hops.apart[hops.point[after]].take(hops.point[before], axis=1).astype(np.float64, copy=False)
    seconds = hops.start[after, None] - hops.end[before]
    needed = np.maximum(0.0, metres - hops.radius[before] - hops.radius[after, None]) / v_max
    allowed = seconds + hops.slack[before] + hops.slack[after, None] + SLACK_S >= needed
    gain = np.where(allowed, 0.0, -np.inf)
    if eta:
        gain[allowed] = eta * travel_gain(seconds[allowed], metres[allowed], v_max)
    return gain


def _settled(metres: float, eta: float, v_max: float) -> float:
    """Seconds from which on any hop of at most so many metres is possible and has the least gain there is.

    Past the time that a walk takes both densities of `travel_gain` only fall, and both rise with the metres.
    """
    if not eta:
        return metres / v_max
    seconds = metres / min(WALK_MPS, v_max) + PAUSE_S
    while travel_gain(np.array([seconds]), np.array([metres]), v_max)[0] > -GAIN_LIMIT:
        seconds *= 1.1
    return seconds


def _weights(nodes: Sequence[Sighting]) -> Floats:
    """ln(p / (1 - p)), and 8 more for what an operator has confirmed."""
    likelihood = np.clip([node.likelihood for node in nodes], SURE, 1 - SURE)
    confirmed = np.array([node.verdict == "confirmed" for node in nodes])
    return np.asarray(np.log(likelihood) - np.log1p(-likelihood) + CONFIRMED_BONUS * confirmed)


def travel_gain(seconds: Floats, metres: Floats, v_max: float = ON_FOOT) -> Floats:
    """g = clip(ln t(dt | D) - ln(1/1200), -3, 3): how much better than chance a travel time fits a distance.

    t = 0.8 LogNormal(dt; ln(D / 1.3), 0.35) + 0.2 Exp(dt - D / v_max; 600 s): most walk straight on, some stop on the
    way. A density is 0 outside its range; at D = 0 nobody walks, so only the second term is left. What is possible at
    the very edge (SLACK_S) is inside of it, or rounding alone would decide between a gain and the least there is.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        offset = np.log(seconds * WALK_MPS / metres) / WALK_SPREAD
        walking = np.exp(-0.5 * offset**2) / (seconds * (WALK_SPREAD * math.sqrt(2 * math.pi)))
        walking = np.where((seconds > 0) & (metres > 0), walking, 0.0)
        late = seconds - metres / v_max
        pausing = np.where(late >= -SLACK_S, np.exp(-np.maximum(late, 0.0) / PAUSE_S) / PAUSE_S, 0.0)
        density = WALK_SHARE * walking + (1 - WALK_SHARE) * pausing
        return np.clip(np.log(density) - math.log(CHANCE_DENSITY), -GAIN_LIMIT, GAIN_LIMIT)


def _distances(places: Sequence[Place], measured: GroundDistances) -> Table:
    """Metres on the ground between points (T, T), and the number in there of each place's point (N,)."""
    points = sorted({(place.longitude, place.latitude) for place in places})
    table, numbers = measured([Place(*point) for point in points])
    number = dict(zip(points, numbers.tolist(), strict=True))
    return table, np.array([number[place.longitude, place.latitude] for place in places])


def _great_circles(places: Sequence[Place]) -> Table:
    metres = _haversine(*np.radians([(place.longitude, place.latitude) for place in places]).T)
    return metres, np.arange(len(places))


def _one_by_one(ground_distance: GroundDistance, places: Sequence[Place]) -> Table:
    """The great circles replaced by what the road graph says, wherever it says something."""
    table, numbers = _great_circles(places)
    for i, j in itertools.combinations(range(len(places)), 2):
        metres = ground_distance(places[i], places[j])[0]
        if math.isfinite(metres):
            table[i, j] = table[j, i] = metres
    return table, numbers


def _haversine(longitude: Floats, latitude: Floats) -> Floats:
    """(C, C) metres between C points in radians, by the chord between them through a sphere of radius 1."""
    flat = np.cos(latitude)
    points = np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)])
    metres = np.empty((len(latitude), len(latitude)))
    for first in range(0, len(latitude), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        chord = np.sqrt(sum((axis[rows, None] - axis[None, :]) ** 2 for axis in points))
        metres[rows] = 2 * EARTH_RADIUS_M * np.arcsin(np.minimum(chord / 2, 1.0))
    return metres


def _consistent(graph: _Graph) -> list[int]:
    """The mandatory nodes one chain can hold: as many as possible, then the heaviest; in time order."""
    found: list[int] = np.flatnonzero(graph.mandatory).tolist()
    if all(graph.between(i, j) > -np.inf for i, j in itertools.pairwise(found)):
        return found
    reach = float(np.abs(graph.weight).sum()) + GAIN_LIMIT * len(graph.nodes) + 1.0  # more than any chain can weigh
    value, before = _forward(graph, graph.weight + reach * graph.mandatory)
    return [i for i in _walk_back(int(value.argmax()), before) if graph.mandatory[i]]


def _best_chain(graph: _Graph) -> tuple[list[int], float]:
    """The heaviest chain the graph allows and its weight; the empty one weighs 0 and needs no mandatory node."""
    value, before = _forward(graph, graph.weight)
    value = np.where(graph.ends, value, -np.inf)
    last = int(value.argmax())
    if value[last] <= 0 and not graph.mandatory.any():
        return [], 0.0
    return _walk_back(last, before), float(value[last])


def _forward(graph: _Graph, weight: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """V (N,), the weight of the best chain ending at each node, and the node before it there (-1: it begins)."""
    value = np.full(len(weight), -np.inf)
    before = np.full(len(weight), -1)
    span, earlier = (0, 0), (-np.inf, -1)
    for j, (first, near, gain, _odds) in enumerate(graph.sources):
        if span != (first, near):  # many nodes in a row share what lies far before them
            span, earlier = (first, near), _highest(value[first:near] + graph.far, first)
        begins = (0.0 if graph.begins[j] else -np.inf, -1)
        best = max(begins, earlier, _highest(value[near:j] + gain, near), key=_HIGHER)
        before[j] = best[1]
        value[j] = weight[j] + best[0]
    return value, before


def _highest(values: Floats, first: int) -> tuple[float, int]:
    """The highest value and its place, where the first of them has the place `first`; -inf and -1 for none."""
    if not len(values):
        return -np.inf, -1
    best = int(values.argmax())
    return float(values[best]), first + best


def _walk_back(last: int, before: NDArray[np.int64]) -> list[int]:
    chain = [last]
    while before[chain[-1]] >= 0:
        chain.append(int(before[chain[-1]]))
    return chain[::-1]


def _confidences(graph: _Graph, chain: Sequence[int]) -> tuple[list[float], list[float]]:
    """Marginal probability of each stop and of each leg of the chain, chains being distributed as exp(weight)."""
    forward, backward = _sums_before(graph), _sums_after(graph)
    finished = np.where(graph.ends, forward, -np.inf)
    total = _log_sum(finished if graph.mandatory.any() else np.append(finished, 0.0))  # 0: the empty chain
    stops = [forward[i] + backward[i] - graph.weight[i] - total for i in chain]
    legs = [forward[i] + graph.between(i, j) + backward[j] - total for i, j in zip(chain, chain[1:], strict=False)]
    return [min(1.0, math.exp(p)) for p in stops], [min(1.0, math.exp(p)) for p in legs]


def _sums_before(graph: _Graph) -> Floats:
    """Log of the summed exp(weight) of all chains ending at each node."""
    count, scale, far = len(graph.weight), 0.0, math.exp(graph.far)
    sums, shares = np.full(count, -np.inf), np.zeros(count)  # shares: exp(sums - scale)
    span, earlier = (0, 0, scale), 0.0
    for j, (first, near, _gain, odds) in enumerate(graph.sources):
        if span != (first, near, scale):  # many nodes in a row share what lies far before them
            span, earlier = (first, near, scale), far * float(shares[first:near].sum())
        share = earlier + float(odds @ shares[near:j])
        here = math.log(share) + scale if share > LEAST_SHARE else _log_sum(_arriving(graph, sums, j))
        sums[j] = graph.weight[j] + _log_added(here, bool(graph.begins[j]))
        scale = _rescaled(shares, scale, float(sums[j]))
        shares[j] = math.exp(sums[j] - scale)
    return sums


def _arriving(graph: _Graph, values: Floats, j: int) -> Floats:
    """The values of the nodes that a chain may arrive at j from, each with its gain."""
    first, near, gain, _odds = graph.sources[j]
    return np.append(values[first:near] + graph.far, values[near:j] + gain)


def _sums_after(graph: _Graph) -> Floats:
    """The same of all chains beginning at each node, from the last one back: each adds itself to those before it."""
    count, scale, far = len(graph.weight), 0.0, math.exp(graph.far)
    sums, found = np.full(count, -np.inf), np.zeros(count)
    for i in range(count - 1, -1, -1):
        share = float(found[i])
        here = math.log(share) + scale if share > LEAST_SHARE else _log_sum(_leaving(graph, sums, i))
        sums[i] = graph.weight[i] + _log_added(here, bool(graph.ends[i]))
        scale = _rescaled(found, scale, float(sums[i]))
        first, near, _gain, odds = graph.sources[i]
        share = math.exp(sums[i] - scale)
        found[first:near] += share * far
        found[near:i] += share * odds
    return sums


def _leaving(graph: _Graph, values: Floats, i: int) -> Floats:
    """The values of the nodes that chains may get to from i, each with its gain."""
    gains = graph.onward(i)
    return gains + values[i + 1 : i + 1 + len(gains)]


def _log_added(here: float, alone: bool) -> float:
    """log(exp(here) + 1) where a chain may also be of the node alone."""
    if not alone:
        return here
    return max(here, 0.0) + math.log1p(math.exp(-abs(here)))


def _rescaled(shares: Floats, scale: float, sums: float) -> float:
    """The scale, or a higher one, shares with it, before exp(sums - scale) would grow too large."""
    if sums - scale < SPAN:
        return scale
    shares *= math.exp(scale - sums)
    return sums


def _log_sum(values: Floats) -> float:
    """log(sum(exp(values))) without overflow; -inf for none."""
    highest = values.max(initial=-np.inf)
    if highest == -np.inf:
        return -np.inf
    return float(highest + np.log(np.exp(values - highest).sum()))


def _leg(graph: _Graph, i: int, j: int, confidence: float, ground_distance: GroundDistance | None) -> Leg:
    first, second = graph.nodes[i], graph.nodes[j]
    metres, seconds, slack = graph.hops.between(i, j)
    return Leg(
        from_id=first.id,
        to_id=second.id,
        distance_m=metres,
        seconds=seconds,
        needed_speed=_needed_speed(metres, seconds + slack, first.place, second.place),
        confidence=confidence,
        route=_route(first.place, second.place, ground_distance),
    )


def _needed_speed(metres: float, seconds: float, first: Place, second: Place) -> float:
    """The least speed, in m/s, that explains a hop: between the edges of both views, in the longest time possible."""
    apart = metres - first.view_radius_m - second.view_radius_m
    return apart / seconds if apart > 0 and seconds > 0 else 0.0


def _route(first: Place, second: Place, ground_distance: GroundDistance | None) -> Route:
    start, end = Place(first.longitude, first.latitude), Place(second.longitude, second.latitude)
    if ground_distance is None or start == end:
        return ()
    return tuple(ground_distance(start, end)[1])


def _conflicts(graph: _Graph, kept: Sequence[int]) -> tuple[Conflict, ...]:
    """Pairs of confirmed sightings, at least one of them left out, between which there is no possible hop."""
    dropped = set(np.flatnonzero(graph.mandatory).tolist()) - set(kept)
    pairs = [(min(i, j), max(i, j)) for i in dropped for j in np.flatnonzero(graph.mandatory).tolist() if i != j]
    impossible = sorted({(i, j) for i, j in pairs if graph.between(i, j) == -np.inf})
    return tuple(_conflict(graph, i, j) for i, j in impossible)


def _conflict(graph: _Graph, i: int, j: int) -> Conflict:
    metres, seconds, _slack = graph.hops.between(i, j)
    return Conflict(graph.nodes[i].id, graph.nodes[j].id, metres, seconds)
