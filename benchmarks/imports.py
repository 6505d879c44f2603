"""Row i: import of pictures with features already computed, against copying the same files."""

from __future__ import annotations

import csv
import os
import secrets
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import galleries
from benchmarks.city import DAY, TINY, Size, city_folder, inside_city
from benchmarks.figure import Figure, either
from benchmarks.timing import resident_bytes
from reid_engine.workers import Workers

if TYPE_CHECKING:
    from citysearch.gallery.models import GalleryImport
    from citysearch.research.models import ModelVersion

CAMERAS = 200
KINDS = 512
DECODED = 20_000  # pictures decoded for the ceiling
PIECE = 32


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Pictures per second of `import_gallery --features`, beside a plain copy that reaches the disk, and decoding."""
    count = either(quick, 64, 100_000, rows)
    size = TINY if quick else Size(4, 5, 5, 2, CAMERAS, 2)
    try:
        found = inside_city("imports", size, count=count)
    finally:
        if not quick:  # the next one begins with an empty gallery again
            shutil.rmtree(city_folder(size), ignore_errors=True)
    return Figure(
        "i",
        f"import of {count:,} crops with features already computed",
        "crops/s",
        found.pop("ours"),
        peers={"copying the same files, unread and unchecked, flushed": found.pop("copy")},
        ceiling=found.pop("ceiling"),
        ceiling_is="decoding each picture once on all cores, and nothing else",
        text=(
            f"A CSV manifest of JPEG files of {size.cameras} cameras and an .npy of their features. Every picture is "
            "read, hashed, fully decoded as a check, written under a name of its own and committed 1,024 at a time with"
            " its row; features go from the mapped file into segments. Threads check and write the pictures of a batch "
            "while the one before is committed, so what limits the import is the check, which uses all cores, and what "
            "the interpreter does beside it, a thread at a time: lines of the manifest, names, rows. Its own memory "
            "grows by what is kept of each line of the manifest (0.7 kB), read before the first picture, not by "
            "pictures. Nothing is deleted before the import: a file system without a journal makes files more slowly "
            "for minutes after that."
        ),
        details=found,
    )


def inside(size: Size, count: int) -> dict[str, float]:
    """In a small city: the files, the copy, the import, the import again, and the check alone before and after them."""
    from django.conf import settings

    from citysearch.research.queries import active_model

    version, folder = active_model(), Path(tempfile.mkdtemp(dir=settings.VAR_DIR))
    assert version is not None
    total = _source(folder, count, size, version.dim)
    copy, before = _copied(folder, count), _decoded(folder, count)
    own, seconds = [resident_bytes()["RssAnon"]], []
    for added in (count, 0):
        start = perf_counter()
        row = _imported(folder, version, own)
        seconds.append(perf_counter() - start)
        assert (row.added, row.known) == (added, count - added), row.message
    after = _decoded(folder, count)
    shutil.rmtree(folder)
    half = len(own) // 4
    return {
        "ours": count / seconds[0],
        "ceiling": max(before, after),
        "copy": copy,
        "megabytes of pictures and features a second": total / seconds[0] / 1e6,
        "seconds of the same import again, which stores nothing": seconds[1],
        "megabytes of its own memory before the import": own[0] / 1e6,
        "megabytes of its own memory after a quarter of the first import": own[half] / 1e6,
        "megabytes of its own memory at most": max(own) / 1e6,
    }


def _copied(folder: Path, count: int) -> float:
    """Files a second of a copy that is on the disk at its end."""
    os.sync()
    start = perf_counter()
    shutil.copytree(folder / "crops", folder / "copy")
    os.sync()
    return count / (perf_counter() - start)


def _decoded(folder: Path, count: int) -> float:
    """Pictures a second that are read and checked as the import checks them, on all cores."""
    from reid_engine.photo import crop_size

    names = [f"{folder}/crops/{number}.jpg" for number in range(min(count, DECODED))]
    pieces = [names[start : start + PIECE] for start in range(0, len(names), PIECE)]
    workers = Workers()
    start = perf_counter()
    workers.map(lambda piece: [crop_size(Path(name).read_bytes()) for name in piece], pieces)
    return len(names) / (perf_counter() - start)


def _imported(folder: Path, version: ModelVersion, own: list[int]) -> GalleryImport:
    """The finished import; its memory after each batch is added to `own`."""
    from citysearch.gallery import services
    from citysearch.gallery.featured import FeatureFile

    def watched(_done: int, _total: int) -> None:
        own.append(resident_bytes()["RssAnon"])

    features = FeatureFile(folder / "features.npy", version)
    return services.crops_import(folder / "manifest.csv", "manifest", features=features, progress=watched)


def _source(folder: Path, count: int, size: Size, dim: int) -> int:
    """Pictures that all differ, their manifest and features; returns the bytes of pictures and features."""
    kinds, total, token = galleries.crops(min(KINDS, count)), 0, secrets.token_bytes(8)
    (folder / "crops").mkdir(parents=True)
    with (folder / "manifest.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["path", "camera_code", "captured_at"])
        for number in range(count):
            # Behind the end of the picture: none is known, neither from this import nor from an earlier one.
            data = kinds[number % len(kinds)] + token + number.to_bytes(4, "little")
            (folder / f"crops/{number}.jpg").write_bytes(data)
            moment = DAY + timedelta(seconds=number // size.cameras)
            lines.writerow([f"crops/{number}.jpg", f"cam-{number * size.cameras // count:05d}", moment.isoformat()])
            total += len(data)
    features = np.lib.format.open_memmap(folder / "features.npy", mode="w+", dtype=np.float16, shape=(count, dim))
    for start in range(0, count, galleries.CHUNK):
        features[start : start + galleries.CHUNK] = np.random.default_rng(start).standard_normal(
            (min(galleries.CHUNK, count - start), dim), dtype=np.float32
        )
    features.flush()
    return total + features.nbytes
