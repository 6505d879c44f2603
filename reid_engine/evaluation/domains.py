"""One model before cameras it knows and others: the data set's own, one not trained on, altered ones, rendered ones.

Nothing but the validation part and the renderer is needed. What is altered is fixed by the camera's number: a gamma, a
colour cast, a contrast and a resolution of its own, so that two cameras differ more than they did.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import bundle
from ..augment import coarsened
from ..data import synthetic
from ..data.records import Dataset
from ..models.reid_model import ReidModel
from ..training.crops import Crops, decode
from ..training.validate import Held, attended_distances, held, plain_distances
from .folder import writing
from .metrics import Identities, Scores, gathered, intervals, paired_intervals, score
from .names import DIFF_ATTENTION, PLAIN_COSINE

SEEN, UNSEEN, ALTERED, CITY = "seen cameras", "unseen camera", "altered cameras", "rendered city"
DOMAINS = (SEEN, UNSEEN, ALTERED, CITY)
CITY_CAMERAS, CITY_CROPS, CITY_SEED = 6, 3, 77
CITY_PEOPLE = 60
GAMMA, CAST, CONTRAST, RESOLUTION = (0.65, 1.5), (0.8, 1.2), (0.6, 1.1), (1 / 3, 1 / 2, 1.0)
COLUMNS = ("first_rank", "ap", "inp", "person_ids")

Pair = tuple[Crops, Crops]
Seen = tuple[Held, Held]
Rows = dict[str, dict[str, Scores]]


@dataclass(frozen=True)
class Domains:
    """Query and gallery crops of the data set, altered, and of the renderer's city.

    `unseen` is the number of a camera that took no part in training, 0 where there is none.
    """

    own: Pair
    altered: Pair
    city: Pair
    unseen: int = 0

    @classmethod
    def of(cls, dataset: Dataset, unseen: int, size: tuple[int, int], folder: Path, people: int) -> Domains:
        """Decodes all; `people` of the city are drawn into `folder` unless they are there. Raises BadDataset."""
        own = decode(dataset.query, *size), decode(dataset.gallery, *size)
        if not folder.exists():
            synthetic.write_dataset(folder, 2 * people, CITY_CAMERAS, CITY_CROPS, CITY_SEED)
        drawn = synthetic.read(folder)
        city = decode(drawn.query, *size), decode(drawn.gallery, *size)
        return cls(own, (altered(own[0]), altered(own[1])), city, unseen)

    def scores(self, model: ReidModel, attended: bool = False) -> dict[str, Scores]:
        """By domain, under plain cosine or under the model's diff attention; plain and mirrored views averaged."""
        return self.judged(self.seen_by(model), model if attended else None)

    def seen_by(self, model: ReidModel) -> list[Seen]:
        """The features of own, altered and rendered crops, plain and mirrored views averaged."""
        pairs = (self.own, self.altered, self.city)
        return [(held(model, query, flip=True), held(model, gallery, flip=True)) for query, gallery in pairs]

    def judged(self, seen: list[Seen], attended: ReidModel | None) -> dict[str, Scores]:
        """By domain, under plain cosine or under that model's diff attention."""
        own, other, city = (_measured(pair, attended) for pair in seen)
        found = {SEEN: _between(*own, self.unseen, (False, False)), ALTERED: score(*other), CITY: score(*city)}
        if self.unseen:
            across = (_between(*own, self.unseen, sides) for sides in ((True, False), (False, True)))
            found[UNSEEN] = gathered(across)
        return {domain: found[domain] for domain in DOMAINS if domain in found}


def keep_scores(path: Path, scores: dict[str, Scores]) -> None:
    """One file of all domains' scores, written whole. Raises ReportUnwritten."""
    columns = {f"{domain}/{name}": getattr(part, name) for domain, part in scores.items() for name in COLUMNS}
    partial = path.with_suffix(".part.npz")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(partial, **columns)
        partial.replace(path)


def joined_scores(paths: list[Path]) -> dict[str, Scores]:
    """The scores of some files as one, file after file: {domain: Scores}."""
    stored = [dict(np.load(path)) for path in paths]
    return {domain: gathered(_scores(part, domain) for part in stored) for domain in DOMAINS}


def _scores(stored: dict[str, Any], domain: str) -> Scores:
    first, ap, inp, people = (stored[f"{domain}/{name}"] for name in COLUMNS)
    return Scores(first, ap, inp, people, 0)


