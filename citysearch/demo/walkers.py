"""A day of the demo city: who walks where and when, and what each camera sees of it.

Times are seconds since the day's midnight, places metres of the plan. People walk the street graph along plausible
errands; a camera catches them while they are within its radius and its cone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from citysearch.demo.layout import CameraPlan, City
from citysearch.demo.plan import Corner, Metres, ground
from citysearch.demo.reel import Shooting

Floats = NDArray[np.float64]

HOUR = 3600.0
DAY = 24 * HOUR
_PAVEMENT_M = 3.5
_DISTANCE_SCALE_M = 1100.0
_MISSED = 0.06
_ATTEMPTS, _CAMERAS_PASSED = 6, 5


@dataclass(frozen=True)
class Trip:
    """One walk: places (N, 2) in metres reached at `times` (N,), ascending."""

    person: int
    times: Floats
    places: Floats

    @property
    def end(self) -> float:
        return float(self.times[-1])

    def at(self, moments: Floats) -> Floats:
        """Where the walker is at these moments, (M, 2)."""
        return np.column_stack([np.interp(moments, self.times, self.places[:, axis]) for axis in (0, 1)])


@dataclass(frozen=True)
class Presence:
    """The truth behind a sighting: a person before a camera from `start` to `end`."""

    person: int
    camera: int
    start: float
    end: float


class Day:
    """The walks of `people` people, and what the cameras see of them; all of it follows from the seed."""

    def __init__(self, city: City, people: int) -> None:
        self.city, self.people = city, people
        self.cameras = city.cameras()

    @property
    def trips(self) -> list[Trip]:
        """Everybody's walks, person by person, in the order of time."""
        return [trip for life in self._lives for trip, _seen in life]

    @property
    def presences(self) -> list[Presence]:
        """Every passage of somebody before a camera that works."""
        return [presence for life in self._lives for _trip, seen in life for presence in seen]

    @cached_property
    def _lives(self) -> list[list[tuple[Trip, list[Presence]]]]:
        return [self._life(person) for person in range(1, self.people + 1)]

    def _life(self, person: int) -> list[tuple[Trip, list[Presence]]]:
        """A person's walks and what is seen of them; of some possible homes the first that leads past cameras."""
        lives = []
        for attempt in range(_ATTEMPTS):
            life = [(trip, list(self._seen(trip))) for trip in self._walks(person, attempt)]
            lives.append((len({presence.camera for _trip, seen in life for presence in seen}), life))
            if lives[-1][0] >= _CAMERAS_PASSED:
                break
        return max(lives, key=lambda pair: pair[0])[1]

    def shootings(self, most: int) -> list[Shooting]:
        """The crops the cameras leave, at most about `most`: bursts get shorter, no passage is lost for it."""
        for longest in (6, 5, 4, 3, 2, 1):
            shots = [
                shot
                for life in self._lives
                for trip, seen in life
                for presence in seen
                for shot in self._burst(trip, presence, longest)
            ]
            if len(shots) <= most:
                break
        return shots

    def _walks(self, person: int, attempt: int) -> Iterator[Trip]:
        rng = np.random.default_rng([self.city.seed, person, attempt, 0xDA])
        pace = float(np.clip(rng.normal(1.3, 0.13), 0.95, 1.7))
        here, earliest = self._home(rng), 0.0
        for start, goal in self._errands(here, rng):
            start = max(start, earliest)
            effort, via = self.city.graph.tree(here)
            if goal == here or goal not in effort:
                continue
            trip = _trip(person, start, self.city.graph.path(via, goal), pace, rng)
            if trip.end > DAY - HOUR / 2:
                return
            yield trip
            here, earliest = goal, trip.end + float(rng.uniform(180, 900))

    def _home(self, rng: np.random.Generator) -> Corner:
        corners = self.city.graph.corners
        return corners[int(rng.integers(len(corners)))]

    def _errands(self, home: Corner, rng: np.random.Generator) -> Iterator[tuple[float, Corner]]:
        """(when, where to) over the day: work and back with a detour, lunch, and perhaps the lake in the evening."""
        work = self._near(home, rng, 1.4)
        yield rng.uniform(6.6, 9.4) * HOUR, work
        if rng.random() < 0.6:
            yield rng.uniform(11.6, 12.6) * HOUR, self._near(work, rng, 0.55)
            yield rng.uniform(13.0, 13.8) * HOUR, work
        if rng.random() < 0.4:
            yield rng.uniform(14.3, 15.6) * HOUR, self._near(work, rng, 0.9)
        yield rng.uniform(16.8, 18.4) * HOUR, self._near(home, rng, 0.9)
        yield rng.uniform(18.4, 19.4) * HOUR, home
        if rng.random() < 0.45:
            yield rng.uniform(19.6, 20.4) * HOUR, self._lakeside(rng)
            yield rng.uniform(20.8, 21.6) * HOUR, home

    def _near(self, place: Corner, rng: np.random.Generator, reach: float) -> Corner:
        """A corner drawn by gravity: near ones more often, the inner town's more often still."""
        corners = self.city.graph.corners
        here = np.array(ground(place))
        away = np.hypot(*(self._places - here).T)
        inner = 1.0 + 1.5 * np.exp(-np.hypot(*(self._places - (900.0, 0.0)).T) / 900.0)
        weight = inner * np.exp(-away / (_DISTANCE_SCALE_M * reach)) * (away > 250)
        return corners[int(rng.choice(len(corners), p=weight / weight.sum()))]

    def _lakeside(self, rng: np.random.Generator) -> Corner:
        shore = [corner for corner in self.city.graph.corners if corner[0] == 0]
        return shore[int(rng.integers(len(shore)))]

    @cached_property
    def _places(self) -> Floats:
        return np.array([ground(corner) for corner in self.city.graph.corners])

    # What cameras see

    def _seen(self, trip: Trip) -> Iterator[Presence]:
        moments = np.arange(trip.times[0], trip.end, 1.0)
        places = trip.at(moments)
        low, high = places.min(axis=0).tolist(), places.max(axis=0).tolist()
        for number, camera in enumerate(self.cameras):
            if camera.row["status"] != "online" or not _may_pass(camera, low, high):
                continue
            for first, last in _stretches(_in_view(camera, places)):
                if last - first >= 3:
                    yield Presence(trip.person, number, float(moments[first]), float(moments[last]))

    def _burst(self, trip: Trip, presence: Presence, longest: int) -> Iterator[Shooting]:
        """Crops spread over the passage; a detector misses some, but never all."""
        key = [self.city.seed, presence.person, presence.camera, int(presence.start)]
        rng = np.random.default_rng(key)
        count = int(np.clip(round((presence.end - presence.start) / 6), 2, 6))
        slots = np.linspace(presence.start, presence.end, count + 2)[1:-1] + rng.uniform(-1.2, 1.2, count)
        seen = np.clip(slots, presence.start, presence.end)[rng.random(count) > _MISSED]
        chosen = seen if len(seen) else slots[:1]
        keep = np.sort(rng.permutation(len(chosen))[:longest])
        for index in keep:
            yield self._shooting(trip, presence, float(chosen[index]), int(rng.integers(2**31)))

    def _shooting(self, trip: Trip, presence: Presence, time: float, seed: int) -> Shooting:
        camera = self.cameras[presence.camera]
        before, here, after = trip.at(np.array([time - 1.0, time, time + 1.0]))
        away = math.dist(here, (camera.x, camera.y))
        height = int(np.clip(2400 / max(away, 8.0), 96, 176)) // 16 * 16
        return Shooting(presence.person, presence.camera, time, _view(camera, before, here, after), True, height, seed)


