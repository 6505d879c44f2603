"""Build the demo city, index it, measure the model on it, remove it.

Everything slow is computed first; then one transaction writes it all. A build that is interrupted leaves nothing, an
indexing that is interrupted goes on at the next run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import shapely
from django.db import transaction
from django.utils import timezone

from citysearch.demo.conditions import indicator_rows, reading_rows
from citysearch.demo.drawing import draw_sample, draw_shootings
from citysearch.demo.facts import Facts, Sample, facts_read, facts_write, samples_folder
from citysearch.demo.layout import CameraPlan, City
from citysearch.demo.plan import ground
from citysearch.demo.queries import demo_city
from citysearch.demo.reel import Shooting, jpeg
from citysearch.demo.users import users_create
from citysearch.demo.walkers import Day
from citysearch.demo.weather import Weather
from citysearch.gallery.adding import BATCH
from citysearch.gallery.files import pictures_remove
from citysearch.gallery.models import Crop
from citysearch.gallery.services import CropItem, crops_add_all, crops_erase, version_index
from citysearch.research.models import ModelVersion
from citysearch.searches.models import Search
from units.models import Camera, Landmark, Level, Road, Unit
from units.queries import cameras_under
from units.services import (
    cameras_add_bulk,
    indicators_add_bulk,
    landmarks_replace,
    readings_add_bulk,
    roads_replace,
    unit_delete,
)
from units.tree import subtree, units_add_bulk

Progress = Callable[[int, int], object]

SAMPLES = 5
EAST = "339903"


@dataclass(frozen=True)
class Drawn:
    """Everything computed before the first row is written."""

    day: Day
    midnight: datetime
    shots: Sequence[Shooting]
    pictures: Sequence[bytes]


def city_build(seed: int, people: int, most_crops: int, progress: Progress | None = None) -> Facts:
    """Build the demo city of this seed with its walkers' crops of yesterday, in one transaction; returns its facts.

    Raises whatever the units and gallery services raise, DiskFull among them, with nothing left behind.
    """
    drawn = city_draw(seed, people, most_crops, progress)
    images: list[str] = []
    try:
        with transaction.atomic():
            city = _units_write(drawn)
            _gallery_write(city, drawn, images)
            facts = _samples_write(drawn)
    except BaseException:
        pictures_remove(images)
        raise
    return facts


def city_draw(
    seed: int,
    people: int,
    most_crops: int,
    progress: Progress | None = None,
    day: date | None = None,
    processes: int = 0,
) -> Drawn:
    """Plan the city, let its people walk through `day` (default: yesterday) and draw what the cameras see."""
    walked = Day(City(seed), people)
    shots = walked.shootings(most_crops)
    headings = [camera.row["heading"] for camera in walked.cameras]
    pictures = draw_shootings(shots, headings, seed, progress, processes)
    return Drawn(walked, _midnight(day or timezone.localdate() - timedelta(days=1)), shots, pictures)


def city_index(version: ModelVersion, progress: Progress | None = None) -> int:
    """Extract the features that are missing; returns how many were."""
    return version_index(version, progress)


def city_remove() -> int:
    """Remove the city: its searches, crops with pictures and features, cameras, units, roads. Returns crops erased.

    Users stay: they may have become somebody's own.
    """
    city = demo_city()
    if city is None:
        return 0
    Search.objects.filter(unit__in=subtree(city).order_by()).delete()
    cameras = cameras_under(city)
    report = crops_erase(Crop.objects.filter(camera__in=cameras.order_by()))
    with transaction.atomic():
        cameras.delete()
        unit_delete(city)
        Road.objects.all().delete()
        Landmark.objects.all().delete()
    for path in samples_folder().glob("*"):
        path.unlink()
    return report.erased["crops"]


def score_note(version: ModelVersion, score: dict[str, float]) -> None:
    """Keep the figures of an evaluation with the city's facts."""
    facts = facts_read()
    if facts is not None:
        facts_write(replace(facts, model=version.sha256, score=score))


def strangers_there() -> bool:
    """Whether this installation holds units or roads that are not the demo's: then it is no place for a demo city."""
    return demo_city() is None and (Unit.objects.exists() or Road.objects.exists())


# Writing


def _units_write(drawn: Drawn) -> Unit:
    plan, seed = drawn.day.city, drawn.day.city.seed
    units = units_add_bulk(plan.unit_rows())
    roads_replace(plan.road_rows())
    landmarks_replace(plan.landmark_rows())
    cameras_add_bulk(camera.row for camera in drawn.day.cameras)
    listed = list(units.values())
    indicators_add_bulk(indicator_rows(listed, _areas(plan), drawn.midnight.year - 1, seed))
    readings_add_bulk(reading_rows(listed, drawn.midnight, Weather.of(seed), seed))
    city = next(unit for unit in listed if unit.level == Level.CITY)
    users_create(city, units[EAST])
    return city


def _areas(plan: City) -> dict[str, float]:
    """{unit code: square kilometres}."""
    return {
        unit.code: shapely.Polygon([ground(corner) for corner in unit.area.rect.ring()]).area / 1e6
        for unit in plan.units
    }


def _gallery_write(city: Unit, drawn: Drawn, images: list[str]) -> None:
    """The crops behind their cameras, stamped by each camera's own clock; `images` notes the files."""
    cameras = {camera.code: camera for camera in cameras_under(city)}
    items: list[tuple[Camera, CropItem]] = []
    for shot, picture in sorted(zip(drawn.shots, drawn.pictures, strict=True), key=lambda pair: pair[0].camera):
        plan = drawn.day.cameras[shot.camera]
        items.append((cameras[plan.row["code"]], _item(plan, shot, picture, drawn.midnight)))
    for start in range(0, len(items), BATCH):
        report = crops_add_all(items[start : start + BATCH])
        images += Crop.objects.filter(pk__in=report.added).values_list("image", flat=True)


def _item(camera: CameraPlan, shot: Shooting, picture: bytes, midnight: datetime) -> CropItem:
    shown = shot.time + camera.row["clock_offset_s"] + camera.clock_error_s
    captured = midnight + timedelta(seconds=round(shown, 2))
    return CropItem(picture, captured, f"{camera.row['code'][-3:]}_{captured:%H%M%S_%f}"[:14] + ".jpg", shot.person)


def _samples_write(drawn: Drawn) -> Facts:
    """Photos of the walkers whom most cameras saw, and the facts that name them."""
    seed, samples = drawn.day.city.seed, []
    folder = samples_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for number, (person, cameras) in enumerate(_most_seen(drawn.shots, SAMPLES), start=1):
        file = f"walker-{number}.jpg"
        (folder / file).write_bytes(jpeg(draw_sample(seed, person), 92))
        samples.append(Sample(file, person, cameras))
    day = timezone.localtime(drawn.midnight).date().isoformat()
    facts = Facts(seed, drawn.day.people, day, len(drawn.shots), tuple(samples))
    facts_write(facts)
    return facts


def _most_seen(shots: Iterable[Shooting], count: int) -> list[tuple[int, int]]:
    """(person, number of cameras) of the people seen by most cameras."""
    pairs: Collection[tuple[int, int]] = {(shot.person, shot.camera) for shot in shots}
    return Counter(person for person, _camera in sorted(pairs)).most_common(count)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=timezone.get_default_timezone())
