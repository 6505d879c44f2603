"""The crops of a day drawn by the renderer, camera by camera, on as many processes as the machine has cores."""

from __future__ import annotations

import multiprocessing
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import numpy as np
from PIL import Image

from citysearch.demo.reel import Reel, Shooting, draw_reel, ignore_interrupt, person_of
from citysearch.demo.weather import Weather
from reid_engine.data.synthetic import CameraLook, Light, Shot, random_moment, render_person

Progress = Callable[[int, int], object]
Mapped = Callable[[Callable[[Reel], list[bytes]], Iterable[Reel]], Iterable[list[bytes]]]

PROCESSES_MAX, SHOTS_PER_PROCESS = 8, 150  # fewer are drawn before another process has started
SAMPLE_SIZE = (192, 384)


def draw_shootings(
    shots: Sequence[Shooting],
    headings: Sequence[float],
    seed: int,
    progress: Progress | None = None,
    processes: int = 0,
) -> list[bytes]:
    """The JPEG of each shooting, in order. `headings` (degrees) by camera number; 0 processes = as many as pay.

    Which process draws what changes nothing: every crop has a seed of its own.
    """
    numbers: dict[int, list[int]] = defaultdict(list)
    for number, shot in enumerate(shots):
        numbers[shot.camera].append(number)
    reels = [_reel(camera, headings[camera], seed, [shots[n] for n in own]) for camera, own in numbers.items()]
    drawn: list[bytes] = [b""] * len(shots)
    done = 0
    with _mapper(processes or _worthwhile(len(shots))) as mapped:
        for own, pictures in zip(numbers.values(), mapped(draw_reel, reels), strict=True):
            for number, picture in zip(own, pictures, strict=True):
                drawn[number] = picture
            done += len(own)
            if progress:
                progress(done, len(shots))
    return drawn


def draw_sample(seed: int, number: int) -> Image.Image:
    """A photo of a walker as a passer-by might take it: larger and sharper than any camera of the city."""
    rng = np.random.default_rng([seed, number, 0x5A])
    look = CameraLook.clean(seed * 1_000 + 900 + number)
    light = Light.at(11.0, 0.55, look.bearing)
    shot = Shot(look, light, float(rng.uniform(-40, 40)), random_moment(rng), crowd=0.0, sloppiness=0.5)
    return render_person(person_of(seed, number), rng, shot, SAMPLE_SIZE)


def _reel(camera: int, heading: float, seed: int, shots: Sequence[Shooting]) -> Reel:
    return Reel(CameraLook.from_seed(seed * 1_000 + camera, heading), seed, Weather.of(seed), tuple(shots))


def _worthwhile(shots: int) -> int:
    """How many processes to draw on."""
    return max(1, min(PROCESSES_MAX, os.cpu_count() or 1, shots // SHOTS_PER_PROCESS))


@contextmanager
def _mapper(processes: int) -> Iterator[Mapped]:
    """`map` over processes of their own (spawned: no database connection is shared), or in this one for one core."""
    if processes == 1:
        yield map
        return
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), ignore_interrupt)
    try:
        yield pool.map
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
