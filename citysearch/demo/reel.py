"""What one camera shot in a day, and its drawing. No Django: this is what the drawing processes load."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from functools import cache
from io import BytesIO

import numpy as np
from PIL import Image

from citysearch.demo.weather import Weather
from reid_engine.data.synthetic import CameraLook, Light, Person, Shot, random_moment, render_person

QUALITY = 90


@dataclass(frozen=True)
class Shooting:
    """One crop to be drawn: who, which camera (by number), when (true time), how seen, how large."""

    person: int
    camera: int
    time: float
    view: float
    walking: bool
    height: int
    seed: int


@dataclass(frozen=True)
class Reel:
    """Everything one camera shot: plain values only, so that it travels to another process."""

    look: CameraLook
    seed: int
    weather: Weather
    shots: tuple[Shooting, ...]


@cache
def person_of(seed: int, number: int) -> Person:
    """The appearance of the walker `number` in the city of `seed`."""
    return Person.from_seed(seed * 10_000 + number)


def jpeg(picture: Image.Image, quality: int = QUALITY) -> bytes:
    """The picture as JPEG bytes."""
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def draw_reel(reel: Reel) -> list[bytes]:
    """The JPEG of each of its shots, in order."""
    return [jpeg(_draw(reel, shot)) for shot in reel.shots]


def ignore_interrupt() -> None:
    """Ctrl-C reaches every process of the terminal; only the parent acts on it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _draw(reel: Reel, shot: Shooting) -> Image.Image:
    rng = np.random.default_rng(shot.seed)
    rain, cloud = reel.weather.at(shot.time)
    light = Light.at(shot.time / 3600, cloud, reel.look.bearing)
    moment = random_moment(rng, shot.walking, umbrella=rain > 0 and shot.person % 3 != 0)
    person = person_of(reel.seed, shot.person)
    return render_person(person, rng, Shot(reel.look, light, shot.view, moment), (shot.height // 2, shot.height))
