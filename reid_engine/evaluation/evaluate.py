"""A bundle's figures on a data set, by the very steps a search takes.

Each query alone goes through Engine.query_features, the gallery through Engine.crop_features (float16, as the store
keeps it), and both orders come out of one Engine.rank: so the figures are those of the search's own hits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..contracts import EvalReport, EvalRow, Ranking
from ..data.loaders import crop_batches, photo_of
from ..data.records import Dataset, Record
from ..errors import BadConfig, BadDataset
from .metrics import TILE_CELLS, Figures, Identities, Scores, figures, gathered, intervals, score_tile

DIFF_ATTENTION = "diff attention"
PLAIN_COSINE = "plain cosine"

Progress = Callable[[int, int], None]
Float16s = NDArray[np.float16]


class Ranker(Protocol):
    """What an evaluation asks of an engine: the three steps of a search."""

    def query_features(self, photos: list[Image.Image]) -> NDArray[np.float32]: ...

    def crop_features(self, images: list[Image.Image]) -> Float16s: ...

    def rank(self, query: NDArray[np.float32], features: Float16s, ids: NDArray[np.int64], limit: int) -> Ranking: ...


def evaluate(engine: Ranker, dataset: Dataset, progress: Progress = lambda done, total: None) -> EvalReport:
    """Diff attention beside plain cosine on the query and gallery parts of `dataset`, with 95% intervals in `extra`.

    `progress(done, total)` counts the pictures. Raises BadDataset where a part is empty or a picture is broken,
    BadConfig where the engine ranks only a shortlist of a gallery of this size.
    """
    if not dataset.query or not dataset.gallery:
        raise BadDataset(f"{dataset.name} needs query and gallery crops to be evaluated", name=dataset.name)
    total = len(dataset.query) + len(dataset.gallery)
    features = gallery_features(engine, dataset.gallery, lambda done: progress(done, total))
    tiles = list(_tiles(engine, dataset, features, lambda done: progress(len(dataset.gallery) + done, total)))
    attended, plain = gathered(first for first, _ in tiles), gathered(second for _, second in tiles)
    return _report(dataset, {DIFF_ATTENTION: attended, PLAIN_COSINE: plain})


def gallery_features(engine: Ranker, records: tuple[Record, ...], done: Callable[[int], None]) -> Float16s:
    """Features (G, D) float16 of the records' crops, in their order."""
    batches: list[Float16s] = []
    for images in crop_batches(records):
        batches.append(np.asarray(engine.crop_features(images), np.float16))
        done(sum(map(len, batches)))
    return np.concatenate(batches)


def _tiles(
    engine: Ranker, dataset: Dataset, features: Float16s, done: Callable[[int], None],
) -> Iterator[tuple[Scores, Scores]]:
    """(diff attention, plain cosine) scores of consecutive queries, so many at a time that memory stays bounded."""
    gallery = _identities(dataset.gallery)
    step = max(1, TILE_CELLS // len(gallery))
    for start in range(0, len(dataset.query), step):
        records = dataset.query[start : start + step]
        rows = [_distances(engine, record, features) for record in records]
        attended, plain = (np.stack(matrix) for matrix in zip(*rows, strict=True))
        queries = _identities(records)
        yield score_tile(attended, queries, gallery), score_tile(plain, queries, gallery)
        done(start + len(records))


def _distances(
    engine: Ranker, record: Record, features: Float16s,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(G,) attended distances and (G,) negated cosines of one query, in the order of the gallery."""
    ids = np.arange(len(features), dtype=np.int64)
    ranking = engine.rank(engine.query_features([photo_of(record)]), features, ids, len(ids))
    if len(ranking.ids) != len(ids) or not ranking.exact:
        raise BadConfig(
            f"the engine ranked {len(ranking.ids)} of {len(ids)} crops; an evaluation needs all of them: "
            "raise its exhaustive_rows", option="exhaustive_rows",
        )
    attended, plain = np.empty(len(ids), np.float32), np.empty(len(ids), np.float32)
    attended[ranking.ids], plain[ranking.ids] = ranking.distances, -ranking.cosine
    return attended, plain


def _identities(records: tuple[Record, ...]) -> Identities:
    return Identities.of([record.person_id for record in records], [record.camera_id for record in records])


def _report(dataset: Dataset, scores: dict[str, Scores]) -> EvalReport:
    extra = {
        f"{name} {figure} {side}": value
        for name, row in scores.items()
        for figure, interval in intervals(row).items()
        for side, value in zip(("low", "high"), interval, strict=True)
    }
    rows = tuple(_row(name, figures(row)) for name, row in scores.items())
    skipped = scores[DIFF_ATTENTION].skipped
    return EvalReport(dataset.name, len(dataset.query), len(dataset.gallery), skipped, rows, extra)


def _row(name: str, found: Figures) -> EvalRow:
    return EvalRow(name, found.cmc, found.mean_ap, found.mean_inp)
