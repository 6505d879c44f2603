"""Made rows and weights of the sizes that count; real ones where a figure is about quality, not speed."""

from __future__ import annotations

import io
import os
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.figure import progress
from reid_engine.bundle import SHIPPED
from reid_engine.engine import Engine
from reid_engine.photo import load_crop
from reid_engine.ranking import Attention

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "var" / "benchmarks"
REAL = Path(os.environ.get("REID_DATA", ROOT.parent / "shared" / "data")) / "market1501-451"
BATCH = 256
CHUNK = 1 << 16
CROP_SIZES = ((64, 128), (48, 110), (80, 190), (120, 260))

Features = NDArray[np.float16]
Vector = NDArray[np.float32]


def attention(dim: int, ratio: int, seed: int = 0) -> Attention:
    """Tied weights of the default transform, large enough for the map to vary from pair to pair."""
    rng, hidden = np.random.default_rng(seed), max(1, dim // ratio)
    w1 = rng.standard_normal((hidden, dim), dtype=np.float32) / np.float32(dim**0.5)
    w2 = rng.standard_normal((dim, hidden), dtype=np.float32) * np.float32(2 / hidden**0.5)
    return Attention(w1, w2, 0.7, 0.3, 0.3, 0.1)


def query(dim: int, seed: int = 1) -> Vector:
    """One query vector (D,)."""
    return np.random.default_rng(seed).standard_normal(dim, dtype=np.float32)


def mapped(rows: int, dim: int) -> Features:
    """Rows (N, D) float16 mapped from a file that is made once and kept below var/."""
    path = FOLDER / f"rows-{rows}x{dim}.npy"
    if not path.exists():
        _make(path, rows, dim)
    found: Features = np.load(path, mmap_mode="r")
    return found


@cache
def shipped() -> Engine:
    """The engine of the shipped bundle, as a worker has it."""
    return Engine(SHIPPED)


def real(folder: str) -> Features:
    """Features (N, D) of the real crops in a folder of the data set, by the shipped bundle; kept below var/.

    Raises FileNotFoundError where the data set is not there; REID_DATA names the folder that holds it.
    """
    path = FOLDER / f"{folder}-{shipped().bundle_sha[:12]}.npy"
    if not path.exists():
        _extract(path, sorted((REAL / folder).glob("*.jpg")))
    found: Features = np.load(path)
    return found


def _extract(path: Path, pictures: list[Path]) -> None:
    if not pictures:
        raise FileNotFoundError(f"no crops below {REAL}; set REID_DATA to the folder that holds market1501-451")
    parts = []
    for start in range(0, len(pictures), BATCH):
        progress(f"features of real crops {start:,} of {len(pictures):,}")
        crops = [load_crop(picture.read_bytes()) for picture in pictures[start : start + BATCH]]
        parts.append(shipped().crop_features(crops))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.concatenate(parts))


def _make(path: Path, rows: int, dim: int) -> None:
    """Normal numbers: one block of noise, turned and scaled anew for every chunk; speed does not see the values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((min(rows, CHUNK), dim), dtype=np.float32)
    partial = path.with_suffix(".part")
    target = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=(rows, dim))
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        target[start : start + count] = np.roll(noise, int(rng.integers(dim)), axis=1)[:count] * rng.uniform(0.5, 2)
    target.flush()
    partial.rename(path)


def crops(count: int) -> list[bytes]:
    """JPEG files of usual sizes; what is on them changes little."""
    rng, files = np.random.default_rng(0), []
    for number in range(count):
        width, height = CROP_SIZES[number % len(CROP_SIZES)]
        picture = Image.fromarray(rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        picture.resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files
