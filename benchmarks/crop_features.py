"""Row h: features from crops, from the bytes of the files to what the store keeps."""

from __future__ import annotations

import io
import os
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks import galleries
from benchmarks.figure import Figure, either, progress
from benchmarks.timing import Work, interleaved
from reid_engine.bundle import SHIPPED, read
from reid_engine.engine import Engine
from reid_engine.photo import load_crop
from reid_engine.preprocessing import normalised
from reid_engine.workers import Workers

CROPS_PER_SECOND = 100
PLAIN_BATCH = 64
CHUNK = 32  # as indexing takes them


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Crops per second as indexing does it, and how much of the time goes before the network."""
    count, engine = either(quick, 16, 512, rows), galleries.shipped()
    views = engine.manifest["preprocessing"]["views"]
    files = galleries.crops(count)
    progress(f"features of {count} crops")
    works: dict[str, Work] = {
        "ours": partial(as_indexed, engine, files),
        "decode": lambda: [load_crop(data) for data in files],
        "before": partial(before_network, engine, files, Workers()),
        "plain": partial(plainly, files),
    }
    best = interleaved(works, 3)
    return Figure(
        "h",
        f"features from crops with the shipped bundle, p = {engine.dim}",
        "crops/s",
        count / best["ours"],
        target=CROPS_PER_SECOND,
        peers={"the framework's plain loop": count / best["plain"]},
        text=(
            f"JPEG bytes in, float16 features out, the mean over the bundle's {len(views)} views, as indexing does it: "
            "checked and decoded, resized, normalised, embedded. The plain loop is Pillow, torchvision's transforms "
            f"and the model in batches of {PLAIN_BATCH} with torch's own threads; it checks nothing."
        ),
        details={
            "share of the time before the network, at most 0.2 wanted": best["before"] / best["ours"],
            "crops decoded and checked per second": count / best["decode"],
            "largest difference of a feature from the plain loop's, of its length": difference(engine, files),
        },
    )


def as_indexed(engine: Engine, files: list[bytes]) -> NDArray[np.float16]:
    """What citysearch.gallery.indexing does with the pictures of one camera, chunk by chunk."""
    starts = range(0, len(files), CHUNK)
    chunks = ([load_crop(data) for data in files[start : start + CHUNK]] for start in starts)
    return np.concatenate([engine.crop_features(chunk) for chunk in chunks])


def before_network(engine: Engine, files: list[bytes], workers: Workers) -> None:
    """All that comes before the network: decoded one by one, resized and normalised on the workers."""
    for start in range(0, len(files), CHUNK):
        images = [load_crop(data) for data in files[start : start + CHUNK]]
        parts = [images[first : first + engine.batch] for first in range(0, len(images), engine.batch)]
        workers.map(lambda part: normalised(part, engine.manifest["preprocessing"]), parts)


@torch.inference_mode()
def plainly(files: list[bytes]) -> NDArray[np.float32]:
    """The loop one writes first."""
    from torchvision import transforms

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    bundle = read(SHIPPED)
    settings, model = bundle.manifest["preprocessing"], bundle.model()
    size = (settings["height"], settings["width"])
    prepare = transforms.Compose(
        [transforms.Resize(size), transforms.ToTensor(), transforms.Normalize(settings["mean"], settings["std"])]
    )
    found = []
    for start in range(0, len(files), PLAIN_BATCH):
        some = files[start : start + PLAIN_BATCH]
        batch = torch.stack([prepare(Image.open(io.BytesIO(data)).convert("RGB")) for data in some])
        views = [batch.flip(3) if view == "flip" else batch for view in settings["views"]]
        found.append(torch.stack([model(view) for view in views]).mean(0).numpy())
    return np.concatenate(found)


def difference(engine: Engine, files: list[bytes]) -> float:
    """How far apart our features and the plain loop's are, at most, as a share of their length."""
    few = files[:64]
    ours, plain = as_indexed(engine, few).astype(np.float32), plainly(few)
    return float((np.linalg.norm(ours - plain, axis=1) / np.linalg.norm(plain, axis=1)).max())
