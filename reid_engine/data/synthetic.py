"""Rendered pedestrians: crops as a surveillance camera would leave them, drawn by our own code from seeds.

`render_person` draws one crop; `write_dataset` writes a Market-1501 style folder of them for training tests and
evaluation, and `read` reads it. Identity is known by construction, so that answers can be checked, and no real person
is in any picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from reid_engine.data.market1501 import Rules, read_folders
from reid_engine.data.records import PARTS, Dataset, Part
from reid_engine.data.rendering.appearance import Person
from reid_engine.data.rendering.body import Gesture, Moment
from reid_engine.data.rendering.crop import Shot, render_person
from reid_engine.data.rendering.light import Light
from reid_engine.data.rendering.scene import CameraLook
from reid_engine.errors import BadConfig

from ..messages import gettext_noop as _

__all__ = ["CameraLook", "Light", "Moment", "Person", "Shot", "random_moment", "read", "render_person", "write_dataset"]

_WALKING: dict[Gesture, float] = {"swing": 0.8, "phone": 0.09, "call": 0.03, "pockets": 0.08}
_STANDING: dict[Gesture, float] = {"swing": 0.4, "phone": 0.35, "call": 0.05, "pockets": 0.2}


def random_moment(rng: np.random.Generator, walking: bool = True, umbrella: bool = False) -> Moment:
    """A moment of a walk or a stay: gait phase, now and then a telephone or hands in the pockets."""
    chances = _WALKING if walking else _STANDING
    gesture = list(chances)[int(rng.choice(len(chances), p=list(chances.values())))]
    return Moment(float(rng.random()), walking, gesture, umbrella, float(rng.normal(0, 0.06)))


def write_dataset(root: Path, people: int, cameras: int, per_camera: int, seed: int = 0) -> Path:
    """Write a Market-1501 style folder of rendered people under `root` and return it.

    Half of the people (rounded up) go to `bounding_box_train`; of the others, every camera's first crop is a query and
    the rest the gallery (`bounding_box_test`). Names are `0001_c1s1_000001_00.jpg`. Raises BadConfig when a query could
    find nothing (fewer than 2 people, 2 cameras or 2 crops per camera) or when a number would not fit the name.
    """
    if not 2 <= people <= 9999 or not 2 <= cameras <= 9 or not 2 <= per_camera <= 99:
        raise BadConfig(
            _(
                "a rendered data set needs 2 to 9999 people, 2 to 9 cameras and 2 to 99 crops per "
                "camera, got %(people)s, %(cameras)s and %(per_camera)s"
            ),
            people=people,
            cameras=cameras,
            per_camera=per_camera,
        )
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, picture in _dataset_crops(people, cameras, per_camera, seed):
        picture.save(root / name, "JPEG", quality=92)
    return root


def read(root: Path | str, needs: Iterable[Part] = PARTS) -> Dataset:
    """The rendered data set at `root`, as `write_dataset` laid it out. Raises BadDataset showing the layout."""
    return read_folders(Path(root), tuple(needs), "synthetic", Rules())


def _dataset_crops(people: int, cameras: int, per_camera: int, seed: int) -> Iterator[tuple[str, Image.Image]]:
    """Pairs (relative name, picture) in a fixed order; each crop has a generator of its own."""
    for number in range(1, people + 1):
        person = Person.from_seed(seed * 100_000 + number)
        for camera in range(1, cameras + 1):
            for index in range(per_camera):
                name = f"{_split(number, people, index)}/{number:04d}_c{camera}s1_{number * 100 + index:06d}_00.jpg"
                rng = np.random.default_rng([seed, number, camera, index])
                yield name, _dataset_crop(person, CameraLook.from_seed(seed * 1_000 + camera), rng)


def _dataset_crop(person: Person, look: CameraLook, rng: np.random.Generator) -> Image.Image:
    light = Light.at(float(rng.uniform(7.0, 19.5)), float(rng.random()), look.bearing)
    return render_person(person, rng, Shot(look, light, float(rng.uniform(0, 360)), random_moment(rng)))


def _split(number: int, people: int, index: int) -> str:
    if number <= (people + 1) // 2:
        return "bounding_box_train"
    return "query" if index == 0 else "bounding_box_test"
