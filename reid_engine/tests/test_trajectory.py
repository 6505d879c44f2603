"""Paths against brute force over every subset of the sightings, and against what must never happen on a map."""

from __future__ import annotations

import itertools
import math
import random
import time
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_engine import trajectory
from reid_engine.contracts import Place, Sighting, Verdict
from reid_engine.trajectory import MAX_SIGHTINGS, ROWS_AT_ONCE, build, great_circle, travel_gain

METRES_PER_DEGREE = math.pi * 6_371_008.8 / 180


def at(east_m: float, radius: float = 0.0) -> Place:
    """A place on the equator, so many metres east of the origin."""
    return Place(east_m / METRES_PER_DEGREE, 0.0, radius)


def seen(
    id_: int,
    place: Place,
    start: float,
    p: float = 0.9,
    stay: float = 0.0,
    verdict: Verdict = "undecided",
    u: float = 0.0,
) -> Sighting:
    return Sighting(id_, id_, start, start + stay, p, (id_,), place, u, verdict)


# ---- the reference, written from the formulas, one subset after the other ----


def metres_between(a: Place, b: Place) -> float:
    lon_a, lat_a, lon_b, lat_b = map(math.radians, (a.longitude, a.latitude, b.longitude, b.latitude))
    h = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(h))


def possible(a: Sighting, b: Sighting, v_max: float) -> bool:
    apart = max(0.0, metres_between(a.place, b.place) - a.place.view_radius_m - b.place.view_radius_m)
    late = b.start - a.end + a.clock_uncertainty_s + b.clock_uncertainty_s
    return b.start >= a.start and late + 1e-6 >= apart / v_max


def gain_of(a: Sighting, b: Sighting, v_max: float) -> float:
    dt, distance = b.start - a.end, metres_between(a.place, b.place)
    density = 0.0
    if dt > 0 and distance > 0:
        z = (math.log(dt) - math.log(distance / 1.3)) / 0.35
        density += 0.8 * math.exp(-z * z / 2) / (dt * 0.35 * math.sqrt(2 * math.pi))
    if dt + 1e-6 >= distance / v_max:
        density += 0.2 * math.exp(-(dt - distance / v_max) / 600) / 600
    return max(-3.0, min(3.0, math.log(density / (1 / 1200)))) if density > 0 else -3.0


@dataclass(frozen=True)
class Reference:
    weight: float
    chains: list[tuple[tuple[Sighting, ...], float]]
    best: tuple[Sighting, ...]

    def share(self, *ids: int) -> float:
        """Probability that a chain has these sightings one directly after the other."""
        total = sum(math.exp(weight) for _, weight in self.chains)
        return sum(math.exp(weight) for chain, weight in self.chains if holds_in_a_row(chain, ids)) / total


def holds_in_a_row(chain: tuple[Sighting, ...], ids: tuple[int, ...]) -> bool:
    found = [s.id for s in chain]
    return any(tuple(found[k : k + len(ids)]) == ids for k in range(len(found)))


def chain_weight(chain: tuple[Sighting, ...], eta: float, v_max: float) -> float:
    nodes = sum(math.log(s.likelihood / (1 - s.likelihood)) + 8 * (s.verdict == "confirmed") for s in chain)
    return nodes + sum(eta * gain_of(a, b, v_max) for a, b in itertools.pairwise(chain))


def brute_force(sightings: list[Sighting], eta: float, v_max: float = 3.0) -> Reference:
    left = [s for s in sightings if s.verdict != "rejected"]
    ordered = sorted(left, key=lambda s: (s.start, s.end, s.camera_id, s.id))
    subsets = itertools.chain.from_iterable(itertools.combinations(ordered, n) for n in range(len(ordered) + 1))
    chains = [c for c in subsets if all(possible(a, b, v_max) for a, b in itertools.pairwise(c))]
    weighed = [(c, chain_weight(c, eta, v_max)) for c in chains]
    best, weight = max(weighed, key=lambda cw: (sum(s.verdict == "confirmed" for s in cw[0]), cw[1]))
    kept = {s.id for s in best if s.verdict == "confirmed"}
    allowed = [(c, w) for c, w in weighed if {s.id for s in c if s.verdict == "confirmed"} == kept]
    return Reference(weight, allowed, best)


