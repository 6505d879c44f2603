"""What the gallery's tests share: made pictures, a small honest extractor, a model version over it."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection
from numpy.typing import NDArray
from PIL import Image

from citysearch.gallery.services import CropItem, crops_add_bulk

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


def picture(seed: int, size: tuple[int, int] = (48, 96), form: str = "JPEG") -> bytes:
    """The bytes of a small picture of blurred noise; another seed is another picture."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, size=(6, 3, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(buffer, form)
    return buffer.getvalue()


def items(count: int, start: int = 0) -> list[CropItem]:
    """One picture a second from noon on."""
    seeds = range(start, start + count)
    return [CropItem(picture(seed), NOON + timedelta(seconds=seed), f"{seed}.jpg") for seed in seeds]


Queued = list[tuple[str, tuple[Any, ...]]]


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> Queued:
    """(task, arguments) of what would have been queued, instead of a broker to queue it."""
    queued: Queued = []
    monkeypatch.setattr(
        "celery.app.task.Task.apply_async", lambda task, args, **options: queued.append((task.name, tuple(args)))
    )
    return queued


@pytest.fixture
def broker_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be queued."""
    from kombu.exceptions import OperationalError

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("celery.app.task.Task.apply_async", refuse)


class TinyExtractor:
    """Mean colour in a 4 x 2 raster, 24 numbers: deterministic, and close for pictures that look alike."""

    def __init__(self) -> None:
        self.seen = 0

    def crop_features(self, images: list[Image.Image]) -> NDArray[np.float16]:
        self.seen += len(images)
        small = [np.asarray(image.resize((2, 4), Image.Resampling.BOX), dtype=np.float32) for image in images]
        return (np.stack(small).reshape(len(images), -1) / 255).astype(np.float16)


@pytest.fixture
def extractor() -> TinyExtractor:
    return TinyExtractor()


@pytest.fixture
def engine_is(monkeypatch: pytest.MonkeyPatch, extractor: TinyExtractor) -> TinyExtractor:
    """Whoever opens the door to the engine finds the tiny extractor."""
    monkeypatch.setattr("citysearch.engine.engine_of", lambda version: extractor)
    return extractor


def make_version(name: str, state: str = "active") -> Any:
    from citysearch.research.models import ModelVersion

    return ModelVersion.objects.create(
        name=name, sha256=(name * 64)[:64], bundle=f"models/{name}.reid", dim=24, backbone="tiny", state=state
    )


@pytest.fixture
def version(db: None) -> Any:
    return make_version("tiny")


@pytest.fixture
def filled(cameras: list[Any]) -> list[Any]:
    """Six crops behind cam-1, four behind cam-3; returns the cameras."""
    crops_add_bulk(cameras[0], items(6))
    crops_add_bulk(cameras[2], items(4, start=100))
    return cameras


@pytest.fixture
def file_database(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """The tables in a file, as in a real installation.

    The suite's SQLite lives in memory behind a shared cache, which refuses a second writer at once instead of letting
    it wait. Ask for this first: rows made before it are copied, too.
    """
    if connection.vendor != "sqlite":
        yield
        return
    path, name, memory = tmp_path / "copy.sqlite3", connection.settings_dict["NAME"], connection.connection
    connection.cursor().execute(f"VACUUM INTO '{path}'")
    connection.connection, connection.settings_dict["NAME"] = None, str(path)
    yield
    connection.close()
    connection.connection, connection.settings_dict["NAME"] = memory, name


def at_once(work: Callable[[], object], count: int = 2) -> None:
    """Run `work` in some threads together and re-raise the first error."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
