"""A made city of any size with a gallery of made features, kept below var/, and work done inside of it.

What needs Django runs in a process of its own, over this city's database and store: `inside_city` starts it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from benchmarks import galleries

READY = "city.json"
WEST, SOUTH = 118.0, 32.0
SIDE = 0.5  # degrees
PICTURES = 40
FOLLOWED = 3_000  # rows of the person whom the searches look for
DAY = datetime(2026, 3, 1, tzinfo=UTC)
ROADS = 60
PASSWORD = "benchmark-city"


@dataclass(frozen=True)
class Size:
    """Children of each unit from the city down to the regions, grids in each region, cameras, crops a camera."""

    districts: int = 10
    streets: int = 10
    regions: int = 10
    grids: int = 43
    cameras: int = 20_000
    crops: int = 50


FULL = Size()
TINY = Size(2, 2, 2, 2, 16, 6)


def inside_city(work: str, size: Size, **options: Any) -> dict[str, float]:
    """What `benchmarks.<work>.inside(size, **options)` measures in a process with the city's database and store."""
    _process(size, {"work": None, "size": asdict(size)})
    return _process(size, {"work": work, "size": asdict(size), "options": options})


def city_folder(size: Size) -> Path:
    """Where a made city with its database, store and pictures is kept."""
    return galleries.FOLDER / f"city-{size.cameras}x{size.crops}"


def _process(size: Size, wanted: dict[str, Any]) -> dict[str, float]:
    """What `main` answers in a process of its own: one that measures has not built the city as well."""
    environment = os.environ | {
        "VAR_DIR": str(city_folder(size)), "DJANGO_SETTINGS_MODULE": "citysearch.settings", "LOG_LEVEL": "WARNING",
        "TASKS_EAGER": "true", "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
    }  # fmt: skip
    environment.pop("DATABASE_URL", None)
    command = [sys.executable, "-m", "benchmarks.city", json.dumps(wanted)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return cast(dict[str, float], json.loads(done.stdout.splitlines()[-1]))


def main(wanted: str) -> None:
    """The other process: do the work and print what it measured as JSON; without a work, build the city."""
    import importlib

    import django

    django.setup()
    asked = json.loads(wanted)
    size = Size(**asked["size"])
    if asked["work"] is None:
        build(size)
        print("{}")
        return
    module = importlib.import_module(f"benchmarks.{asked['work']}")
    print(json.dumps(module.inside(size, **asked["options"])))


def build(size: Size) -> None:
    """Units, streets, cameras, crops and their features; once."""
    from django.conf import settings
    from django.core.management import call_command

    ready = Path(settings.VAR_DIR) / READY
    if ready.exists():
        call_command("migrate", verbosity=0)
        return
    print(f"  building a city of {size.cameras:,} cameras ...", file=sys.stderr, flush=True)
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    Path(settings.DATABASES["default"]["NAME"]).unlink(missing_ok=True)
    call_command("migrate", verbosity=0)
    grids = _units(size)
    _roads()
    cameras = _cameras(size, grids)
    _crops(size, cameras, _pictures())
    _users()
    ready.write_text(json.dumps(asdict(size)))


def query_photo() -> bytes:
    """A photo of the person whose crops are in the gallery."""
    from citysearch.demo.drawing import draw_sample
    from reid_engine.photo import encode_jpeg

    return encode_jpeg(draw_sample(7, 0))


def _units(size: Size) -> list[dict[str, Any]]:
    from units.tree import units_add_bulk

    rows: list[dict[str, Any]] = [_unit(None, 1, "B", (WEST, SOUTH, SIDE, SIDE))]
    level = rows
    for depth, (across, down) in enumerate([_split(size.districts), _split(size.streets), _split(size.regions)], 2):
        level = [row for above in level for row in _below(above, depth, across, down)]
        rows += level
    grids = [row for above in level for row in _below(above, 5, size.grids, 1)]
    units_add_bulk([{k: v for k, v in row.items() if k != "box"} for row in rows + grids])
    return grids


def _split(count: int) -> tuple[int, int]:
    down = next(n for n in range(int(count**0.5), 0, -1) if count % n == 0)
    return count // down, down


def _below(above: dict[str, Any], level: int, across: int, down: int) -> Iterator[dict[str, Any]]:
    west, south, width, height = above["box"]
    for n in range(across * down):
        x, y = n % across, n // across
        box = (west + x * width / across, south + y * height / down, width / across, height / down)
        yield _unit(above["key"], level, f"{above['key']}-{n + 1}", box)


def _unit(parent: str | None, level: int, key: str, box: tuple[float, float, float, float]) -> dict[str, Any]:
    west, south, east, north = box[0], box[1], box[0] + box[2], box[1] + box[3]
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "key": key, "parent_key": parent, "name": f"Unit {key}", "level": level, "code": key, "free_code": True,
        "polygon": {"type": "Polygon", "coordinates": [ring]}, "box": box,
    }  # fmt: skip


