"""A bundle's figures on a data set, by the very steps a search takes.

Each query alone goes through Engine.query_features, the gallery through Engine.crop_features (float16, as the store
keeps it), and both orders come out of one Engine.rank: so the figures are those of the search's own hits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..calibration import Situation
from ..contracts import EvalReport, EvalRow, Ranking
from ..data.loaders import crop_batches, photo_of
from ..data.records import Dataset, Record
from ..errors import BadConfig, BadDataset
from ..messages import gettext_noop as _
from .cameras import Cell, camera_pairs, camera_scores
from .hits import Halving, halved, halvings
from .likelihoods import SEEN_FROM, Believed, Said, by_situation, cross_fitted
from .metrics import Figures, Identities, Scores, figures, gathered, intervals, paired_intervals, score
from .names import BY_SITUATION, DIFF_ATTENTION, PLAIN_COSINE, RERANKED
from .observe import Bools, Observed, joined, observe
from .openset import OpenSet, absences, open_set, open_set_by_absence
from .rerank import rerank

KEPT_CELLS = 16_000_000
PAIR_MEMORY = 256
CELL_BYTES = 64  # of all that is made of one pair: two distances, their orders, what matches, precisions

Progress = Callable[[int, int], None]
Float16s = NDArray[np.float16]
Vectors = NDArray[np.float32]


class Ranker(Protocol):
    """What an evaluation asks of an engine: the three steps of a search."""

    def query_features(self, photos: list[Image.Image]) -> NDArray[np.float32]: ...

    def crop_features(self, images: list[Image.Image]) -> Float16s: ...

    def rank(self, query: NDArray[np.float32], features: Float16s, ids: NDArray[np.int64], limit: int) -> Ranking: ...

    def situation(self, query: NDArray[np.float32], rows: int) -> Situation | None: ...

    def absence(self, query: NDArray[np.float32], hits: Float16s) -> float | None: ...


@dataclass(frozen=True)
class Study:
    """A report and what its curves and sheets are drawn from.

    `observed` by row name for the rows that come out of a search, `scores` by row name for all, `believed` by kind of
    calibration, `absent` None where it cannot be measured.
    """

    report: EvalReport
    dataset: Dataset
    scores: dict[str, Scores]
    observed: dict[str, Observed]
    believed: dict[str, Believed]
    absent: OpenSet | None


def evaluate(engine: Ranker, dataset: Dataset, progress: Progress = lambda done, total: None) -> EvalReport:
    """The report of `study`."""
    return study(engine, dataset, progress).report


def study(
    engine: Ranker,
    dataset: Dataset,
    progress: Progress = lambda done, total: None,
    again: bool = False,
    pair_memory: int = PAIR_MEMORY,
) -> Study:
    """Diff attention beside plain cosine on the query and gallery parts of `dataset`; `again` adds re-ranked rows.

    `pair_memory` is the MiB that a tile of queries against the whole gallery may take; it changes no figure.

    `progress(done, total)` counts the pictures, then the rows of the re-ranking. Raises BadDataset where a part is
    empty or a picture is broken, BadConfig where the engine ranks only a shortlist of a gallery of this size.
    """
    if not dataset.query or not dataset.gallery:
        raise BadDataset(_("%(name)s needs query and gallery crops to be evaluated"), name=dataset.name)
    total = len(dataset.query) + len(dataset.gallery)
    if dataset.vectors is None:
        features = gallery_features(engine, dataset.gallery, lambda done: progress(done, total))
    else:
        features = dataset.vectors["gallery"].astype(np.float16)
    cells = (pair_memory << 20) // CELL_BYTES
    tiles = list(_tiles(engine, dataset, features, cells, lambda done: progress(len(dataset.gallery) + done, total)))
    observed = {name: joined([tile.observed[name] for tile in tiles]) for name in (DIFF_ATTENTION, PLAIN_COSINE)}
    scores = {name: found.scores for name, found in observed.items()}
    if again:
        vectors = np.concatenate([tile.vectors for tile in tiles])
        scores |= _reranked(engine, dataset, vectors, features, progress)
    return _study(dataset, tiles, scores, observed)


def rows_of(dataset: Dataset) -> int:
    """How many rows an engine must be willing to score exactly: re-ranking asks for queries and gallery at once."""
    return len(dataset.query) + len(dataset.gallery)


def gallery_features(engine: Ranker, records: tuple[Record, ...], done: Callable[[int], None]) -> Float16s:
    """Features (G, D) float16 of the records' crops, in their order."""
    batches: list[Float16s] = []
    for images in crop_batches(records):
        batches.append(np.asarray(engine.crop_features(images), np.float16))
        done(sum(map(len, batches)))
    return np.concatenate(batches)