@st.composite
def scenes(draw: st.DrawFn, verdicts: tuple[Verdict, ...] = ("undecided",), most: int = 9) -> list[Sighting]:
    places = [at(east, draw(st.sampled_from([0.0, 20.0]))) for east in (0.0, 60.0, 300.0, 900.0)]
    found = []
    for id_ in range(draw(st.integers(1, most))):
        found.append(
            seen(
                id_,
                draw(st.sampled_from(places)),
                float(draw(st.integers(0, 900))),
                draw(st.floats(0.02, 0.98)),
                float(draw(st.integers(0, 40))),
                draw(st.sampled_from(verdicts)),
                draw(st.sampled_from([0.0, 5.0])),
            )
        )
    return found


mixed = scenes(("undecided", "undecided", "confirmed", "rejected"))


@given(sightings=mixed, has_feedback=st.booleans(), v_max=st.sampled_from([3.0, 12.0]))
@settings(max_examples=120, deadline=None)
def test_the_path_is_the_best_of_all_subsets(sightings: list[Sighting], has_feedback: bool, v_max: float) -> None:
    expected = brute_force(sightings, 0.0 if has_feedback else 0.5, v_max)
    found = build(sightings, has_feedback=has_feedback, v_max=v_max)
    assert found.weight == pytest.approx(expected.weight, abs=1e-6)
    by_id = {s.id: s for s in sightings}
    chain = tuple(by_id[stop.sighting_id] for stop in found.stops)
    assert chain_weight(chain, 0.0 if has_feedback else 0.5, v_max) == pytest.approx(expected.weight, abs=1e-6)


@given(sightings=mixed, has_feedback=st.booleans())
@settings(max_examples=80, deadline=None)
def test_confidences_are_the_shares_of_all_possible_chains(sightings: list[Sighting], has_feedback: bool) -> None:
    expected = brute_force(sightings, 0.0 if has_feedback else 0.5)
    found = build(sightings, has_feedback=has_feedback)
    for stop in found.stops:
        assert stop.confidence == pytest.approx(expected.share(stop.sighting_id), abs=1e-6)
    for leg in found.legs:
        assert leg.confidence == pytest.approx(expected.share(leg.from_id, leg.to_id), abs=1e-6)


@given(sightings=scenes(most=12))
@settings(max_examples=25, deadline=None)
def test_the_path_is_the_best_of_all_subsets_of_twelve(sightings: list[Sighting]) -> None:
    assert build(sightings).weight == pytest.approx(brute_force(sightings, 0.5).weight, abs=1e-6)


def by_pairs(sightings: list[Sighting], v_max: float) -> float:
    """The weight of the best chain by the recurrence of product.md, one pair after the other."""
    nodes = sorted(sightings, key=lambda s: (s.start, s.end, s.camera_id, s.id))
    value: list[float] = []
    for j, b in enumerate(nodes):
        ways = [value[i] + 0.5 * gain_of(a, b, v_max) for i, a in enumerate(nodes[:j]) if possible(a, b, v_max)]
        value.append(chain_weight((b,), 0.5, v_max) + max([0.0, *ways]))
    return max([0.0, *value])


def stretched(sightings: list[Sighting], times: int) -> list[Sighting]:
    """So many times as long a day: thirty times, every way between most of them is open."""
    return [replace(s, start=s.start * times, end=s.end * times) for s in sightings]


@given(sightings=scenes(most=3 * ROWS_AT_ONCE + 2), times=st.sampled_from([1, 30]), v_max=st.sampled_from([3.0, 12.0]))
@settings(max_examples=60, deadline=None)
def test_rows_computed_together_give_what_pairs_give_one_by_one(
    sightings: list[Sighting], times: int, v_max: float
) -> None:
    sightings = stretched(sightings, times)
    assert build(sightings, v_max=v_max).weight == pytest.approx(by_pairs(sightings, v_max), abs=1e-6)


def shares_by_pairs(sightings: list[Sighting], kept: set[int], eta: float) -> dict[tuple[int, ...], float]:
    """The probability of each sighting and of each hop where every chain passes through `kept`; pair by pair."""
    chosen = [s for s in sightings if s.verdict == "undecided" or s.id in kept]
    nodes = sorted(chosen, key=lambda s: (s.start, s.end, s.camera_id, s.id))
    weight = [math.exp(chain_weight((s,), eta, 3.0)) for s in nodes]
    hops = {
        (i, j): math.exp(eta * gain_of(a, b, 3.0))
        for (i, a), (j, b) in itertools.combinations(enumerate(nodes), 2)
        if possible(a, b, 3.0) and not kept & {s.id for s in nodes[i + 1 : j]}
    }
    begins, ends = ([not kept & {s.id for s in part} for part in parts] for parts in parts_of(nodes))
    before, after = [0.0] * len(nodes), [0.0] * len(nodes)
    for j in range(len(nodes)):
        before[j] = weight[j] * (begins[j] + sum(before[i] * hops.get((i, j), 0.0) for i in range(j)))
    for i in reversed(range(len(nodes))):
        after[i] = weight[i] * (ends[i] + sum(after[j] * hops.get((i, j), 0.0) for j in range(i + 1, len(nodes))))
    total = sum(itertools.compress(before, ends)) + (not kept)
    stops = {(s.id,): before[i] * after[i] / weight[i] / total for i, s in enumerate(nodes)}
    return stops | {(nodes[i].id, nodes[j].id): before[i] * hop * after[j] / total for (i, j), hop in hops.items()}