def altered(crops: Crops) -> Crops:
    """The same crops, each camera's with colours, contrast and resolution of its own."""
    images = crops.images.clone()
    for camera in np.unique(crops.camera_ids):
        rows = torch.from_numpy(np.flatnonzero(crops.camera_ids == camera))
        images[rows] = _seen_by(int(camera), images[rows])
    return replace(crops, images=images)


def _seen_by(camera: int, images: torch.Tensor) -> torch.Tensor:
    """uint8 (N, 3, H, W) as another camera of this number records it."""
    rng = np.random.default_rng([camera, 0xCA])
    gamma, contrast, cast = rng.uniform(*GAMMA), rng.uniform(*CONTRAST), rng.uniform(*CAST, size=(3, 1, 1))
    changed = (images / 255 * torch.from_numpy(cast).float()).clamp(0, 1) ** gamma
    changed = (changed.mean() + (changed - changed.mean()) * contrast).clamp(0, 1)
    factor = float(rng.choice(RESOLUTION))
    return torch.stack([coarsened(image, factor) for image in changed]).mul(255).round().to(torch.uint8)


def _measured(seen: Seen, attended: ReidModel | None) -> tuple[NDArray[np.float32], Identities, Identities]:
    query, gallery = seen
    distances = attended_distances(query, gallery, attended.attention) if attended else plain_distances(query, gallery)
    return distances, _identities(query), _identities(gallery)


def _identities(part: Held) -> Identities:
    return Identities.of(part.person_ids, part.camera_ids)


def _between(
    distances: NDArray[np.float32], queries: Identities, gallery: Identities, unseen: int, sides: tuple[bool, bool]
) -> Scores:
    """The scores where query and gallery crop are of the unseen camera (True) or of the others (False)."""
    rows, columns = ((part.camera_ids == unseen) == side for part, side in zip((queries, gallery), sides, strict=True))
    some = (
        Identities(part.person_ids[kept], part.camera_ids[kept]) for part, kept in ((queries, rows), (gallery, columns))
    )
    return score(distances[np.ix_(rows, columns)], *some)


def domain_rows(paths: list[Path], dataset: Dataset, city: Path) -> Rows:
    """Bundles before their own, altered and rendered cameras: {"name, plain cosine": {domain: Scores}}, and attended.

    The rendered city is drawn into `city` unless it is there. Raises BadBundle, BadDataset.
    """
    rows: Rows = {}
    for path in paths:
        read = bundle.read(path)
        size = int(read.manifest["preprocessing"]["height"]), int(read.manifest["preprocessing"]["width"])
        domains, model = Domains.of(dataset, 0, size, city, CITY_PEOPLE), read.model()
        seen = domains.seen_by(model)
        for attended, name in ((None, PLAIN_COSINE), (model, DIFF_ATTENTION)):
            rows[f"{path.stem}, {name}"] = domains.judged(seen, attended)
    return rows


def domains_markdown(rows: Rows) -> str:
    """The rows of `domain_rows`; each after the first with its gain on the first, over the same people."""
    return "\n".join(table_lines(rows, next(iter(rows), ""))) + "\n"


def table_lines(rows: Rows, base: str) -> list[str]:
    """Markdown, percent, 95% intervals (people drawn with replacement); all rows but `base` with their gain on it."""
    first = rows.get(base, {})
    domains = list(next(iter(rows.values()), {}))
    head = ["| mAP, % | " + " | ".join(domains) + " |", "|---" * (len(domains) + 1) + "|"]
    cells = {
        name: [_cell(part, None if name == base else first.get(domain)) for domain, part in scores.items()]
        for name, scores in rows.items()
    }
    return head + [f"| {name} | " + " | ".join(row) + " |" for name, row in cells.items()]


def _cell(scores: Scores, base: Scores | None) -> str:
    mean = f"{100 * scores.mean_ap:.1f}"
    if base is None:
        low, high = intervals(scores)["mean_ap"]
        return f"{mean} ({100 * low:.1f} to {100 * high:.1f})"
    gap, low, high = (100 * value for value in paired_intervals(scores, base)["mean_ap"])
    mark = "**" if low > 0 or high < 0 else ""
    return f"{mean} {mark}{gap:+.1f}{mark} ({low:+.1f} to {high:+.1f})"
