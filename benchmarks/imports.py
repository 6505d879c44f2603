"""Row i: import of pictures with features already computed, against copying the same files."""

from __future__ import annotations

import csv
import os
import shutil
from datetime import timedelta
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks import galleries
from benchmarks.city import DAY, TINY, Size, inside_city
from benchmarks.crop_features import crops
from benchmarks.figure import Figure, either
from benchmarks.timing import resident_bytes

CAMERAS = 200
KINDS = 512


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Pictures per second of `import_gallery --features`, beside a plain copy that reaches the disk as well."""
    count = either(quick, 64, 100_000, rows)
    size = TINY if quick else Size(4, 5, 5, 2, CAMERAS, 2)
    found = inside_city("imports", size, count=count)
    return Figure(
        "i",
        f"import of {count:,} crops with features already computed",
        "crops/s",
        found.pop("ours"),
        ceiling=found.pop("copy"),
        ceiling_is="copying the same files, flushed",
        text=(
            f"A CSV manifest of JPEG files of {size.cameras} cameras and an .npy of their features. Every picture is "
            "read, hashed, fully decoded as a check, written under a name of its own and committed 1,024 at a time with"
            " its row; features go from the mapped file into segments. The rest of the distance to the copy is the "
            "check of the pictures, a flush of the file system for each batch and the rows of the database."
        ),
        details=found,
    )


def inside(size: Size, count: int) -> dict[str, float]:
    """In a small city: the files, the copy, the import, the import again."""
    from django.conf import settings

    from citysearch.gallery import services
    from citysearch.gallery.featured import FeatureFile
    from citysearch.research.queries import active_model

    version, folder = active_model(), Path(settings.VAR_DIR) / "import"
    assert version is not None
    shutil.rmtree(folder, ignore_errors=True)
    total = _source(folder, count, size, version.dim)
    start = perf_counter()
    shutil.copytree(folder / "crops", folder / "copy")
    os.sync()
    copy = perf_counter() - start
    shutil.rmtree(folder / "copy")
    own, seconds = [resident_bytes()["RssAnon"]], []

    def watched(_done: int, _total: int) -> None:
        own.append(resident_bytes()["RssAnon"])

    for _ in range(2):
        start = perf_counter()
        features = FeatureFile(folder / "features.npy", version)
        row = services.crops_import(folder / "manifest.csv", "manifest", features=features, progress=watched)
        seconds.append(perf_counter() - start)
        assert row.added + row.known == count, row.message
    shutil.rmtree(folder)
    half = len(own) // 4
    return {
        "ours": count / seconds[0],
        "copy": count / copy,
        "megabytes of pictures and features a second": total / seconds[0] / 1e6,
        "seconds of the same import again, which stores nothing": seconds[1],
        "megabytes of its own memory after a quarter of the first import": own[half] / 1e6,
        "megabytes of its own memory at most": max(own) / 1e6,
    }


def _source(folder: Path, count: int, size: Size, dim: int) -> int:
    """Pictures that all differ, their manifest and features; returns the bytes of pictures and features."""
    kinds, total = crops(min(KINDS, count)), 0
    (folder / "crops").mkdir(parents=True)
    with (folder / "manifest.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["path", "camera_code", "captured_at"])
        for number in range(count):
            data = kinds[number % len(kinds)] + number.to_bytes(4, "little")  # behind the end of the picture
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