def _roads() -> None:
    from units.services import roads_replace

    step = SIDE / ROADS
    at = [[[WEST + x * step, SOUTH + y * step] for y in range(ROADS + 1)] for x in range(ROADS + 1)]
    east = [[at[x][y], at[x + 1][y]] for x in range(ROADS) for y in range(ROADS + 1)]
    north = [[at[x][y], at[x][y + 1]] for x in range(ROADS + 1) for y in range(ROADS)]
    roads_replace({"line": line} for line in east + north)


def _cameras(size: Size, grids: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """(id, unit id) of the cameras, spread evenly over the grids, in the order of the tree."""
    from units.models import Camera, Unit

    units = dict(Unit.objects.filter(level=5).values_list("code", "pk"))
    rng = np.random.default_rng(1)
    rows = []
    for n in range(size.cameras):
        grid = grids[n * len(grids) // size.cameras]
        west, south, width, height = grid["box"]
        x, y = rng.uniform(0.1, 0.9, 2)
        rows.append(
            Camera(
                unit_id=units[grid["code"]],
                code=f"cam-{n:05d}",
                free_code=True,
                name=f"Camera {n:05d}",
                longitude=west + x * width,
                latitude=south + y * height,
                heading=float(rng.uniform(0, 360)),
            )  # fmt: skip
        )
    Camera.objects.bulk_create(rows, batch_size=500)
    return list(Camera.objects.order_by("pk").values_list("pk", "unit_id"))


def _pictures() -> list[tuple[str, NDArray[np.float32]]]:
    """Rendered people: the path of the crop's picture, and the feature the shipped bundle gives it."""
    from django.conf import settings

    from citysearch.demo.drawing import draw_sample
    from citysearch.engine import engine_of
    from citysearch.research.services import model_activate, model_register
    from reid_engine.photo import encode_jpeg

    version = model_activate(model_register(settings.BUNDLE), anyway=True)
    people = [draw_sample(7, number).resize((64, 128)) for number in range(PICTURES)]
    folder = Path(settings.MEDIA_ROOT) / "crops"
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(people):
        (folder / f"{number}.jpg").write_bytes(encode_jpeg(picture, 90))
    features = engine_of(version).crop_features(people).astype(np.float32)
    return [(f"crops/{number}.jpg", row) for number, row in enumerate(features)]


def _crops(size: Size, cameras: list[tuple[int, int]], pictures: list[tuple[str, NDArray[np.float32]]]) -> None:
    """Rows and segments camera by camera; some rows of the first person lie before cameras all over the city."""
    from citysearch.gallery.counting import counts_check
    from citysearch.gallery.indexing import segment_create, segment_store
    from citysearch.research.queries import active_model

    version, store, rng = active_model(), segment_store(), np.random.default_rng(2)
    total = size.cameras * size.crops
    people = rng.integers(1, PICTURES, total)
    people[rng.choice(total, min(FOLLOWED, total // 4), replace=False)] = 0
    bases = np.stack([row for _image, row in pictures])
    assert version is not None
    with _without_flushing():
        for number, (camera, _unit) in enumerate(cameras):
            ids = np.arange(number * size.crops, (number + 1) * size.crops) + 1
            seen_at = DAY.timestamp() + np.sort(rng.uniform(0, 86_400, size.crops))
            who = people[ids - 1]
            _rows_write(camera, ids, seen_at, [pictures[n][0] for n in who])
            facts = store.write(version.model_key, camera, ids, seen_at, _near(bases[who], rng))
            segment_create(camera, version, facts)
        counts_check()


def _near(bases: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float16]:
    """Each feature with noise of its own strength: crops of one person are more and less alike."""
    length = np.linalg.norm(bases, axis=1, keepdims=True) / bases.shape[1] ** 0.5
    noise = rng.standard_normal(bases.shape, dtype=np.float32) * length
    return (bases + noise * rng.uniform(0.1, 0.9, (len(bases), 1))).astype(np.float16)


def _rows_write(camera: int, ids: NDArray[np.int64], seen_at: NDArray[np.float64], images: list[str]) -> None:
    from citysearch.gallery.models import Crop

    Crop.objects.bulk_create(
        Crop(
            pk=int(pk), camera_id=camera, sha256=f"{pk:064x}", image=image, width=64, height=128,
            captured_at=DAY + timedelta(seconds=moment - DAY.timestamp()),
        )
        for pk, moment, image in zip(ids, seen_at.tolist(), images, strict=True)
    )  # fmt: skip


def _users() -> None:
    from django.contrib.auth import get_user_model

    get_user_model().objects.create_superuser("bench", password=PASSWORD)


@contextmanager
def _without_flushing() -> Iterator[None]:
    """A city that is lost is built again: one transaction, no fsync."""
    from django.db import transaction

    with mock.patch("os.fsync"), transaction.atomic():
        yield


if __name__ == "__main__":
    main(sys.argv[1])