@dataclass(frozen=True)
class _Tile:
    """A few queries: what was observed by row name, scores by camera pair, and their features (T, D).

    `said` sums up the likelihoods given; `strangers` (T,) of each query, empty where the engine knows none;
    `absence` (T, 2) with the person in the gallery and without, infinite where no crop is left; `turns` are its hits in
    each halving of the people.
    """

    observed: dict[str, Observed]
    cameras: dict[Cell, Scores]
    vectors: Vectors
    said: Said
    strangers: NDArray[np.float64]
    absence: NDArray[np.float64]
    turns: list[Halving]


def _tiles(
    engine: Ranker, dataset: Dataset, features: Float16s, cells: int, done: Callable[[int], None]
) -> Iterator[_Tile]:
    """Consecutive queries, so many at a time that memory stays bounded."""
    queries, gallery = _identities(dataset.query), _identities(dataset.gallery)
    halves, step = halvings(queries, gallery), max(1, cells // len(gallery))
    for start in range(0, len(queries), step):
        records = dataset.query[start : start + step]
        vectors = _query_vectors(engine, dataset, slice(start, start + step))
        attended, plain, said = _ranked(engine, vectors, features)
        those, turns = queries.rows(start, start + step), [half.rows(start, start + step) for half in halves]
        observed = {
            name: observe(matrix, those, gallery, turns[0])
            for name, matrix in ((DIFF_ATTENTION, attended), (PLAIN_COSINE, plain))
        }
        around = [found for vector in vectors if (found := engine.situation(vector, len(gallery)))]
        yield _Tile(
            observed,
            camera_scores(attended, those, gallery),
            vectors,
            _said(said, attended, those, gallery),
            np.array([found.strangers for found in around], np.float64),
            absences(engine.absence, (vectors, features), attended, _labels(those, gallery)),
            halved(attended, those, gallery, turns),
        )
        done(start + len(records))


def _query_vectors(engine: Ranker, dataset: Dataset, rows: slice) -> Vectors:
    if dataset.vectors is not None:
        return dataset.vectors["query"][rows]
    return np.stack([engine.query_features([photo_of(record)]) for record in dataset.query[rows]])


def distances(engine: Ranker, vectors: Vectors, features: Float16s) -> tuple[Vectors, Vectors]:
    """Queries (T, D) and gallery (G, D) -> (T, G) attended distances and (T, G) plain ones, in the gallery's order.

    The plain distance is that of the directions, sqrt(2 - 2 cosine): the same order as by cosine, on 0..2.
    """
    return _ranked(engine, vectors, features)[:2]


def _ranked(engine: Ranker, vectors: Vectors, features: Float16s) -> tuple[Vectors, Vectors, Vectors]:
    """As `distances`, and the likelihoods (T, G)."""
    rows = [_of_query(engine, vector, features) for vector in vectors]
    attended, cosine, said = (np.stack(matrix) for matrix in zip(*rows, strict=True))
    return attended, np.sqrt(np.clip(2 - 2 * cosine, 0, None)), said


def _labels(queries: Identities, gallery: Identities) -> tuple[Bools, Bools]:
    same = gallery.person_ids == queries.person_ids[:, None]
    return same, same & (gallery.camera_ids == queries.camera_ids[:, None])


def _said(said: Vectors, attended: Vectors, queries: Identities, gallery: Identities) -> Said:
    same, own = _labels(queries, gallery)
    return Said.of(said, attended, same, ~own)


def _of_query(engine: Ranker, vector: Vectors, features: Float16s) -> tuple[Vectors, Vectors, Vectors]:
    """(G,) attended distances, cosines and likelihoods of one query (D,), in the order of the gallery."""
    ids = np.arange(len(features), dtype=np.int64)
    ranking = engine.rank(vector, features, ids, len(ids))
    if len(ranking.ids) != len(ids) or not ranking.exact:
        raise BadConfig(
            _(
                "the engine ranked %(ranked)s of %(all)s crops; an evaluation needs all of them: raise "
                "its exhaustive_rows"
            ),
            ranked=len(ranking.ids),
            all=len(ids),
            option="exhaustive_rows",
        )
    found = np.empty((3, len(ids)), np.float32)
    found[:, ranking.ids] = ranking.distances, ranking.cosine, ranking.likelihoods
    return found[0], found[1], found[2]


def _identities(records: tuple[Record, ...]) -> Identities:
    return Identities.of([record.person_id for record in records], [record.camera_id for record in records])


def _reranked(
    engine: Ranker, dataset: Dataset, vectors: Vectors, features: Float16s, progress: Progress
) -> dict[str, Scores]:
    """Scores of both distances after re-ranking, over queries and gallery together."""
    queries, gallery = _identities(dataset.query), _identities(dataset.gallery)
    everything = np.concatenate([vectors.astype(np.float16), features])
    probes = np.concatenate([vectors, features.astype(np.float32)])
    rows = _Rows(engine, probes, everything)
    found: dict[str, Scores] = {}
    for column, name in enumerate((DIFF_ATTENTION, PLAIN_COSINE)):
        tiles = rerank(partial(rows.of, column), len(queries), len(probes), progress=progress)
        found[name + RERANKED] = gathered(
            score(final, queries.rows(int(tile[0]), int(tile[-1]) + 1), gallery) for tile, final in tiles
        )
    return found


class _Rows:
    """Both distances of some rows to everything; kept where all of them fit in memory, else computed at each call."""

    def __init__(self, engine: Ranker, probes: Vectors, everything: Float16s) -> None:
        self.engine, self.probes, self.everything = engine, probes, everything
        self.kept: tuple[Vectors, Vectors] | None = None
        if len(probes) ** 2 <= KEPT_CELLS:
            self.kept = distances(engine, probes, everything)

    def of(self, column: int, numbers: NDArray[np.int64]) -> Vectors:
        """Rows (T, N) of the attended (0) or the plain (1) distances."""
        if self.kept is not None:
            return self.kept[column][numbers]
        return distances(self.engine, self.probes[numbers], self.everything)[column]


def _study(dataset: Dataset, tiles: list[_Tile], scores: dict[str, Scores], observed: dict[str, Observed]) -> Study:
    attended, cameras = observed[DIFF_ATTENTION], camera_pairs(tile.cameras for tile in tiles)
    believed = cross_fitted(attended.pairs, reduce(add, [tile.said for tile in tiles]))
    absent = open_set(attended)
    strangers = np.concatenate([tile.strangers for tile in tiles])
    turns = [reduce(add, parts) for parts in zip(*(tile.turns for tile in tiles), strict=True)]
    turns = [turn for turn in turns if turn.usable]
    if len(strangers) and believed and turns:
        believed = {BY_SITUATION: by_situation(turns, strangers), **believed}
        evidence = np.concatenate([tile.absence for tile in tiles])
        absent = open_set_by_absence(attended, evidence, [turn.half for turn in turns])
    extra = _intervals(scores) | _believed_facts(believed) | _absent_facts(absent)
    rows = tuple(_row(name, figures(row)) for name, row in scores.items())
    sizes = (len(dataset.query), len(dataset.gallery), attended.scores.skipped)
    return Study(EvalReport(dataset.name, *sizes, rows, extra, cameras), dataset, scores, observed, believed, absent)


def _intervals(scores: dict[str, Scores]) -> dict[str, float]:
    """95% intervals of every row, and of diff attention minus plain cosine."""
    found = {
        f"{name} {figure} {side}": value
        for name, row in scores.items()
        for figure, interval in intervals(row).items()
        for side, value in zip(("low", "high"), interval, strict=True)
    }
    gaps = paired_intervals(scores[DIFF_ATTENTION], scores[PLAIN_COSINE])
    return found | {
        f"gain {figure}{side}": value
        for figure, interval in gaps.items()
        for side, value in zip(("", " low", " high"), interval, strict=True)
    }


def _believed_facts(believed: dict[str, Believed]) -> dict[str, float]:
    """Expected calibration errors by kind, and the shares of same pairs they were measured on."""
    facts = {
        f"calibration {kind} error {over}": measured.error
        for kind, found in believed.items()
        for over in ("every", "likely", "hits")
        if (measured := getattr(found, over)) is not None
    }
    for every in (found.every for found in believed.values() if found.every is not None):
        facts["calibration pairs"] = float(every.pairs.sum())
        facts["calibration same share"] = float((every.pairs * every.share).sum() / every.pairs.sum())
    return facts | ({"calibration likely from": SEEN_FROM} if believed else {})


def _absent_facts(absent: OpenSet | None) -> dict[str, float]:
    if absent is None:
        return {}
    return {
        "open set detected": absent.detected,
        "open set detected low": absent.low,
        "open set detected high": absent.high,
        "open set false alarms": absent.false_alarms,
        "open set threshold": absent.threshold,
    }


def _row(name: str, found: Figures) -> EvalRow:
    return EvalRow(name, found.cmc, found.mean_ap, found.mean_inp)
