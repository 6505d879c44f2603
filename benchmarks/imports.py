"""Row i: import of pictures with features already computed, against copying the same files."""

from __future__ import annotations

import csv
import multiprocessing
import os
import resource
import secrets
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import galleries
from benchmarks.city import DAY, TINY, Size, city_folder, inside_city
from benchmarks.figure import Figure, either
from benchmarks.timing import resident_bytes

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
        peers={
            "copying the same files, unchecked, flushed at the end": found.pop("copy"),
            "copying them, flushed every 1,024 files, as rows that are committed need it": found.pop("flushed"),
        },
        ceiling=found.pop("ceiling"),
        ceiling_is="reading and checking each picture once, a process a core, and nothing else",
        text=(
            f"A CSV manifest of JPEG files of {size.cameras} cameras and an .npy of their features. Every picture is "
            "read, hashed, fully decoded as a check (a JPEG at an eighth of its size: all of its codes, few of its "
            "pixels), written under a name of its own and committed 1,024 at a time with its row; features go from the "
            "mapped file into segments. Writers, a process a core, check and write the pictures of two batches while "
            "the ones before are flushed and committed, for threads of one interpreter would wait for each other at "
            "every file. What limits the import is what writers and the import itself have to compute on the same "
            "cores. Where each picture is of another camera than the one before, a batch touches a thousand folders, "
            "and a thousand pages of the database's indexes, instead of a few, and all of them are written. The memory "
            "is that of the import and its writers; it grows by the text of the manifest, read before the first "
            "picture, and not by pictures. The copies "
            "are made before and after the imports, and what is said of them is their mean. Nothing is deleted before "
            "the import: a file system without a journal makes files more slowly for minutes after that."
        ),
        details=found,
    )


def inside(size: Size, count: int) -> dict[str, float]:
    """In a small city: the files, the import, the import again, and before and after them the copies and the check."""
    from django.conf import settings

    from citysearch.research.queries import active_model

    version, folder = active_model(), Path(tempfile.mkdtemp(dir=settings.VAR_DIR))
    assert version is not None
    total = _source(folder, count, size, version.dim)
    copies, before = [_copies(folder, count)], _decoded(folder, count)
    own, seconds, computed = [resident_bytes()["RssAnon"]], [], [_computed()]
    for added in (count, 0):
        start = perf_counter()
        row = _imported(folder, version, own)
        seconds.append(perf_counter() - start)
        computed.append(_computed())
        assert (row.added, row.known) == (added, count - added), row.message
    copies.append(_copies(folder, count))
    copy, flushed = (2 * count / sum(both) for both in zip(*copies, strict=True))
    after, mixed = _decoded(folder, count), _mixed(count, size, version)
    shutil.rmtree(folder)
    half = len(own) // 4
    return {
        "crops a second where each picture is of another camera than the one before": mixed,
        "ours": count / seconds[0],
        "ceiling": max(before, after),
        "copy": copy,
        "flushed": flushed,
        "megabytes of pictures and features a second": total / seconds[0] / 1e6,
        "seconds of the same import again, which stores nothing": seconds[1],
        "microseconds of computing a crop, in the import itself": (computed[1][0] - computed[0][0]) / count * 1e6,
        "microseconds of computing a crop, in its writers": (computed[1][1] - computed[0][1]) / count * 1e6,
        "megabytes of its own memory before the import": own[0] / 1e6,
        "megabytes of its own memory after a quarter of the first import": own[half] / 1e6,
        "megabytes of its own memory at most": max(own) / 1e6,
    }


def _mixed(count: int, size: Size, version: ModelVersion) -> float:
    """Pictures a second of an import in the order of time, as a city is exported, instead of camera by camera."""
    from django.conf import settings

    folder = Path(tempfile.mkdtemp(dir=settings.VAR_DIR))
    _source(folder, count, size, version.dim, mixed=True)
    os.sync()
    start = perf_counter()
    row = _imported(folder, version, [])
    seconds = perf_counter() - start
    assert row.added == count, row.message
    shutil.rmtree(folder)
    return count / seconds


