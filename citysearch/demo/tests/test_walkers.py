"""A day of walking: nobody flies, nobody is in two places, and a crop exists only where a camera could see."""

from __future__ import annotations

import math

import numpy as np
import pytest

from citysearch.demo.drawing import draw_shootings
from citysearch.demo.layout import City
from citysearch.demo.walkers import DAY, Day, _stretches, _view

PEOPLE = 16


@pytest.fixture(scope="module")
def day() -> Day:
    return Day(City(7), PEOPLE)


def test_everybody_walks_at_a_walking_pace(day: Day) -> None:
    for trip in day.trips:
        speeds = np.hypot(*np.diff(trip.places, axis=0).T) / np.diff(trip.times)
        assert speeds.max() < 2.0
        assert trip.times[0] >= 0 and trip.end < DAY


def test_nobody_walks_two_ways_at_once_and_each_walk_starts_where_the_last_one_ended(day: Day) -> None:
    for person in range(1, PEOPLE + 1):
        own = [trip for trip in day.trips if trip.person == person]
        for before, after in zip(own, own[1:], strict=False):
            assert after.times[0] > before.end
            assert math.dist(before.places[-1], after.places[0]) < 10, "the other side of the street at most"


def test_a_passage_lies_within_radius_and_cone_of_a_working_camera(day: Day) -> None:
    assert len(day.presences) > 3 * PEOPLE
    trips = {person: [trip for trip in day.trips if trip.person == person] for person in range(1, PEOPLE + 1)}
    for presence in day.presences:
        camera = day.cameras[presence.camera]
        assert camera.row["status"] == "online"
        trip = next(trip for trip in trips[presence.person] if trip.times[0] <= presence.start <= trip.end)
        for x, y in trip.at(np.array([presence.start, presence.end])):
            assert math.dist((x, y), (camera.x, camera.y)) <= camera.row["view_radius_m"] + 1e-6
            turn = (math.degrees(math.atan2(x - camera.x, y - camera.y)) - camera.row["heading"] + 180) % 360 - 180
            assert abs(turn) <= camera.row["field_of_view"] / 2 + 1e-6


def test_every_passage_leaves_a_crop_however_few_are_wanted(day: Day) -> None:
    passages = {(presence.person, presence.camera) for presence in day.presences}
    few, many = day.shootings(1), day.shootings(100_000)
    assert {(shot.person, shot.camera) for shot in few} == passages == {(shot.person, shot.camera) for shot in many}
    assert len(few) == len(day.presences) < len(many)


def test_crops_are_taken_during_the_passage(day: Day) -> None:
    for shot in day.shootings(100_000):
        assert any(
            presence.start <= shot.time <= presence.end
            for presence in day.presences
            if (presence.person, presence.camera) == (shot.person, shot.camera)
        )


def test_who_walks_towards_the_camera_is_seen_from_the_front(day: Day) -> None:
    camera = day.cameras[0]
    x, y = camera.x, camera.y
    assert abs(_view(camera, (x, y + 21), (x, y + 20), (x, y + 19))) < 1
    assert abs(abs(_view(camera, (x, y + 19), (x, y + 20), (x, y + 21))) - 180) < 1
    assert _view(camera, (x - 1, y + 20), (x, y + 20), (x + 1, y + 20)) == pytest.approx(90), "north of it, eastwards"


def test_runs_of_true_are_found_with_both_ends() -> None:
    assert list(_stretches(np.array([1, 1, 0, 0, 1, 0, 1], dtype=bool))) == [(0, 1), (4, 4), (6, 6)]
    assert list(_stretches(np.zeros(3, dtype=bool))) == []


def test_drawing_on_two_processes_gives_the_same_bytes(day: Day) -> None:
    shots = day.shootings(1)[:12]
    headings = [camera.row["heading"] for camera in day.cameras]
    assert draw_shootings(shots, headings, 7, processes=1) == draw_shootings(shots, headings, 7, processes=2)


def test_the_same_seed_walks_the_same_day() -> None:
    assert Day(City(3), 2).shootings(50) == Day(City(3), 2).shootings(50)