def parts_of(nodes: list[Sighting]) -> tuple[list[list[Sighting]], list[list[Sighting]]]:
    """What lies before each of the nodes, and what after it."""
    return [nodes[:i] for i in range(len(nodes))], [nodes[i + 1 :] for i in range(len(nodes))]


@given(
    sightings=scenes(("undecided", "undecided", "undecided", "confirmed"), most=4 * ROWS_AT_ONCE),
    times=st.sampled_from([1, 30]),
    has_feedback=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_confidences_among_many_are_what_pairs_give_one_by_one(
    sightings: list[Sighting], times: int, has_feedback: bool
) -> None:
    sightings = stretched(sightings, times)
    found = build(sightings, has_feedback=has_feedback)
    confirmed = {s.id for s in sightings if s.verdict == "confirmed"}
    kept = confirmed & {stop.sighting_id for stop in found.stops}
    expected = shares_by_pairs(sightings, kept, 0.0 if has_feedback else 0.5)
    for stop in found.stops:
        assert stop.confidence == pytest.approx(expected[stop.sighting_id,], abs=1e-6)
    for leg in found.legs:
        assert leg.confidence == pytest.approx(expected[leg.from_id, leg.to_id], abs=1e-6)


@pytest.mark.parametrize(("limit", "value"), [("LEAST_SHARE", math.inf), ("SPAN", 1.0)])
@given(sightings=scenes(("undecided",) * 9 + ("confirmed",), most=4 * ROWS_AT_ONCE), has_feedback=st.booleans())
@settings(max_examples=25, deadline=None)
def test_confidences_are_the_same_however_their_sums_are_kept_in_range(
    limit: str, value: float, sightings: list[Sighting], has_feedback: bool
) -> None:
    usual = build(stretched(sightings, 30), has_feedback=has_feedback)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trajectory, limit, value)
        other = build(stretched(sightings, 30), has_feedback=has_feedback)
    assert [s.confidence for s in other.stops] == pytest.approx([s.confidence for s in usual.stops], abs=1e-9)
    assert [s.confidence for s in other.legs] == pytest.approx([s.confidence for s in usual.legs], abs=1e-9)