def _copies(folder: Path, count: int) -> tuple[float, float]:
    """Seconds of both copies, which are removed only with the folder: deletions would make the import slower."""
    target = Path(tempfile.mkdtemp(dir=folder))
    return _copied(folder / "crops", target / "whole"), _copied_in_batches(folder / "crops", target / "batches", count)


def _copied(source: Path, target: Path) -> float:
    """Seconds of a copy that is on the disk at its end."""
    os.sync()
    start = perf_counter()
    shutil.copytree(source, target)
    os.sync()
    return perf_counter() - start


def _copied_in_batches(source: Path, target: Path, count: int) -> float:
    """Seconds of a copy that is on the disk every so many files, as rows that are committed need it."""
    from citysearch.gallery.adding import BATCH
    from citysearch.gallery.files import pictures_flush

    names = sorted(path.name for path in source.iterdir())
    target.mkdir()
    start = perf_counter()
    for first in range(0, count, BATCH):
        for name in names[first : first + BATCH]:
            shutil.copyfile(source / name, target / name)
        pictures_flush()
    return perf_counter() - start


def _decoded(folder: Path, count: int) -> float:
    """Pictures a second that are read and checked as the import checks them, by a process a core."""
    names = [f"{folder}/crops/{number}.jpg" for number in range(min(count, DECODED))]
    pieces = [names[start : start + PIECE] for start in range(0, len(names), PIECE)]
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_checked, [names[:PIECE]] * 4 * cores))  # they are started now
        start = perf_counter()
        list(pool.map(_checked, pieces))
        return len(names) / (perf_counter() - start)


def _checked(names: list[str]) -> None:
    from reid_engine.photo import crop_size

    for name in names:
        crop_size(Path(name).read_bytes())


def _imported(folder: Path, version: ModelVersion, own: list[int]) -> GalleryImport:
    """The finished import; its memory after each batch, that of its writers included, is added to `own`."""
    from citysearch.gallery import services
    from citysearch.gallery.featured import FeatureFile

    def watched(_done: int, _total: int) -> None:
        own.append(sum(resident_bytes(pid)["RssAnon"] for pid in ("self", *_writers())))

    features = FeatureFile(folder / "features.npy", version)
    return services.crops_import(folder / "manifest.csv", "manifest", features=features, progress=watched)


def _writers() -> list[str]:
    """The process ids of the import's writers."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [pid for pid in children if b"reid_engine.picture_writer" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def _computed() -> tuple[float, float]:
    """Seconds that the cores worked for this process so far, and for those that it started and saw ending."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return used[0].ru_utime + used[0].ru_stime, used[1].ru_utime + used[1].ru_stime


def _source(folder: Path, count: int, size: Size, dim: int, mixed: bool = False) -> int:
    """Pictures that all differ, their manifest and features; returns the bytes of pictures and features."""
    kinds, total, token = galleries.crops(min(KINDS, count)), 0, secrets.token_hex(4).encode()
    (folder / "crops").mkdir(parents=True)
    with (folder / "manifest.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["path", "camera_code", "captured_at"])
        for number in range(count):
            # Behind the end of the picture: none is known, neither from this import nor from an earlier one.
            data = kinds[number % len(kinds)] + token + b"%08d" % number
            (folder / f"crops/{number}.jpg").write_bytes(data)
            moment = DAY + timedelta(seconds=number // size.cameras)
            camera = number % size.cameras if mixed else number * size.cameras // count
            lines.writerow([f"crops/{number}.jpg", f"cam-{camera:05d}", moment.isoformat()])
            total += len(data)
    features = np.lib.format.open_memmap(folder / "features.npy", mode="w+", dtype=np.float16, shape=(count, dim))
    for start in range(0, count, galleries.CHUNK):
        features[start : start + galleries.CHUNK] = np.random.default_rng(start).standard_normal(
            (min(galleries.CHUNK, count - start), dim), dtype=np.float32
        )
    features.flush()
    return total + features.nbytes
