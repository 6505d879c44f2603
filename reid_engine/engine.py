"""One bundle on one device: crops and photos to features, one query and a gallery to a Ranking.

Everything that must not differ between training, indexing and searching comes out of the bundle: weights,
preprocessing, views, distance and calibration. On a CPU nothing here loads torch, but explanations and a bundle without
a graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reid_engine import bundle
from reid_engine.absence import absence
from reid_engine.bundle import Bundle
from reid_engine.calibration import Calibration, Curve, Situated, Situation, strangeness
from reid_engine.contracts import Ranking
from reid_engine.errors import BadConfig, BundleCorrupt, BundleMismatch
from reid_engine.graph import Network
from reid_engine.photo import views_of
from reid_engine.preprocessing import normalised
from reid_engine.ranking import Features, Ranker, exhaustive_rows, require_sizes
from reid_engine.workers import Workers

from .messages import gettext_noop as _

if TYPE_CHECKING:
    from reid_engine.explain import Explanation
    from reid_engine.models.reid_model import ReidModel

BATCH = 4  # as fast on a core as more, which need more memory: 31 MB for two threads, 109 with 16
BATCH_ON_GPU = 256
FLOAT16_LIMIT = 65_504.0
REMEMBERED_QUERIES = 8
VIEWS = ("plain", "flip")


class Engine:
    """The extractor and the ranker of one bundle. May be used by several threads at once.

    `device` is "cpu" or "cuda". `threads` is the number of cores used on a CPU (None: as many as the process may use).
    `batch` pictures go through the network at once (None: by the device).
    `exhaustive_rows` is the gallery size up to which every row is scored (None: by the cost of a pair, see ranking.py).
    Raises BundleCorrupt or BundleMismatch for a bundle that cannot be used, BadConfig for a device that is not there.
    """

    def __init__(
        self,
        bundle_path: Path | str,
        device: str = "cpu",
        threads: int | None = None,
        exhaustive_rows: int | None = None,
        batch: int | None = None,
    ) -> None:
        loaded = bundle.read(bundle_path)
        self.device = _checked_device(device)
        self.batch = batch or (BATCH if self.device == "cpu" else BATCH_ON_GPU)
        self.bundle_sha, self.manifest = loaded.sha256, loaded.manifest
        self._preprocessing: dict[str, Any] = loaded.manifest["preprocessing"]
        self._views = _checked_views(self._preprocessing, bundle_path)
        self._weights = replace(loaded, files={bundle.WEIGHTS: loaded.files[bundle.WEIGHTS]})
        self._network = self._graph_or_model(loaded)
        self._workers = Workers(threads if self.device == "cpu" else 1)
        calibration = Calibration.from_dict(loaded.manifest["calibration"])
        self._strangers = _checked_strangers(loaded, calibration, bundle_path)
        self._strangeness = lru_cache(REMEMBERED_QUERIES)(partial(_strangeness_of, self._strangers))
        attention = replace(loaded.attention, device=self.device)
        self._ranker = Ranker(attention, calibration, exhaustive_rows, self._workers)
        self._ranker.prepare()

    @property
    def dim(self) -> int:
        """D, the size of a feature."""
        return self._ranker.attention.dim

    @property
    def exhaustive_rows(self) -> int:
        """Up to so many rows at once every one is scored, and a ranking is that of its parts, merged."""
        given = self._ranker.exhaustive_rows
        return exhaustive_rows(self._ranker.attention) if given is None else given

    @property
    def calibration(self) -> Curve:
        """How this bundle's distances become likelihoods."""
        return self._ranker.calibration

    def crop_features(self, images: Sequence[Image.Image]) -> NDArray[np.float16]:
        """Gallery crops -> (N, D) float16 raw features, the mean over the bundle's views, as the store keeps them."""
        return _to_float16(self._features(images))

    def query_features(self, photos: Sequence[Image.Image]) -> NDArray[np.float32]:
        """The photos of one person -> (D,) float32: the mean over each one's enhanced views, then over the photos.

        Raises ValueError without a photo.
        """
        if not photos:
            raise ValueError("a query needs at least one photo")
        each = [self._features(views_of(photo)).mean(axis=0) for photo in photos]
        return np.asarray(np.mean(each, axis=0), dtype=np.float32)

    def rank(
        self,
        query: NDArray[np.float32],
        features: Features,
        ids: NDArray[np.int64],
        limit: int,
        among: int | None = None,
    ) -> Ranking:
        """The `limit` nearest of the gallery rows: query (D,), features (N, D), ids (N,); see ranking.Ranker.rank.

        `among` is how many rows the whole search looks at, where these are a part of them: likelihoods depend on it.
        """
        require_sizes(self._ranker.attention, query, features)
        return self._ranker.rank(query, features, ids, limit, self.situation(query, among or len(features)))

    def situation(self, query: NDArray[np.float32], rows: int) -> Situation | None:
        """Of a search of so many rows by this query (D,); None where the bundle's likelihoods do not depend on it."""
        if self._strangers is None:
            return None
        return Situation(rows, self._strangeness(np.asarray(query, np.float32).tobytes()))

    def absence(self, query: NDArray[np.float32], hits: NDArray[np.floating]) -> float | None:
        """How much speaks for the person of this query (D,) not being there: hits (N, D), the best first; see absence.

        None where there is no hit, or the bundle knows no strangers.
        """
        return None if self._strangers is None else absence(query, hits, self._strangers)

    def explain(self, photo: Image.Image, crop: Image.Image) -> Explanation:
        """Which regions of the photo and of the crop carried the distance between them; see explain.explain."""
        from reid_engine.explain import explain

        return explain(self._model, self._preprocessing, photo, crop)

    def _features(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Pictures -> (N, D) float32, in batches that give every worker as much to do."""
        size = max(1, min(self.batch, math.ceil(len(images) / self._workers.count)))
        starts = range(0, len(images), size)
        parts = self._workers.map(lambda start: self._extract(images[start : start + size]), starts)
        return np.concatenate([np.empty((0, self.dim), np.float32), *parts])

    def _graph_or_model(self, loaded: Bundle) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """What features are taken with: on a CPU the bundle's graph, run by onnxruntime, which is faster than torch."""
        if self.device == "cpu" and bundle.NETWORK in loaded.files:
            return Network(loaded.files[bundle.NETWORK])
        from reid_engine.models.reid_model import run_on

        return run_on(self._model, self.device)

    @cached_property
    def _model(self) -> ReidModel:
        return self._weights.model().to(self.device)

    def _extract(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """One batch of pictures -> (B, D), the mean over the views."""
        batch = normalised(images, self._preprocessing)
        views = (np.ascontiguousarray(batch[..., ::-1]) if view == "flip" else batch for view in self._views)
        return np.asarray(np.mean([self._network(view) for view in views], axis=0), np.float32)


def _strangeness_of(strangers: NDArray[np.floating] | None, query: bytes) -> float:
    """How common the look of a query is, from its float32 bytes: all parts of a search ask the same."""
    assert strangers is not None
    return float(strangeness(np.frombuffer(query, np.float32)[None], strangers)[0])


def _checked_strangers(loaded: Bundle, calibration: Curve, path: Path | str) -> NDArray[np.float32] | None:
    """The strangers a situated calibration needs, else None. Raises BundleCorrupt where they are missing."""
    if not isinstance(calibration, Situated):
        return None
    if loaded.strangers is None:
        text = _("%(path)s: its calibration needs strangers, and it has none; write it again")
        raise BundleCorrupt(text, path=str(path))
    return loaded.strangers


def _to_float16(features: NDArray[np.float32]) -> NDArray[np.float16]:
    """Rounded to half precision; a coordinate beyond its range becomes the largest it has, not infinity."""
    return np.clip(features, -FLOAT16_LIMIT, FLOAT16_LIMIT).astype(np.float16)


def _checked_views(preprocessing: dict[str, Any], path: Path | str) -> tuple[str, ...]:
    """The views a feature is the mean of. Raises BundleMismatch for one this program does not know."""
    views = tuple(preprocessing.get("views") or VIEWS[:1])
    unknown = sorted(set(views) - set(VIEWS))
    if unknown:
        text = _("%(path)s asks for the views %(views)s; this program knows %(known)s. Use a newer program.")
        raise BundleMismatch(text, path=str(path), views=unknown, known=list(VIEWS))
    return views


def _checked_device(name: str) -> str:
    """The device of that name, if this machine has it. Raises BadConfig."""
    if name != "cpu" and not (name.startswith("cuda") and _has_gpu()):
        raise BadConfig(_("There is no device %(value)r here; use 'cpu'."), option="device", value=name)
    return name


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
