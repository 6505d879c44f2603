"""Rendered pedestrians: the same from the same seed, tellable apart, recognisable under another camera."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from reid_engine.data.rendering.body import Painter, draw_body
from reid_engine.data.rendering.raster import Canvas, Profile, Projection, capsule, tube
from reid_engine.data.synthetic import (
    CameraLook,
    Light,
    Moment,
    Person,
    Shot,
    random_moment,
    read,
    render_person,
    write_dataset,
)
from reid_engine.errors import BadConfig, BadDataset

Values = NDArray[np.float64]


def crop(person: int, camera: int, view: float = 20.0, draw: int = 0, hour: float = 12.0) -> Image.Image:
    look = CameraLook.from_seed(camera)
    shot = Shot(look, Light.at(hour, 0.6, look.bearing), view, random_moment(np.random.default_rng(draw)), crowd=0.0)
    return render_person(Person.from_seed(person), np.random.default_rng([person, camera, draw]), shot)


def clothes(picture: Image.Image) -> Values:
    """Chroma and brightness of chest and legs, the middle of the box: a crude descriptor that no camera cast fools."""
    values = np.asarray(picture, dtype=float)
    parts = [values[30:58, 22:42], values[66:100, 20:44]]
    means = np.array([np.median(part.reshape(-1, 3), axis=0) for part in parts])
    return np.concatenate([(means / means.sum(axis=1, keepdims=True)).ravel() * 3, means.mean(axis=1) / 160])


def silhouette(person: Person, view: float, moment: Moment = Moment(0.25)) -> Values:
    canvas = Canvas(160, 280)
    frame = Projection(float(np.radians(view)), 0.15, 250.0, 80.0, 265.0)
    draw_body(Painter(canvas, frame, Light.at(12, 1.0), 0.0), person, moment)
    return np.asarray(canvas.alpha, dtype=float)


def without_luggage(seed: int) -> Person:
    person = Person.from_seed(seed)
    return replace(person, carried=replace(person.carried, bag="none"))


def test_equal_seeds_draw_equal_crops_and_another_seed_another_person() -> None:
    assert crop(7, 1).tobytes() == crop(7, 1).tobytes()
    assert Person.from_seed(7) == Person.from_seed(7)
    assert Person.from_seed(7) != Person.from_seed(8)


@pytest.mark.parametrize("size", [(64, 128), (96, 192), (40, 90)])
def test_a_crop_has_the_size_asked_for_and_three_bands(size: tuple[int, int]) -> None:
    shot = Shot(CameraLook.from_seed(1))
    picture = render_person(Person.from_seed(1), np.random.default_rng(0), shot, size)
    assert (picture.size, picture.mode) == (size, "RGB")


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    view=st.floats(-720, 720),
    hour=st.floats(0, 24),
    rain=st.booleans(),
    walking=st.booleans(),
)
def test_every_person_renders_under_every_light_and_view(
    seed: int, view: float, hour: float, rain: bool, walking: bool
) -> None:
    rng = np.random.default_rng(seed)
    look = CameraLook.from_seed(seed % 50)
    shot = Shot(look, Light.at(hour, rng.random(), look.bearing), view, random_moment(rng, walking, rain))
    values = np.asarray(render_person(Person.from_seed(seed), rng, shot), dtype=float)
    assert values.std() > 4, "a crop is never one flat colour"
    assert 8 < values.mean() < 250


def test_a_person_is_recognised_under_other_cameras_better_than_chance() -> None:
    people = range(40)
    gallery = np.array([clothes(crop(person, 3, view=200)) for person in people])
    found = 0
    for person in people:
        distances = np.abs(gallery - clothes(crop(person, 11, view=-25, draw=1))).sum(axis=1)
        found += int(distances.argsort(kind="stable")[:3].tolist().count(person))
    assert found >= 16, "colours of chest and legs alone name 16 of 40 people among the first three (chance: 3)"


def test_the_body_is_narrower_from_the_side_when_standing() -> None:
    standing = Moment(0.0, walking=False)
    for seed in (1, 2, 3, 4):
        person = without_luggage(seed)
        front, side = (silhouette(person, view, standing)[70:110].sum() for view in (0, 90))
        assert side < 0.9 * front


def test_legs_part_in_mid_stride_and_not_when_standing() -> None:
    person = replace(without_luggage(5), bottom_kind="trousers")
    walking, standing = (silhouette(person, 90, moment) for moment in (Moment(0.25), Moment(0.25, walking=False)))
    reach = [np.flatnonzero(picture[240:262].max(axis=0) > 0.5) for picture in (walking, standing)]
    assert np.ptp(reach[0]) > 1.5 * np.ptp(reach[1])


def test_feet_stand_on_the_ground_in_every_phase() -> None:
    for phase in np.linspace(0, 1, 12, endpoint=False):
        rows = np.flatnonzero(silhouette(without_luggage(3), 90, Moment(float(phase))).max(axis=1) > 0.5)
        assert 258 <= rows.max() <= 273


def test_a_backpack_shows_from_behind_and_hardly_from_the_front() -> None:
    bare = without_luggage(11)
    packed = replace(
        bare,
        carried=replace(bare.carried, bag="backpack", colour=(240.0, 20.0, 200.0)),
        top=replace(bare.top, colour=(20.0, 90.0, 20.0), pattern="plain"),
    )

    def pack_pixels(view: float) -> int:
        canvas = Canvas(160, 280)
        frame = Projection(float(np.radians(view)), 0.15, 250.0, 80.0, 265.0)
        draw_body(Painter(canvas, frame, Light.at(12, 1.0), 0.0), packed, Moment(0.1))
        return int((canvas.colour[..., 0] > 2 * canvas.colour[..., 1] + 0.1).sum())

    assert pack_pixels(180) > 4 * pack_pixels(0)


def test_an_umbrella_stands_above_the_head() -> None:
    dry, wet = (silhouette(without_luggage(2), 0, Moment(0.1, umbrella=rain)) for rain in (False, True))
    assert dry[:4].sum() == 0
    assert wet[:20].max(axis=0).sum() > 40


def test_night_pictures_are_darker_than_noon() -> None:
    noon = [np.asarray(crop(person, 4, hour=12.0), dtype=float) for person in range(8)]
    night = [np.asarray(crop(person, 4, hour=23.0), dtype=float) for person in range(8)]
    assert np.mean(night) < 0.88 * np.mean(noon)


def test_two_crops_of_one_camera_share_its_street_and_another_camera_has_another() -> None:
    def pavement(camera: int, draw: int) -> Values:
        return np.asarray(crop(1, camera, draw=draw), dtype=float)[100:, :10].mean(axis=(0, 1))

    same = np.abs(pavement(4, 1) - pavement(4, 2)).sum()
    other = np.mean([np.abs(pavement(4, 1) - pavement(camera, 1)).sum() for camera in range(5, 12)])
    assert same < other


def test_a_capsule_covers_its_own_area_and_nothing_else() -> None:
    canvas = Canvas(200, 200)
    frame = Projection(0.0, 0.0, 100.0, 100.0, 150.0)
    patch = capsule(canvas, frame, (np.array([-0.5, 0.5, 0.0]), np.array([0.5, 0.5, 0.0])), (0.1, 0.1))
    assert patch is not None
    assert patch.coverage.sum() == pytest.approx(100 * 20 + np.pi * 10**2, rel=0.01)


@settings(max_examples=25, deadline=None)
@given(view=st.floats(-np.pi, np.pi), wide=st.floats(0.05, 0.3), deep=st.floats(0.05, 0.3))
def test_a_turned_tube_is_as_wide_as_its_ellipse_projects(view: float, wide: float, deep: float) -> None:
    canvas = Canvas(200, 200)
    profile = Profile.of([(0.2, wide, deep), (0.6, wide, deep)])
    patch = tube(canvas, Projection(view, 0.0, 200.0, 100.0, 160.0), profile)
    assert patch is not None
    width = patch.coverage[patch.coverage.shape[0] // 2].sum()
    assert width == pytest.approx(2 * 200 * np.hypot(wide * np.cos(view), deep * np.sin(view)), abs=1.0)


def test_a_nearer_surface_hides_a_farther_one_in_either_order() -> None:
    frame = Projection(0.0, 0.0, 100.0, 50.0, 100.0)
    for order in ((0.3, -0.3), (-0.3, 0.3)):
        canvas = Canvas(100, 100)
        for near in order:
            patch = capsule(canvas, frame, (np.array([0, 0.3, near]), np.array([0, 0.7, near])), (0.1, 0.1))
            assert patch is not None
            canvas.blend(patch, np.full((1, 1, 3), 1.0 if near > 0 else 0.25, np.float32))
        assert canvas.colour[50, 50, 0] == 1.0


def test_a_written_data_set_is_read_back_with_its_identities(tmp_path: Path) -> None:
    dataset = read(write_dataset(tmp_path, people=4, cameras=3, per_camera=2, seed=1))
    assert (len(dataset.train), len(dataset.query), len(dataset.gallery)) == (12, 6, 6)
    assert {record.person_id for record in dataset.train}.isdisjoint(record.person_id for record in dataset.query)
    names = [path.name for path in tmp_path.rglob("*.jpg")]
    assert all(re.fullmatch(r"\d{4}_c\ds1_\d{6}_00\.jpg", name) for name in names)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write_dataset(tmp_path / name, 2, 2, 2, seed=5) for name in ("a", "b"))
    for path in first.rglob("*.jpg"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


@pytest.mark.parametrize(("people", "cameras", "per_camera"), [(1, 3, 2), (4, 1, 2), (4, 10, 2), (4, 3, 1)])
def test_a_data_set_nobody_could_search_is_refused(tmp_path: Path, people: int, cameras: int, per_camera: int) -> None:
    with pytest.raises(BadConfig, match="at least|needs"):
        write_dataset(tmp_path, people, cameras, per_camera)
    assert not any(tmp_path.iterdir())


def test_reading_an_empty_folder_names_the_layout(tmp_path: Path) -> None:
    with pytest.raises(BadDataset):
        read(tmp_path)
