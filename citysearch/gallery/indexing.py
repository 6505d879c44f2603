"""From crops to features: which crops have none yet, and segments of them appended per camera in time order.

No row says of a crop that it is indexed: the ids in the committed segments do. A segment is committed under the lock of
its camera, without the rows somebody else committed or erased meanwhile, so no crop is ever indexed twice, and none
comes back after its erasure. A process killed at any moment leaves a file that no row names.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Sum
from numpy.typing import NDArray
from PIL import Image

from citysearch.gallery import files
from citysearch.gallery.claims import claimed
from citysearch.gallery.models import CameraCount, Crop, Segment
from citysearch.gallery.queueing import sent
from citysearch.research.models import ModelVersion
from citysearch.research.services import model_indexed
from reid_engine.errors import BadPhoto
from reid_engine.photo import load_crop
from reid_engine.store import SegmentData, SegmentFacts, SegmentStore
from units.models import Camera

log = logging.getLogger(__name__)

SEGMENT_ROWS = 4096
EXTRACT_ROWS = 32
# Progress is what the committed segments say, and what a killed worker does again: both want frequent commits.
COMMIT_SECONDS = 20.0
SEGMENTS_MAX = 32
COMPACT_ROWS = 65_536
FLUSHED_AT_ONCE = 8
NAMED_AT_MOST = 500
# Claims are files; cameras share them, which at worst makes one wait for another.
CLAIMS = 64

Progress = Callable[[int, int], object]
Ids = NDArray[np.int64]
Pairs = list[tuple[Crop, Image.Image]]


class Extractor(Protocol):
    """The part of reid_engine.engine.Engine that indexing needs."""

    def crop_features(self, images: list[Image.Image]) -> NDArray[np.float16]:
        """N pictures -> (N, D) float16."""


@dataclass(frozen=True)
class Slice:
    """What one slice of indexing did: crops committed, and why something is left: time, busy, or nothing ("")."""

    committed: int
    left: str


def segment_store() -> SegmentStore:
    return SegmentStore(Path(settings.STORE_DIR))


def index_cameras(
    camera_ids: Iterable[int],
    version: ModelVersion,
    progress: Progress | None = None,
    extractor: Extractor | None = None,
) -> int:
    """Extract and commit the features of every crop of these cameras that has none for this version; return how many.

    Opens the engine of the version unless an `extractor` is given. A crop whose picture is gone or damaged is logged
    and left out. Raises DiskFull; whatever was committed stays, and the next run goes on.
    """
    counts = pending_counts(camera_ids, version)
    if not counts:
        return 0
    work = _Indexing(version, extractor or _engine(version), sum(counts.values()), progress)
    with files.disk_full_said():
        for camera_id in counts:
            work.index(camera_id)
    return work.committed


def index_slice(
    camera_ids: Iterable[int], version: ModelVersion, seconds: float, extractor: Extractor | None = None
) -> Slice:
    """As `index_cameras`, for about so many seconds: searches wait in the same queue, and must not wait for long.

    A camera that somebody else is indexing just now is left to him, and counts as left.
    """
    counts = pending_counts(camera_ids, version)
    if not counts:
        return Slice(0, "")
    work = _Indexing(version, extractor or _engine(version), sum(counts.values()), seconds=seconds)
    with files.disk_full_said():
        for camera_id in counts:
            work.index(camera_id)
    return Slice(work.committed, work.left)


def pending_counts(camera_ids: Iterable[int], version: ModelVersion) -> dict[int, int]:
    """camera id -> crops that have no features for this version; cameras where nothing is missing are left out."""
    ids = sorted(set(camera_ids))
    near = cameras_filter(ids)
    crops = CameraCount.objects.filter(**near).values_list("camera_id", "crops")
    rows = Segment.objects.filter(model_version=version, **near).order_by()
    indexed = dict(rows.values_list("camera_id").annotate(n=Sum("rows")))
    missing = {camera_id: count - indexed.get(camera_id, 0) for camera_id, count in crops}
    return {camera_id: missing[camera_id] for camera_id in ids if missing.get(camera_id, 0) > 0}


def cameras_filter(camera_ids: Collection[int]) -> dict[str, Any]:
    """A filter that lets all of the cameras through: few by name, of many also others between them.

    A city has more cameras than a statement may name; a unit's few must not cost what the city has.
    """
    if len(camera_ids) <= NAMED_AT_MOST:
        return {"camera_id__in": sorted(camera_ids)}
    return {"camera_id__gte": min(camera_ids), "camera_id__lte": max(camera_ids)}


def version_index(version: ModelVersion, progress: Progress | None = None, extractor: Extractor | None = None) -> int:
    """Index the whole gallery for a model version: registered | ready --> indexing --> ready; active stays active.

    The version in use stays searchable all the while. The state stays `indexing` while any crop has no features.
    """
    count = index_cameras(version_begin(version), version, progress, extractor)
    model_indexed(version)
    version.refresh_from_db()
    return count


def version_begin(version: ModelVersion) -> list[int]:
    """Note that a version is being indexed (the active one stays active); returns `cameras_filled`."""
    idle = [ModelVersion.State.REGISTERED, ModelVersion.State.READY]
    ModelVersion.objects.filter(pk=version.pk, state__in=idle).update(state=ModelVersion.State.INDEXING)
    return cameras_filled()


def cameras_filled() -> list[int]:
    """The ids of the cameras that have crops."""
    return list(CameraCount.objects.filter(crops__gt=0).values_list("camera_id", flat=True))


def index_request(camera_ids: Collection[int], version: ModelVersion | None = None) -> None:
    """Queue the indexing of these cameras for the active version (and for one that is being built) on commit.

    Without a broker nothing is lost: the crops are reported as not indexed, and a worker that starts looks for them.
    """
    from citysearch.gallery.tasks import index_task

    states = [ModelVersion.State.ACTIVE, ModelVersion.State.INDEXING]
    wanted = ModelVersion.objects.filter(pk=version.pk) if version else ModelVersion.objects.filter(state__in=states)
    for version_id in wanted.values_list("pk", flat=True) if camera_ids else []:
        transaction.on_commit(partial(sent, index_task, sorted(camera_ids), version_id))


def version_index_request(version: ModelVersion, activate: bool = False) -> None:
    """Queue, on commit, what `version_index` does; with `activate` the version is switched to once it is complete."""
    from citysearch.gallery.tasks import version_index_task

    transaction.on_commit(lambda: sent(version_index_task, version.pk, activate))


def _engine(version: ModelVersion) -> Extractor:
    from citysearch.engine import engine_of

    engine: Extractor = engine_of(version)
    return engine


class _Indexing:
    """One run over some cameras: holds what every step needs, and counts."""

    def __init__(
        self,
        version: ModelVersion,
        extractor: Extractor | None,
        total: int,
        progress: Progress | None = None,
        seconds: float = math.inf,
    ) -> None:
        self.version, self.extractor, self.store = version, extractor, segment_store()
        self.total, self.progress = total, progress
        self.end = time.monotonic() + seconds
        self.committed = self.extracted = 0
        self.left = ""

    def index(self, camera_id: int) -> None:
        """One camera, unless the time is over; a run without end waits for whoever is at work on it."""
        if self._is_over():
            self.left = "time"
            return
        with claimed(f"index-{self.version.model_key}-{camera_id % CLAIMS}", wait=math.isinf(self.end)) as ours:
            if ours:
                self._index(camera_id)
            else:
                self.left = self.left or "busy"

    def _index(self, camera_id: int) -> None:
        """Oldest crop first, committed every SEGMENT_ROWS rows or COMMIT_SECONDS."""
        rows: list[SegmentData] = []
        since = time.monotonic()
        for count, pairs in _decoded(_chunks(self._pending(camera_id))):
            if self._is_over():
                self.left = "time"
                break
            rows.append(self._extract(count, pairs))
            full = sum(len(part.ids) for part in rows) >= SEGMENT_ROWS
            if full or time.monotonic() - since > COMMIT_SECONDS:
                self.commit(camera_id, rows)
                rows, since = [], time.monotonic()
        self.commit(camera_id, rows)
        segments_compact(camera_id, self.version)

    def _is_over(self) -> bool:
        """At least one chunk is done in any time, so that slices always get somewhere."""
        return self.extracted > 0 and time.monotonic() > self.end

    def _pending(self, camera_id: int) -> Ids:
        """Ids of the crops without features, oldest first."""
        in_order = Crop.objects.filter(camera_id=camera_id).order_by("captured_at", "id").values_list("id", flat=True)
        every = np.fromiter(in_order, dtype=np.int64)
        return every[~np.isin(every, committed_ids([camera_id], self.version))]

    def _extract(self, count: int, pairs: Pairs) -> SegmentData:
        self.extracted += count
        if self.progress:
            self.progress(self.extracted, max(self.total, self.extracted))
        features = self.extractor.crop_features([image for _crop, image in pairs]) if pairs and self.extractor else None
        return _rows([crop for crop, _image in pairs], features)

    def commit(self, camera_id: int, parts: Sequence[SegmentData]) -> None:
        parts = [part for part in parts if len(part.ids)]
        if parts:
            self.committed += segments_commit({camera_id: _joined(parts)}, self.version)


def segments_commit(rows: Mapping[int, SegmentData], version: ModelVersion) -> int:
    """Commit a segment for each of some cameras, all of them or none; returns the rows that were committed.

    Those of crops that have features already, or are gone, are left out. Several files wait for the disk at once, and
    the database is asked once for all of them. Raises DiskFull.
    """
    store, paths = segment_store(), []

    def written(camera_id: int) -> SegmentFacts:
        part = rows[camera_id]
        facts = store.write(version.model_key, camera_id, part.ids, part.seen_at, part.features)
        paths.append(facts.path)
        return facts

    with files.disk_full_said(), _deleted_unless_committed(store, paths):
        with ThreadPoolExecutor(min(len(rows), FLUSHED_AT_ONCE), "segments") as pool:
            facts = dict(zip(rows, pool.map(written, rows), strict=True))
        return _facts_commit(store, facts, rows, version)


def _facts_commit(
    store: SegmentStore, facts: Mapping[int, SegmentFacts], rows: Mapping[int, SegmentData], version: ModelVersion
) -> int:
    """Name the files, less the rows that others committed or erased since we looked; returns the rows named."""
    with transaction.atomic():
        cameras = cameras_locked(rows)
        stale = _stale([rows[camera_id].ids for camera_id in cameras], cameras, version)
        kept = {camera_id: _without(store, facts[camera_id], rows[camera_id].ids, stale) for camera_id in cameras}
        named = {camera_id: some for camera_id, some in kept.items() if some is not None}
        for camera_id, some in named.items():
            segment_create(camera_id, version, some)
        return sum(some.rows for some in named.values())


def _stale(ids: Sequence[Ids], cameras: Collection[int], version: ModelVersion) -> Ids:
    """Those of the crops of these cameras that have features already, or are gone."""
    every = np.concatenate([np.empty(0, np.int64), *ids])
    living = np.fromiter(Crop.objects.filter(pk__in=every.tolist()).values_list("id", flat=True), dtype=np.int64)
    return every[np.isin(every, committed_ids(cameras, version)) | ~np.isin(every, living)]


def _without(store: SegmentStore, facts: SegmentFacts, ids: Ids, stale: Ids) -> SegmentFacts | None:
    """The same rows less the stale ones, in a new file where there are any; None where nothing is left."""
    return store.rewrite_without(facts.path, stale.tolist()) if np.isin(ids, stale).any() else facts


def committed_ids(camera_ids: Collection[int], version: ModelVersion) -> Ids:
    """Crop ids (n,) in the committed segments of some cameras."""
    found = Segment.objects.filter(camera_id__in=camera_ids, model_version=version)
    return _ids_of(list(found.values_list("path", flat=True)))


def camera_locked(camera_id: int) -> bool:
    """Lock a camera's segments, and its crops against new ones, until the transaction ends; False when it is gone.

    SQLite has no row locks and needs none: its transactions begin IMMEDIATE, one writer at a time.
    """
    return Camera.objects.select_for_update().filter(pk=camera_id).values_list("pk", flat=True).first() is not None


def cameras_locked(camera_ids: Iterable[int]) -> list[int]:
    """Lock the segments of those cameras that are there, until the transaction ends; returns these.

    Always in the same order, and not against new crops: an import that adds crops to some of them, in any order, and
    somebody who locks several would otherwise wait for each other.
    """
    cameras = Camera.objects.select_for_update(no_key=True).filter(pk__in=list(camera_ids))
    return list(cameras.order_by("pk").values_list("pk", flat=True))


def segment_create(camera_id: int, version: ModelVersion, facts: SegmentFacts) -> Segment:
    return Segment.objects.create(
        camera_id=camera_id,
        model_version=version,
        path=facts.path,
        rows=facts.rows,
        sha256=facts.sha256,
        start=facts.start,
        end=facts.end,
    )


def cameras_compact(camera_ids: Collection[int], version: ModelVersion) -> None:
    """Merge the small segments of those cameras that have too many of them."""
    small = Segment.objects.filter(camera_id__in=camera_ids, model_version=version, rows__lt=COMPACT_ROWS).order_by()
    counted = small.values_list("camera_id").annotate(n=Count("pk")).filter(n__gt=SEGMENTS_MAX)
    for camera_id, _count in list(counted):
        segments_compact(camera_id, version)


def segments_compact(camera_id: int, version: ModelVersion, most: int = SEGMENTS_MAX) -> int:
    """Merge the small segments of a camera once there are more than `most`; returns how many were merged.

    Readers that hold the old files keep them; readers that come late find the new rows (queries.gallery_of).
    """
    small = Segment.objects.filter(camera_id=camera_id, model_version=version, rows__lt=COMPACT_ROWS)
    old = list(small.order_by("start", "id"))
    if len(old) <= most:
        return 0
    store = segment_store()
    written = [_merged(store, camera_id, version, part) for part in _of_rows(old, COMPACT_ROWS)]
    with _deleted_unless_committed(store, [facts.path for facts in written] + [segment.path for segment in old]):
        return _merge_commit(camera_id, version, old, written)


def _merge_commit(
    camera_id: int, version: ModelVersion, old: Sequence[Segment], written: Sequence[SegmentFacts]
) -> int:
    """Swap the rows, unless somebody else changed one of the old ones: then theirs stay and the new files go."""
    with transaction.atomic(durable=True):
        rows = Segment.objects.filter(pk__in=[segment.pk for segment in old])
        if not camera_locked(camera_id) or rows.count() != len(old):
            return 0
        rows.delete()
        for facts in written:
            segment_create(camera_id, version, facts)
    return len(old)


def _merged(store: SegmentStore, camera_id: int, version: ModelVersion, old: Sequence[Segment]) -> SegmentFacts:
    rows = _joined([store.open(segment.path) for segment in old])
    return store.write(version.model_key, camera_id, rows.ids, rows.seen_at, rows.features)


def _of_rows(segments: Sequence[Segment], most: int) -> Iterator[list[Segment]]:
    """Runs of segments of at most `most` rows together, each of at least one segment."""
    run: list[Segment] = []
    for segment in segments:
        if run and sum(part.rows for part in run) + segment.rows > most:
            yield run
            run = []
        run.append(segment)
    yield run


@contextmanager
def _deleted_unless_committed(store: SegmentStore, paths: Sequence[str]) -> Iterator[None]:
    """Afterwards, delete those of the files that no row names, whatever the block did."""
    try:
        yield
    finally:
        files_unnamed_delete(store, paths)


def files_unnamed_delete(store: SegmentStore, paths: Sequence[str]) -> None:
    """Delete the files that no committed row names; one that cannot be deleted is left to `verify_store --sweep`."""
    try:
        named = set(Segment.objects.filter(path__in=paths).values_list("path", flat=True))
        for path in set(paths) - named:
            store.delete(path)
    except Exception:
        log.exception("cannot remove the files of uncommitted segments; verify_store --sweep will")


def _ids_of(paths: Sequence[str]) -> Ids:
    store = segment_store()
    found = [store.open(path).ids for path in paths]
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def _chunks(ids: Ids) -> Iterator[Ids]:
    for start in range(0, len(ids), EXTRACT_ROWS):
        yield ids[start : start + EXTRACT_ROWS]


def _decoded(chunks: Iterable[Ids]) -> Iterator[tuple[int, Pairs]]:
    """The size of each chunk and its crops with pictures, decoded while the features of the one before are taken."""
    coming: Future[tuple[int, Pairs]] | None = None
    with ThreadPoolExecutor(1, "decode") as decoder:
        for ids in chunks:
            crops = list(Crop.objects.filter(pk__in=ids.tolist()).order_by("captured_at", "id"))
            ready, coming = coming, decoder.submit(_pairs, len(ids), crops)
            if ready:
                yield ready.result()
        if coming:
            yield coming.result()


def _pairs(count: int, crops: Sequence[Crop]) -> tuple[int, Pairs]:
    return count, [(crop, image) for crop in crops if (image := _picture(crop)) is not None]


def _picture(crop: Crop) -> Image.Image | None:
    try:
        return load_crop(files.picture_read(crop.image))
    except (OSError, BadPhoto) as error:
        log.warning("crop %d cannot be indexed: %s: %s", crop.pk, crop.image, error)
        return None


def _rows(crops: Sequence[Crop], features: NDArray[np.float16] | None) -> SegmentData:
    """The rows of some crops, less those whose features are no numbers (which no distance could rank)."""
    ids = np.array([crop.pk for crop in crops], dtype=np.int64)
    seen_at = np.array([crop.captured_at.timestamp() for crop in crops], dtype=np.float64)
    array = np.asarray(features, dtype=np.float16) if features is not None else np.empty((0, 0), np.float16)
    finite = np.isfinite(array).all(axis=1)
    for crop_id in ids[~finite]:
        log.warning("crop %d cannot be indexed: its features are no numbers", crop_id)
    return SegmentData(ids[finite], seen_at[finite], array[finite])


def _joined(parts: Sequence[SegmentData]) -> SegmentData:
    fields: list[Any] = [np.concatenate(arrays) for arrays in zip(*map(_arrays, parts), strict=True)]
    return SegmentData(*fields)


def _arrays(part: SegmentData) -> tuple[Any, Any, Any]:
    return part.ids, part.seen_at, part.features
