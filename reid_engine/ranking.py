"""From one query and many gallery rows to a Ranking: coarse cosine for a large gallery, then exact diff attention.

A gallery is one array of rows, or a Stack of them (segments mapped from disk). Rows go to the workers in
pieces; nothing of size (N, D) is made beside the features. How fast that is: docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reid_engine.attention import Attention as Attention
from reid_engine.calibration import Curve, Situation
from reid_engine.contracts import Ranking
from reid_engine.errors import BundleMismatch
from reid_engine.messages import gettext_noop as _
from reid_engine.scoring import Precision, Score, cosine, scorer, tile_rows
from reid_engine.stack import Stack
from reid_engine.workers import Workers

# Every row is scored while that takes about a quarter of a second on two busy cores at D = 512, less than a
# person waits for; the limit shrinks with the cost of a pair, 2 D h multiply-adds. Above it the coarse stage decides
# who is scored: four rows for each one asked for keep more than 0.99 of what scoring every row finds, however large the
# gallery (docs/performance.md, f), and never fewer than 2,000, which take milliseconds, for bundles that differ more.
EXHAUSTIVE_ROWS = 200_000
EXHAUSTIVE_MULTIPLY_ADDS = EXHAUSTIVE_ROWS * 2 * 512 * 128
SHORTLIST_ROWS = 2_000
SHORTLIST_FACTOR = 4

TILES_A_PIECE = 4  # what one worker takes at a time; tiles are whole, so pieces change no distance
COARSE_BYTES = 1 << 25  # of a piece of the coarse scan
SAMPLE_EVERY = 16

Vector = NDArray[np.float32]
Features = NDArray[np.float16] | Stack
Ids = NDArray[np.int64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ranker:
    """Ranks galleries with the weights and the calibration of one bundle.

    `exhaustive_rows` is the size up to which every row of a gallery is scored; by default the cost of a pair decides.
    """

    attention: Attention
    calibration: Curve
    exhaustive_rows: int | None = None
    workers: Workers = field(default_factory=lambda: Workers(1))
    precision: Precision = "float32"

    def rank(
        self, query: Vector, features: Features, ids: Ids, limit: int, situation: Situation | None = None
    ) -> Ranking:
        """The `limit` nearest of the gallery rows: query (D,), features (N, D), ids (N,) unique.

        Every row is scored when there are at most `exhaustive_rows`; otherwise those most alike by plain cosine are,
        and the ranking says `exact=False`. Equal distances are ordered by id. Raises BundleMismatch for features of
        another size than the bundle's.
        """
        require_sizes(self.attention, query, features)
        rows = self._scored(query, features, limit)
        scored, kept = (features, ids) if rows is None else (features[rows], ids[rows])
        distances = self.distances(query, scored)
        best = _nearest(distances, kept, limit)
        return Ranking(
            ids=np.asarray(kept[best], dtype=np.int64),
            distances=distances[best],
            cosine=_cosines(query, scored, best),
            likelihoods=self.calibration.likelihood(distances[best], situation),
            scanned=len(ids),
            exact=rows is None,
        )

    def distances(self, query: Vector, features: Features) -> Vector:
        """The exact distance of every row: query (D,), features (N, D) -> (N,) float32, on all workers."""
        return self._of_rows(scorer(self.attention, query, self.precision), features, self._piece)

    def prepare(self) -> None:
        """Compile and pack what the first ranking would wait for."""
        nothing = np.zeros((1, self.attention.dim), np.float16)
        self.distances(nothing[0].astype(np.float32), nothing)
        self.most_alike(nothing[0].astype(np.float32), nothing, 1)

    def most_alike(self, query: Vector, features: Features, count: int) -> Rows:
        """The coarse stage: the `count` rows most alike by plain cosine, most alike first, on all workers."""
        return self.most_alike_each(query[None], features, count)[0]

    def most_alike_each(self, queries: Vector, features: Features, count: int) -> list[Rows]:
        """The same for several queries (Q, D) in one visit to the rows."""
        size = max(1, COARSE_BYTES // (2 * queries.shape[1]))
        found = self._of_rows(cosine(queries), features, size).reshape(len(queries), -1)
        return self.workers.map(lambda each: _nearest(-each, np.arange(len(each)), count), found)

    @property
    def _piece(self) -> int:
        return TILES_A_PIECE * tile_rows(self.attention, self.precision)

    def _scored(self, query: Vector, features: Features, limit: int) -> Rows | None:
        """The rows worth the exact distance, ascending: None for all, or the shortlist of a gallery too large."""
        most = exhaustive_rows(self.attention) if self.exhaustive_rows is None else self.exhaustive_rows
        shortlist = shortlist_rows(limit)
        if len(features) <= max(most, shortlist):
            return None
        return np.sort(self.most_alike(query, features, shortlist))

    def _of_rows(self, work: Score, features: Features, size: int) -> Vector:
        """`work` on the rows, shared among the workers in pieces of `size` rows; joined along the last axis."""
        starts = range(0, len(features), size)
        found = self.workers.map(lambda start: work(np.asarray(features[start : start + size])), starts)
        return np.concatenate(found, axis=-1) if found else np.empty(0, np.float32)


def exhaustive_rows(attention: Attention) -> int:
    """Up to so many rows every one is scored: 200,000 at D = 512 and r = 4, fewer where a pair costs more."""
    return max(SHORTLIST_ROWS, min(EXHAUSTIVE_ROWS, EXHAUSTIVE_MULTIPLY_ADDS // (2 * attention.w1.size)))


def shortlist_rows(limit: int) -> int:
    """How many rows the coarse stage hands on where `limit` are asked for."""
    return max(SHORTLIST_ROWS, SHORTLIST_FACTOR * limit)


def exact_distances(
    attention: Attention,
    query: Vector,
    features: Features,
    tile: int | None = None,
    precision: Precision = "float32",
) -> Vector:
    """Diff attention distance of one query to every row: query (D,), features (N, D) -> (N,) float32, on one core.

    0..2 for the euclidean metric (the chord between the attended directions) and for cosine (1 - cos). With
    `precision="bfloat16"` the two matrix products round to 8 bits; everything else stays float32. A row's distance
    does not depend on the rows beside it: units merge exactly.
    """
    return scorer(attention, query, precision, tile)(np.asarray(features))


def cosine_similarities(query: Vector, features: Features) -> Vector:
    """Plain cosine of one query and every row: query (D,), features (N, D) -> (N,) float32, -1..1; 0 for a zero row."""
    return cosine(query[None])(np.asarray(features))[0] if len(features) else np.empty(0, np.float32)


def _cosines(query: Vector, features: Features, best: Rows) -> Vector:
    """Of the rows `best`; where that is every row, in the order they lie in, which is several times faster."""
    if len(best) == len(features):
        return np.asarray(cosine_similarities(query, features)[best], np.float32)
    return cosine_similarities(query, features[best])


def coarse_top(query: Vector, features: Features, k: int) -> tuple[Rows, Vector]:
    """The k rows most alike by plain cosine and their cosines, most alike first; equal ones in order of row."""
    similarities = cosine_similarities(query, features)
    best = _nearest(-similarities, np.arange(len(similarities)), k)
    return best, similarities[best]


def merge(rankings: Sequence[Ranking], limit: int) -> Ranking:
    """The ranking of the union of several galleries from the rankings of each, exactly, cut at `limit`.

    An id ranked twice keeps its smaller distance. Exact because whatever is among the nearest of the union is among the
    nearest of its part, given that each part was cut at `limit` or later.
    """
    ids = np.concatenate([np.empty(0, np.int64), *(ranking.ids for ranking in rankings)])
    distances = _joined([ranking.distances for ranking in rankings])
    order = np.lexsort((ids, distances))
    first_seen = np.sort(np.unique(ids[order], return_index=True)[1])
    best = order[first_seen][:limit]
    return Ranking(
        ids=ids[best],
        distances=distances[best],
        cosine=_joined([ranking.cosine for ranking in rankings])[best],
        likelihoods=_joined([ranking.likelihoods for ranking in rankings])[best],
        scanned=sum(ranking.scanned for ranking in rankings),
        exact=all(ranking.exact for ranking in rankings),
    )


def _joined(parts: Sequence[Vector]) -> Vector:
    return np.concatenate([np.empty(0, np.float32), *parts])


def _nearest(distances: Vector, ids: Ids, limit: int) -> Rows:
    """Positions of the `limit` smallest distances, ascending, ties by id; only the candidates are sorted."""
    if not 0 < limit < len(distances):
        return np.lexsort((ids, distances))[: max(limit, 0)]
    candidates = np.flatnonzero(distances <= _smallest(distances, limit))
    order = np.lexsort((ids[candidates], distances[candidates]))[:limit]
    return np.asarray(candidates[order], dtype=np.int64)


def _smallest(distances: Vector, limit: int) -> np.float32:
    """The `limit`-th smallest: not above that of a sample, so that of many rows only few are partitioned."""
    sample = distances[::SAMPLE_EVERY]
    if len(sample) > limit:
        distances = distances[distances <= np.partition(sample, limit - 1)[limit - 1]]
    return np.float32(np.partition(distances, limit - 1)[limit - 1])


def require_sizes(attention: Attention, query: Vector, features: Features) -> None:
    """Raises BundleMismatch where query (D,) or features (N, D) are not of the bundle's size."""
    found = {query.shape[-1], features.shape[-1]} if len(features) else {query.shape[-1]}
    if found != {attention.dim}:
        text = _("The bundle ranks features of size %(expected)s, given were %(found)s; index the gallery again.")
        raise BundleMismatch(text, expected=attention.dim, found=sorted(found))
