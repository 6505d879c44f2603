"""Features that came with the crops: checked against the model version, then committed as if extracted here."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from heapq import nlargest
from pathlib import Path
from typing import Any

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from citysearch.gallery.adding import Arrival, Outcome
from citysearch.gallery.indexing import SEGMENT_ROWS, cameras_compact, segments_commit
from citysearch.gallery.layouts import BadSource
from citysearch.gallery.moments import aware
from citysearch.gallery.reasons import Refused
from citysearch.research.models import ModelVersion
from reid_engine.store import Ids, SegmentData, Times

# Ids and times of so many rows are held at most, 24 bytes each: the features themselves stay in their file until they
# are written. Where each picture is of another camera than the one before, many held rows make few large segments.
HELD_ROWS = 131_072
CHECKED_ROWS = 256
COMMITTED_AT_ONCE = 64  # cameras

FLOAT16_MOST = 65_504


class _HeldRows:
    """Rows of one camera, in the order of their features, as bare numbers: objects take seven times as much."""

    def __init__(self) -> None:
        self.ids, self.seen_at, self.numbers = array("q"), array("d"), array("q")

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, crop_id: int, seen_at: float, number: int) -> None:
        self.ids.append(crop_id)
        self.seen_at.append(seen_at)
        self.numbers.append(number)

    def columns(self) -> tuple[Ids, Times, NDArray[np.int64]]:
        """Crop ids (n,), seconds on the camera's clock and numbers of the features; of a crop's rows the last."""
        ids = np.array(self.ids)
        _ids, from_end = np.unique(ids[::-1], return_index=True)
        last = np.sort(len(ids) - 1 - from_end)
        return ids[last], np.array(self.seen_at)[last], np.array(self.numbers)[last]


class FeatureFile:
    """Features (N, D), one for each picture of an import in its order, of one model version.

    An .npy file is mapped; an .npz holds `features` and may hold `bundle`, the sha256 of the bundle that made them.
    """

    def __init__(self, path: Path, version: ModelVersion) -> None:
        self.version, self.name = version, path.name
        self.rows = self._read(path)
        if self.rows.ndim != 2 or self.rows.shape[1] != version.dim or self.rows.dtype.kind != "f":
            words = {"path": path.name, "shape": self.rows.shape, "dim": version.dim, "name": version.name}
            raise BadSource(_("%(path)s holds %(shape)s; %(name)s needs rows of %(dim)d numbers.") % words)
        self._kept_from, self._kept = -1, [False]
        self._held: dict[int, _HeldRows] = defaultdict(_HeldRows)

    def check_count(self, pictures: int) -> None:
        """Raises BadSource unless there is one feature for each picture."""
        if pictures != len(self.rows):
            words = {"path": self.name, "rows": len(self.rows), "pictures": pictures}
            raise BadSource(_("%(path)s holds %(rows)d features for %(pictures)d pictures.") % words)

    def checked(self, arrival: Arrival, number: int) -> Arrival:
        """The arrival, or why the feature beside it cannot be kept."""
        if isinstance(arrival, Outcome) or self._is_kept(number):
            return arrival
        error = Refused("bad_feature")
        return Outcome(arrival[1].line, arrival[1].source_name, error.code, message=error.message)

    def _is_kept(self, number: int) -> bool:
        """Whether float16 holds the feature; many are looked at together, as they come in order."""
        start = number - number % CHECKED_ROWS
        if start != self._kept_from:
            kept = np.abs(self.rows[start : start + CHECKED_ROWS]) <= FLOAT16_MOST
            self._kept_from, self._kept = start, kept.all(axis=1).tolist()
        return self._kept[number - start]

    def take(self, arrivals: Sequence[Arrival], outcomes: Sequence[Outcome], first: int) -> None:
        """Note what became of the pictures from number `first` on, and write what is enough for a segment.

        Of what is too much to hold the fullest cameras go first, a few at a time: writers go on meanwhile.
        """
        for number, (arrival, outcome) in enumerate(zip(arrivals, outcomes, strict=True), start=first):
            if not isinstance(arrival, Outcome) and outcome.crop_id is not None:
                moment = aware(arrival[1].captured_at).timestamp()
                self._held[arrival[0].pk].add(outcome.crop_id, moment, number)
        while self._is_full() or max(map(len, self._held.values()), default=0) >= SEGMENT_ROWS:
            self._commit(self._fullest())

    def commit(self) -> None:
        """Write whatever is left."""
        while self._held:
            self._commit(self._fullest())

    def _is_full(self) -> bool:
        return sum(map(len, self._held.values())) >= HELD_ROWS

    def _fullest(self) -> list[int]:
        """The cameras of which most is held: at least one, and as many as have rows for a segment together."""
        found: list[int] = []
        rows = 0
        for camera_id in nlargest(COMMITTED_AT_ONCE, self._held, key=lambda pk: len(self._held[pk])):
            rows += len(self._held[camera_id])
            if found and rows > SEGMENT_ROWS:
                break
            found.append(camera_id)
        return found

    def _commit(self, camera_ids: Sequence[int]) -> None:
        segments_commit({camera_id: self._taken(camera_id) for camera_id in camera_ids}, self.version)
        cameras_compact(camera_ids, self.version)

    def _taken(self, camera_id: int) -> SegmentData:
        """What is held of a camera, with the features, and no longer held."""
        ids, seen_at, numbers = self._held.pop(camera_id).columns()
        return SegmentData(ids, seen_at, np.asarray(self.rows[numbers], dtype=np.float16))

    def _read(self, path: Path) -> NDArray[Any]:
        try:
            found = np.load(path, mmap_mode="r", allow_pickle=False)
            rows = found if isinstance(found, np.ndarray) else found["features"]
        except (OSError, ValueError, KeyError, EOFError) as error:
            words = {"path": path.name, "error": error}
            raise BadSource(_("%(path)s cannot be read as features: %(error)s.") % words) from error
        made_by = "" if isinstance(found, np.ndarray) or "bundle" not in found else str(found["bundle"])
        if made_by not in ("", self.version.sha256):
            words = {"path": path.name, "name": self.version.name}
            raise BadSource(_("The features of %(path)s were made by another bundle than %(name)s.") % words)
        return rows
