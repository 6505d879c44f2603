"""A small deterministic engine, people painted in two colours, and a gallery of them in the real store."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from django.conf import settings
from django.utils import timezone
from PIL import Image

from citysearch.gallery.models import Crop
from citysearch.gallery.services import CropItem, crops_add_bulk, index_cameras
from citysearch.research.models import ModelVersion
from citysearch.searches.models import Search
from reid_engine.contracts import Ranking

DIM = 24
NOON = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)


class PaintEngine:
    """Features are the colours of a picture's six bands; ranking is the real diff attention with a neutral module."""

    dim = DIM
    bundle_sha = "f" * 64

    def __init__(self) -> None:
        self.before_rank: Callable[[], None] | None = None
        self.extracted = 0
        self.most: int | None = None
        self.exhaustive_rows = 200_000
        self.told: list[int | None] = []

    def crop_features(self, images: Sequence[Image.Image]) -> np.ndarray:
        return np.stack([bands(image) for image in images]).astype(np.float16)

    def query_features(self, photos: Sequence[Image.Image]) -> np.ndarray:
        self.extracted += 1
        return np.mean([bands(photo) for photo in photos], axis=0).astype(np.float32)

    def rank(
        self, query: np.ndarray, features: np.ndarray, ids: np.ndarray, limit: int, among: int | None = None
    ) -> Ranking:
        if self.before_rank:
            self.before_rank()
        self.told.append(among)
        return replace(neutral_ranker(), exhaustive_rows=self.most).rank(query, features, ids, limit)

    def absence(self, query: np.ndarray, hits: np.ndarray) -> float | None:
        from reid_engine.absence import absence

        return absence(query, hits, passers_by())


@cache
def passers_by() -> np.ndarray:
    """(200, DIM) directions of people who are in no gallery."""
    from reid_engine.calibration import directions

    return directions(np.stack([bands(painted(person)) for person in range(5000, 5200)]))


@cache
def neutral_ranker() -> Any:
    """Diff attention with W2 = 0: the same weight everywhere, which is the plain order."""
    from reid_engine.calibration import Calibration
    from reid_engine.ranking import Attention, Ranker

    w1, w2 = np.zeros((4, DIM), np.float32), np.zeros((DIM, 4), np.float32)
    return Ranker(Attention(w1, w2, 1.0, 0.0, 0.0, 0.0), Calibration(10.0, -3.0))


def bands(image: Image.Image) -> np.ndarray:
    """(24,) mean colours of eight bands, centred and scaled so that different people point in different directions."""
    small = np.asarray(image.resize((8, 16), Image.Resampling.BOX), dtype=np.float64)
    return (small.reshape(8, 2, 8, 3).mean(axis=(1, 2)).reshape(-1) - 127.5) / 64


def painted(person: int, shot: int = 0, size: tuple[int, int] = (64, 128)) -> Image.Image:
    """Person number `person`: a column of eight colours; every shot is a little different."""
    colours = np.random.default_rng(1000 + person).integers(0, 256, (8, 1, 3))
    noise = np.random.default_rng(7000 + 100 * person + shot).normal(0, 12, (8, 4, 3))
    rows = np.clip(colours + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(rows).resize(size, Image.Resampling.NEAREST)


def photo_of(person: int, shot: int = 99, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    painted(person, shot).save(buffer, format, **options)
    return buffer.getvalue()


def upload(data: bytes, name: str = "photo.png") -> io.BytesIO:
    file = io.BytesIO(data)
    file.name = name
    return file


def make_version(name: str = "paint", state: str = "active", sha256: str = "f" * 64) -> ModelVersion:
    return ModelVersion.objects.create(
        name=name, sha256=sha256, bundle=f"models/{name}.reid", dim=DIM, backbone="paint", state=state
    )


def walk(cameras: Sequence[Any], people: Sequence[int], shots: int = 3) -> None:
    """Everyone passes before every camera, half an hour apart, and leaves `shots` crops a second apart at each."""
    for number, camera in enumerate(cameras):
        items = [
            CropItem(
                photo_of(person, 10 * number + shot),
                NOON + timedelta(seconds=1800 * number + 60 * person + shot + camera.clock_offset_s),
                f"{person:04d}_c{number + 1}s1_{shot:06d}_00.jpg",
                person,
            )
            for person in people
            for shot in range(shots)
        ]
        crops_add_bulk(camera, items)


def index(cameras: Sequence[Any], version: ModelVersion) -> None:
    index_cameras([camera.pk for camera in cameras], version)


def store_vectors(camera: Any, version: ModelVersion, features: np.ndarray, start: datetime = NOON) -> list[int]:
    """Crops without pictures whose features are given: rows and a committed segment; their ids in order."""
    from citysearch.gallery.counting import counts_add
    from citysearch.gallery.models import Segment
    from reid_engine.store import SegmentStore

    moments = [start + timedelta(seconds=90 * n) for n in range(len(features))]
    crops = Crop.objects.bulk_create(
        Crop(
            camera=camera,
            sha256=f"{camera.pk}-{moment.timestamp()}",
            image="",
            captured_at=moment,
            width=64,
            height=128,
        )
        for moment in moments
    )
    counts_add(crops)
    ids = [crop.pk for crop in crops]
    seen_at = np.array([moment.timestamp() for moment in moments])
    facts = SegmentStore(settings.STORE_DIR).write(version.model_key, camera.pk, np.array(ids), seen_at, features)
    Segment.objects.create(
        camera=camera, model_version=version, path=facts.path, rows=facts.rows, sha256=facts.sha256,
        start=facts.start, end=facts.end,
    )  # fmt: skip
    return ids


class Queue(list[tuple[str, object]]):
    """What was sent, in order, instead of a broker; `run` delivers it."""

    def run(self) -> None:
        from citysearch.searches import tasks

        while self:
            name, argument = self.pop(0)
            getattr(tasks, name.removeprefix("searches.")).run(argument)

    def names(self) -> list[str]:
        return [name.removeprefix("searches.") for name, _argument in self]


def outcome(search: Search) -> tuple[Any, ...]:
    search.refresh_from_db()
    hits = list(search.candidates.order_by("distance", "crop_id").values_list("crop_id", "distance", "sighting"))
    return search.state, search.counts, search.trajectory, hits


def let_time_pass(search: Search, seconds: float = 3600) -> None:
    past = timezone.now() - timedelta(seconds=seconds)
    Search.objects.filter(pk=search.pk).update(heartbeat_at=past, created_at=past)
