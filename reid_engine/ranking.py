"""From one query and many gallery rows to a Ranking: coarse cosine for a large gallery, then exact diff attention.

Rows are scored in tiles that stay in the processor's cache; nothing of size (N, D) is made beside the features.
Measured in float32 at D = 512, r = 4, tiles of 512 rows, one thread on an AMD EPYC (Zen 5) that others used as well:
115,000 to 267,000 pairs per second of processor time, mostly below 165,000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reid_engine.calibration import Curve
from reid_engine.contracts import Ranking
from reid_engine.errors import BundleMismatch
from reid_engine.stack import Stack
from reid_engine.workers import Workers

if TYPE_CHECKING:
    from reid_engine.models.diff_attention import DiffAttention

# Every row is scored while that takes about a quarter of a second on two cores at D = 512, which is less than a person
# waits for; the limit shrinks with the cost of a pair, 2 D h multiply-adds. Above it the coarse stage decides who is
# scored: at least 2,000 rows, some forty times what an operator looks at, and four times what is asked for.
EXHAUSTIVE_ROWS = 50_000
EXHAUSTIVE_MULTIPLY_ADDS = EXHAUSTIVE_ROWS * 2 * 512 * 128
SHORTLIST_ROWS = 2_000
SHORTLIST_FACTOR = 4

TILE_ON_CPU = 512  # three float32 matrices of 512 x 512 fill, and fit, the second-level cache and its neighbour
TILE_ON_GPU = 16_384
TILES_A_PIECE = 4  # what one worker takes at a time; tiles are whole, so pieces change no distance
EPS = 1e-12

Vector = NDArray[np.float32]
Features = NDArray[np.float16] | Stack
Ids = NDArray[np.int64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Attention:
    """The weights of diff attention as plain tensors: w1 (h, D), w2 (D, h), four scalars, three options.

    f = w_d T(g - q) + w_q q + w_g g + b;  A = activation(w2 relu(w1 f));  D(A*q, A*g), both normalised (method.md, 1).
    """

    w1: Tensor
    w2: Tensor
    w_d: float
    w_q: float
    w_g: float
    b: float
    transform: str = "abs"
    activation: str = "sigmoid"
    metric: str = "euclidean"

    @classmethod
    def of(cls, module: DiffAttention) -> Attention:
        """The weights of a trained module, float32, on the module's device."""
        w_d, w_q, w_g, b = (float(scalar.detach()) for scalar in module.scalars())
        w1, w2 = (layer.weight.detach().float() for layer in (module.reduce, module.expand))
        return cls(w1, w2, w_d, w_q, w_g, b, module.transform, module.activation, module.metric)

    @property
    def dim(self) -> int:
        return self.w1.shape[1]

    @property
    def exhaustive_rows(self) -> int:
        """Up to so many rows every one is scored: 50,000 at D = 512 and r = 4, fewer where a pair costs more."""
        return max(SHORTLIST_ROWS, min(EXHAUSTIVE_ROWS, EXHAUSTIVE_MULTIPLY_ADDS // (2 * self.w1.numel())))

    @property
    def tile(self) -> int:
        """How many rows are scored at a time where the weights are."""
        return TILE_ON_CPU if self.w1.device.type == "cpu" else TILE_ON_GPU

    @cached_property
    def columns(self) -> tuple[Tensor, Tensor]:
        """w1 and w2 transposed and contiguous, as the products over rows need them."""
        return self.w1.t().contiguous(), self.w2.t().contiguous()


@dataclass(frozen=True, eq=False)
class Ranker:
    """Ranks galleries with the weights and the calibration of one bundle.

    `exhaustive_rows` is the size up to which every row of a gallery is scored; by default the cost of a pair decides.
    """

    attention: Attention
    calibration: Curve
    exhaustive_rows: int | None = None
    workers: Workers = field(default_factory=lambda: Workers(1))

    def rank(self, query: Vector, features: Features, ids: Ids, limit: int) -> Ranking:
        """The `limit` nearest of the gallery rows: query (D,), features (N, D), ids (N,) unique.

        Every row is scored when there are at most `exhaustive_rows`; otherwise those most alike by plain cosine are,
        and the ranking says `exact=False`. Equal distances are ordered by id. Raises BundleMismatch for features of
        another size than the bundle's.
        """
        _check_sizes(self.attention, query, features)
        rows = self._scored(query, features, limit)
        exact = len(rows) == len(features)
        scored = features if exact else features[rows]
        distances = self.distances(query, scored)
        best = _nearest(distances, ids[rows], limit)
        return Ranking(
            ids=np.asarray(ids[rows[best]], dtype=np.int64),
            distances=distances[best],
            cosine=cosine_similarities(query, features[rows[best]]),
            likelihoods=self.calibration.likelihood(distances[best]),
            scanned=len(features),
            exact=exact,
        )

    def distances(self, query: Vector, features: Features) -> Vector:
        """The exact distance of every row: query (D,), features (N, D) -> (N,) float32, on all workers."""
        return self._of_rows(partial(exact_distances, self.attention, query), features)

    def most_alike(self, query: Vector, features: Features, count: int) -> Rows:
        """The coarse stage: the `count` rows most alike by plain cosine, most alike first, on all workers."""
        cosine = self._of_rows(partial(cosine_similarities, query), features)
        return _nearest(-cosine, np.arange(len(cosine)), count)

    def _scored(self, query: Vector, features: Features, limit: int) -> Rows:
        """The rows worth the exact distance: all of them, or the shortlist of a gallery too large for that."""
        most = self.attention.exhaustive_rows if self.exhaustive_rows is None else self.exhaustive_rows
        shortlist = max(SHORTLIST_ROWS, SHORTLIST_FACTOR * limit)
        if len(features) <= max(most, shortlist):
            return np.arange(len(features))
        return np.sort(self.most_alike(query, features, shortlist))

    def _of_rows(self, work: Callable[[Features], Vector], features: Features) -> Vector:
        """`work` on the rows, shared among the workers in pieces of whole tiles."""
        size = TILES_A_PIECE * self.attention.tile
        starts = range(0, len(features), size)
        return _joined(self.workers.map(lambda start: work(features[start : start + size]), starts))


@torch.inference_mode()
def exact_distances(
    attention: Attention,
    query: Vector,
    features: Features,
    tile: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> Vector:
    """Diff attention distance of one query to every row: query (D,), features (N, D) -> (N,) float32.

    0..2 for the euclidean metric (the chord between the attended directions) and for cosine (1 - cos). With
    `dtype=torch.bfloat16` the two matrix products round to 8 bits; everything else stays float32. Tiles are padded to
    their full size, so that a row's distance does not depend on the rows beside it: units merge exactly.
    """
    device = attention.w1.device
    size = tile or attention.tile
    q = torch.from_numpy(np.array(query, dtype=np.float32)).to(device)
    scorer = _Scorer(attention, q, dtype)
    found = [scorer.distances(rows)[:count].cpu() for rows, count in _tiles(features, size, device)]
    return np.asarray(torch.cat(found).numpy()) if found else np.empty(0, np.float32)


def cosine_similarities(query: Vector, features: Features, tile: int = TILES_A_PIECE * TILE_ON_CPU) -> Vector:
    """Plain cosine of one query and every row: query (D,), features (N, D) -> (N,) float32, -1..1; 0 for a zero row."""
    direction = torch.from_numpy(np.array(query, dtype=np.float32))
    direction = direction / direction.norm().clamp_min(EPS)
    found = np.empty(len(features), np.float32)
    for start in range(0, len(features), tile):
        rows = torch.from_numpy(np.array(features[start : start + tile])).float()
        found[start : start + len(rows)] = (rows @ direction / rows.norm(dim=1).clamp_min(EPS)).numpy()
    return found


def coarse_top(query: Vector, features: Features, k: int) -> tuple[Rows, Vector]:
    """The k rows most alike by plain cosine and their cosines, most alike first; equal ones in order of row."""
    cosine = cosine_similarities(query, features)
    best = _nearest(-cosine, np.arange(len(cosine)), k)
    return best, cosine[best]


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


class _Scorer:
    """One query against tiles of rows: what depends on the query alone is computed once."""

    def __init__(self, attention: Attention, query: Tensor, dtype: torch.dtype) -> None:
        self.attention, self.query = attention, query
        self.reduce, self.expand = (layer.to(dtype) for layer in attention.columns)
        self.constant = ((attention.w_q * query + attention.b) @ attention.columns[0]).to(dtype)
        self.query_squared = query.square()

    def distances(self, rows: Tensor) -> Tensor:
        """rows (T, D) float32 -> (T,). w1 (w_q q + b) is the same for all rows and enters as the product's constant."""
        gap = rows - self.query
        weights = self._squared_map(gap, rows)
        query_square = weights @ self.query_squared
        row_square = (rows.square() * weights).sum(1)
        gap_square = gap.square_().mul_(weights).sum(1)
        return self._from_squares(query_square, row_square, gap_square)

    def _squared_map(self, gap: Tensor, rows: Tensor) -> Tensor:
        """A * A (T, D): all three sums need the map only squared."""
        mixed = torch.add(self._transformed(gap).mul_(self.attention.w_d), rows, alpha=self.attention.w_g)
        hidden = torch.addmm(self.constant, mixed.to(self.reduce.dtype), self.reduce).relu_()
        logits = (hidden @ self.expand).float()
        return (logits.sigmoid_() if self.attention.activation == "sigmoid" else logits).square_()

    def _transformed(self, gap: Tensor) -> Tensor:
        if self.attention.transform == "abs":
            return gap.abs()
        return gap.square() if self.attention.transform == "squ" else gap.clone()

    def _from_squares(self, query_square: Tensor, row_square: Tensor, gap_square: Tensor) -> Tensor:
        """|Aq|^2, |Ag|^2 and |A(g - q)|^2 -> distance of the two directions.

        |u - v|^2 = (|a - b|^2 - (|a| - |b|)^2) / (|a| |b|) for u = a/|a|, v = b/|b|: unlike 2 - 2 cos it does not
        cancel where the two are near. A zero vector has no direction; it stays zero, as in the training code.
        """
        a, b = query_square.sqrt(), row_square.sqrt()
        chord_square = ((gap_square - (a - b).square()) / (a * b).clamp_min(EPS * EPS)).clamp_(0.0, 4.0)
        nothing = (a <= EPS) | (b <= EPS)
        if self.attention.metric == "cosine":
            return torch.where(nothing, torch.ones_like(a), chord_square / 2)
        alone = ((a > EPS) | (b > EPS)).float()
        return torch.where(nothing, alone, chord_square.sqrt())


def _tiles(features: Features, size: int, device: torch.device) -> Iterator[tuple[Tensor, int]]:
    """The rows as float32 tiles (size, D), the last one filled up with zeros, and how many of each are real."""
    for start in range(0, len(features), size):
        part = torch.from_numpy(np.array(features[start : start + size])).to(device).float()
        padding = part.new_zeros(size - len(part), part.shape[1])
        yield (torch.cat([part, padding]) if len(padding) else part), len(part)


def _nearest(distances: Vector, ids: Ids, limit: int) -> Rows:
    """Positions of the `limit` smallest distances, ascending, ties by id; only the candidates are sorted."""
    if not 0 < limit < len(distances):
        return np.lexsort((ids, distances))[: max(limit, 0)]
    candidates = np.flatnonzero(distances <= np.partition(distances, limit - 1)[limit - 1])
    order = np.lexsort((ids[candidates], distances[candidates]))[:limit]
    return np.asarray(candidates[order], dtype=np.int64)


def _check_sizes(attention: Attention, query: Vector, features: Features) -> None:
    found = {query.shape[-1], features.shape[-1]} if len(features) else {query.shape[-1]}
    if found != {attention.dim}:
        sizes = sorted(found)
        message = f"The bundle ranks features of size {attention.dim}, given were {sizes}; index the gallery again."
        raise BundleMismatch(message, expected=attention.dim, found=sizes)