def _trip(person: int, start: float, path: Sequence[Metres], pace: float, rng: np.random.Generator) -> Trip:
    """A walk along the path on one side of the street, with short waits at corners."""
    places = _on_pavement(np.array(path), float(rng.choice([-1, 1])) * _PAVEMENT_M)
    steps = np.hypot(*np.diff(places, axis=0).T) / pace
    waits = np.where(rng.random(len(steps)) < 0.06, rng.uniform(3, 25, len(steps)), 0.0)
    return Trip(person, start + np.concatenate([[0.0], np.cumsum(steps + waits)]), places)


def _on_pavement(path: Floats, aside: float) -> Floats:
    """The path moved sideways by `aside` metres."""
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.hypot(*along.T), 1e-6)[:, None]
    moved: Floats = path + aside * np.column_stack([along[:, 1], -along[:, 0]])
    return moved


def _may_pass(camera: CameraPlan, low: Metres, high: Metres) -> bool:
    """Whether the camera's reach touches the box of a walk."""
    reach = camera.row["view_radius_m"]
    corners = zip(low, (camera.x, camera.y), high, strict=True)
    return all(least - reach <= place <= most + reach for least, place, most in corners)


def _in_view(camera: CameraPlan, places: Floats) -> NDArray[np.bool_]:
    """Which places lie within the camera's radius and cone, and not right under the pole."""
    east, north = places[:, 0] - camera.x, places[:, 1] - camera.y
    away = np.hypot(east, north)
    turn = (np.degrees(np.arctan2(east, north)) - camera.row["heading"] + 180) % 360 - 180
    seen: NDArray[np.bool_] = (away <= camera.row["view_radius_m"]) & (away >= 3.0)
    return seen & (np.abs(turn) <= camera.row["field_of_view"] / 2)


def _stretches(mask: NDArray[np.bool_]) -> Iterable[tuple[int, int]]:
    """First and last index of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True)


def _view(camera: CameraPlan, before: Any, here: Any, after: Any) -> float:
    """The renderer's view angle: 0 = walking towards the camera, 90 = to the picture's right."""
    heading = math.atan2(after[0] - before[0], after[1] - before[1])
    looking = math.atan2(here[0] - camera.x, here[1] - camera.y)
    return math.degrees(math.atan2(math.sin(heading - looking), -math.cos(heading - looking)))