@given(sightings=scenes(("undecided", "confirmed", "rejected"), most=14), seed=st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_the_order_of_the_input_changes_nothing(sightings: list[Sighting], seed: int) -> None:
    shuffled = list(sightings)
    random.Random(seed).shuffle(shuffled)
    assert build(shuffled) == build(sightings)


@given(sightings=mixed, shift=st.sampled_from([-3600.0, 0.5, 86400.0, 1.7e9]))
@settings(max_examples=100, deadline=None)
def test_a_shift_common_to_all_clocks_changes_nothing(sightings: list[Sighting], shift: float) -> None:
    before = build(sightings)
    after = build([replace(s, start=s.start + shift, end=s.end + shift) for s in sightings])
    assert [s.sighting_id for s in after.stops] == [s.sighting_id for s in before.stops]
    assert [s.confidence for s in after.stops] == pytest.approx([s.confidence for s in before.stops], abs=1e-6)
    assert after.conflicts == before.conflicts


@given(sightings=scenes(("undecided", "confirmed"), most=40), v_max=st.sampled_from([3.0, 12.0]))
@settings(max_examples=100, deadline=None)
def test_nobody_ever_hops_faster_than_is_possible(sightings: list[Sighting], v_max: float) -> None:
    found = build(sightings, v_max=v_max)
    by_id = {s.id: s for s in sightings}
    assert [(leg.from_id, leg.to_id) for leg in found.legs] == list(
        itertools.pairwise(stop.sighting_id for stop in found.stops)
    )
    for leg in found.legs:
        assert possible(by_id[leg.from_id], by_id[leg.to_id], v_max)
        assert leg.needed_speed <= v_max * (1 + 1e-6) + 1e-3
        ends = [s.confidence for s in found.stops if s.sighting_id in (leg.from_id, leg.to_id)]
        assert leg.confidence <= min(ends) + 1e-9


@given(sightings=scenes(("undecided", "confirmed", "rejected"), most=30))
@settings(max_examples=100, deadline=None)
def test_every_confirmed_sighting_is_on_the_path_or_in_a_conflict_and_no_rejected_one_is(
    sightings: list[Sighting],
) -> None:
    found = build(sightings)
    on_path = {stop.sighting_id for stop in found.stops}
    in_conflict = {id_ for c in found.conflicts for id_ in (c.first_id, c.second_id)}
    confirmed = {s.id for s in sightings if s.verdict == "confirmed"}
    assert confirmed <= on_path | in_conflict
    assert in_conflict <= confirmed
    assert not on_path & {s.id for s in sightings if s.verdict == "rejected"}


def test_nothing_seen_is_an_empty_path() -> None:
    found = build([])
    assert (found.stops, found.legs, found.weight, found.conflicts) == ((), (), 0.0, ())
    assert build([seen(1, at(0), 0, verdict="rejected")]) == found


def test_one_likely_sighting_is_a_path_of_one_stop_with_its_own_likelihood() -> None:
    found = build([seen(1, at(0), 0, p=0.8)])
    assert [stop.sighting_id for stop in found.stops] == [1] and found.legs == ()
    assert found.stops[0].confidence == pytest.approx(0.8)
    assert found.weight == pytest.approx(math.log(4))


def test_when_nothing_is_more_likely_than_not_there_is_no_path() -> None:
    assert build([seen(1, at(0), 0, p=0.4), seen(2, at(0), 50, p=0.1)]).stops == ()


def test_an_unlikely_sighting_that_was_confirmed_is_on_the_path_for_certain() -> None:
    found = build([seen(1, at(0), 0, p=0.001, verdict="confirmed"), seen(2, at(5000), 1, p=0.999)])
    assert [(s.sighting_id, round(s.confidence, 9)) for s in found.stops] == [(1, 1.0)]


def test_of_two_places_at_once_the_likelier_is_chosen() -> None:
    found = build([seen(1, at(0), 0, p=0.7), seen(2, at(2000), 10, p=0.95)])
    assert [stop.sighting_id for stop in found.stops] == [2]


def test_confirmed_sightings_that_exclude_each_other_are_a_conflict_with_both_names() -> None:
    found = build(
        [
            seen(1, at(0), 0, p=0.6, verdict="confirmed"),
            seen(2, at(2000), 10, p=0.9, verdict="confirmed"),
            seen(3, at(2000), 100, p=0.9, verdict="confirmed"),
        ]
    )
    assert [stop.sighting_id for stop in found.stops] == [2, 3]
    assert [(c.first_id, c.second_id) for c in found.conflicts] == [(1, 2), (1, 3)]
    assert found.conflicts[0].distance_m == pytest.approx(2000) and found.conflicts[0].seconds == 10


def test_more_confirmed_sightings_win_over_one_likelier_than_all_of_them() -> None:
    many = [seen(i, at(0), 100.0 * i, p=0.001, verdict="confirmed") for i in range(3)]
    found = build([*many, seen(9, at(50_000), 150.0, p=0.999, verdict="confirmed")])
    assert [stop.sighting_id for stop in found.stops] == [0, 1, 2]
    assert {c.second_id for c in found.conflicts} | {c.first_id for c in found.conflicts} == {0, 1, 2, 9}


def test_view_radius_and_clock_uncertainty_make_a_hop_possible() -> None:
    tight = [seen(1, at(0), 0), seen(2, at(90), 20)]
    assert len(build(tight).stops) == 1
    assert len(build([seen(1, at(0, 15), 0), seen(2, at(90, 15), 20)]).stops) == 2
    assert len(build([seen(1, at(0), 0, u=5), seen(2, at(90), 20, u=5)]).stops) == 2
    assert len(build(tight, v_max=12.0).stops) == 2


def test_two_cameras_that_look_at_the_same_spot_may_see_a_person_at_the_same_moment() -> None:
    assert len(build([seen(1, at(0), 5), seen(2, at(0), 5)]).stops) == 2


def test_roads_decide_distances_and_give_the_route() -> None:
    def by_road(first: Place, second: Place) -> tuple[float, tuple[tuple[float, float], ...]]:
        return 3 * metres_between(first, second), ((first.longitude, 0.0), (0.001, 0.002), (second.longitude, 0.0))

    walk = [seen(1, at(0), 0), seen(2, at(90), 60)]
    assert len(build(walk).stops) == 2
    assert len(build(walk, by_road).stops) == 1
    late = build([walk[0], seen(2, at(90), 120)], by_road)
    assert late.legs[0].distance_m == pytest.approx(270)
    assert late.legs[0].route[0] == (0.0, 0.0) and len(late.legs[0].route) == 3
    assert late.legs[0].needed_speed == pytest.approx(270 / 120)


def test_where_the_road_graph_has_no_answer_the_great_circle_is_used() -> None:
    found = build([seen(1, at(0), 0), seen(2, at(90), 60)], lambda a, b: (math.inf, ()))
    assert found.legs[0].distance_m == pytest.approx(90)


def test_the_road_graph_is_asked_once_per_pair_of_points_and_once_per_leg() -> None:
    asked = []

    def by_road(first: Place, second: Place) -> tuple[float, tuple[tuple[float, float], ...]]:
        asked.append((first, second))
        return metres_between(first, second), ()

    path = build([seen(i, at(100 * (i % 4), 15.0), 1000.0 * i) for i in range(40)], by_road, has_feedback=True)
    assert len(asked) == 4 * 3 // 2 + len(path.legs)
    assert {place.view_radius_m for pair in asked for place in pair} == {0.0}, "one key per point for whoever caches"


def test_before_feedback_a_plausible_walking_time_tips_the_balance_and_after_it_does_not() -> None:
    start, walk, dawdle = seen(1, at(0), 0, p=0.9), seen(2, at(390), 300, p=0.80), seen(3, at(0), 130, p=0.81)
    assert not possible(dawdle, replace(walk, start=180.0), 2.0)
    assert [s.sighting_id for s in build([start, walk, dawdle], v_max=2.0).stops] == [1, 2]
    assert [s.sighting_id for s in build([start, walk, dawdle], has_feedback=True, v_max=2.0).stops] == [1, 3]


def test_rounding_decides_nothing_where_a_way_is_just_possible() -> None:
    """840 m in 280 s, as fast as anybody is taken to be: a hundredth of a second less, and nobody was that fast."""
    rounded = np.array([280.0 - 2e-7, 280.0, 280.0 + 2e-7])
    gains = travel_gain(rounded, np.full(3, 840.0), 3.0)
    assert gains == pytest.approx(gains[1], abs=1e-6)
    assert travel_gain(np.array([279.99]), np.array([840.0]), 3.0)[0] < gains[1] - 0.1


def test_the_travel_gain_is_bounded_and_highest_at_walking_pace() -> None:
    seconds = np.linspace(1, 4000, 2000)
    gain = travel_gain(seconds, np.full(2000, 650.0))
    assert gain.min() >= -3 and gain.max() <= 3
    assert 400 < seconds[int(gain.argmax())] < 520
    zero = travel_gain(np.array([600.0, -1.0, 0.0]), np.zeros(3))
    assert zero == pytest.approx([math.log(0.4) - 1, -3, math.log(0.4)])


def test_great_circle_distances_are_those_of_the_globe() -> None:
    assert great_circle(Place(0, 0), Place(1, 0)) == pytest.approx(111_195, abs=1)
    assert great_circle(Place(30, 0), Place(120, 90)) == pytest.approx(10_007_557, abs=1)
    assert great_circle(Place(5, 5), Place(5, 5)) == 0


def crowd(count: int) -> list[Sighting]:
    rng = np.random.default_rng(3)
    places = [Place(*rng.uniform(0, 0.05, 2), 10.0) for _ in range(48)]
    return [
        seen(i, places[rng.integers(48)], rng.uniform(0, 86400), float(rng.beta(0.5, 2)), rng.uniform(0, 30), u=2.0)
        for i in range(count)
    ]


def test_two_thousand_sightings_take_a_fraction_of_a_second() -> None:
    sightings = crowd(MAX_SIGHTINGS)
    begun = time.process_time()
    assert len(build(sightings).stops) > 10
    assert time.process_time() - begun < 1.5, "about 0.1 s of a core; the margin is for slower ones"


def test_of_more_sightings_than_fit_the_least_likely_are_left_out_and_never_a_confirmed_one() -> None:
    many = crowd(MAX_SIGHTINGS + 300)
    least = min(many, key=lambda s: s.likelihood)
    found = build([replace(s, verdict="confirmed") if s is least else s for s in many])
    assert least.id in {stop.sighting_id for stop in found.stops}
