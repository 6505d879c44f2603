"""Crops out of the gallery: picture, feature row, candidates, and the proof that nothing is left."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from citysearch.changes import change_tell
from citysearch.gallery import files
from citysearch.gallery.counting import counts_renew
from citysearch.gallery.indexing import (
    camera_locked,
    files_unnamed_delete,
    index_request,
    segment_create,
    segment_store,
)
from citysearch.gallery.models import Crop, GalleryImport, Segment
from citysearch.gallery.queries import crops_locked
from citysearch.gallery.signals import Trace, crops_erasing, holds_of, purge_due, traces_of
from citysearch.gallery.spool import spool_purge
from reid_engine.errors import StoreCorrupt
from reid_engine.store import SegmentStore
from units.models import Camera, Unit

log = logging.getLogger(__name__)

ERASE_BATCH = 1000


@dataclass(frozen=True)
class ErasureReport:
    """What was removed, and what a recount found afterwards: every figure of `left` is zero, or something failed.

    Keys: crops, images, features (rows over all model versions), what hung on the crops (candidates, verdicts), and
    what named them without a foreign key (paths). `holds` says what was not erased, and why: crop -> words that name
    the hold.
    """

    erased: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    holds: dict[int, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        return not any(self.left.values())

    @property
    def hold_words(self) -> list[str]:
        """Each hold once."""
        return sorted(set(self.holds.values()))

    def as_dict(self) -> dict[str, dict[str, int] | int]:
        return {"erased": self.erased, "left": self.left, "held": len(self.holds)}


@dataclass(frozen=True)
class _Part:
    """One batch of a camera: the crops that were erased, what went with them, and what is held."""

    crops: list[Crop]
    counts: Counter[str]
    traces: list[Trace]
    holds: dict[int, str]


def crops_erase(crops: Iterable[Crop], progress: Callable[[int], object] | None = None) -> ErasureReport:
    """Erase crops for good: rows, what hangs on them, features of every model version, pictures.

    Rows and features go together, per camera; pictures follow once that is committed. A process killed in between
    leaves pictures that no row names: `verify_store --sweep` finds and removes them. Raises DiskFull (a segment is
    rewritten before the old one goes), with the cameras done so far erased, and RuntimeError inside a transaction:
    files that are gone do not come back with a rollback. Crops on hold stay, and the report names them.
    """
    erased: Counter[str] = Counter({"crops": 0, "images": 0, "features": 0})
    left: Counter[str] = Counter({"crops": 0, "images": 0, "features": 0})
    holds: dict[int, str] = {}
    by_camera: dict[int, list[Crop]] = {}
    for crop in crops:
        by_camera.setdefault(crop.camera_id, []).append(crop)
    with _told(by_camera, erased, left, holds):
        for camera_id, group in by_camera.items():
            for start in range(0, len(group), ERASE_BATCH):
                part = _erase(camera_id, group[start : start + ERASE_BATCH])
                erased.update(part.counts)
                left.update(_left_of(camera_id, part.crops, part.traces))
                holds.update(part.holds)
                if progress:
                    progress(erased["crops"])
    return ErasureReport(dict(erased), dict(left), holds)


@contextmanager
def _told(
    by_camera: Mapping[int, Sequence[Crop]], erased: Counter[str], left: Counter[str], holds: Mapping[int, str]
) -> Iterator[None]:
    """The log says what is about to be erased before anything is, and afterwards what was, however it ended."""
    if not by_camera:
        yield
        return
    count = sum(len(group) for group in by_camera.values())
    change_tell("erasure", "begin", crops=count, cameras=len(by_camera))
    try:
        yield
    finally:
        change_tell("erasure", "end", erased=dict(erased), left=dict(left), held=len(holds))


def crops_purge(
    now: datetime | None = None, dry_run: bool = False, progress: Callable[[int], object] | None = None
) -> ErasureReport:
    """Erase every crop older than its unit keeps them, by the nearest unit above the camera that says so.

    Units that say nothing inherit; where none does, RETENTION_DAYS holds. Imports that have no crop left and are as
    old go too, and so do archives that an import which failed has left waiting for RETENTION_DAYS: they hold the same
    pictures. What the apps above keep of people goes as well (photos of old searches). What is on hold stays. With
    `dry_run` nothing is erased, and `erased["crops"]` and `holds` say what would be and what would not.
    """
    now = now or timezone.now()
    days = retention_days()
    due = [crop for camera_id, kept in days.items() for crop in _older_than(camera_id, now - timedelta(days=kept))]
    holds = holds_of([crop.pk for crop in due])
    due = [crop for crop in due if crop.pk not in holds]
    if dry_run:
        return ErasureReport({"crops": len(due)}, {}, holds)
    report = crops_erase(due, progress)
    report = replace(report, holds=holds | report.holds)
    oldest = now - timedelta(days=max(days.values(), default=settings.RETENTION_DAYS))
    GalleryImport.objects.filter(finished_at__lt=oldest, crops__isnull=True).delete()
    spool_purge(now - timedelta(days=settings.RETENTION_DAYS))
    return _with_traces(report, traces_of(purge_due, now=now))


def retention_days() -> dict[int, int]:
    """camera id -> days its crops are kept."""
    stated = _stated_days()
    cameras = Camera.objects.order_by().values_list("id", "unit__path")
    return {camera_id: _nearest(path, stated) for camera_id, path in cameras}


def units_retention_days(paths: Iterable[str]) -> dict[str, int]:
    """path of a unit -> days that what was recorded in it is kept."""
    stated = _stated_days()
    return {path: _nearest(path, stated) for path in paths}


def _stated_days() -> dict[str, int]:
    units = Unit.objects.filter(retention_days__isnull=False)
    return {unit.path: int(unit.retention_days or 0) for unit in units}


def _nearest(path: str, stated: dict[str, int]) -> int:
    for end in range(len(path), 0, -Unit.steplen):
        if path[:end] in stated:
            return stated[path[:end]]
    return int(settings.RETENTION_DAYS)


def _with_traces(report: ErasureReport, traces: Iterable[Trace]) -> ErasureReport:
    erased, left = Counter(report.erased), Counter(report.left)
    for trace in traces:
        erased[trace.word] += trace.erased
        left[trace.word] += trace.left()
    return ErasureReport(dict(erased), dict(left), report.holds)


def _older_than(camera_id: int, moment: datetime) -> Iterable[Crop]:
    """`captured_at` is the camera's clock; the difference to the true time does not matter over days."""
    return Crop.objects.filter(camera_id=camera_id, captured_at__lt=moment).iterator(chunk_size=2000)


def _erase(camera_id: int, crops: Sequence[Crop]) -> _Part:
    with files.disk_full_said(), transaction.atomic(durable=True):
        camera_locked(camera_id)
        # Whoever puts crops on hold locks them too: asked under the lock, the answer stands until they are gone.
        holds = holds_of(crops_locked(crop.pk for crop in crops))
        free = [crop for crop in crops if crop.pk not in holds]
        ids = [crop.pk for crop in free]
        traces = traces_of(crops_erasing, ids=ids)
        features, old = _segments_rewrite(camera_id, ids)
        _total, by_model = Crop.objects.filter(pk__in=ids).delete()
        counts_renew(camera_id)
    files_unnamed_delete(segment_store(), old)
    counts = Counter({_word(label): count for label, count in by_model.items()})
    counts.update({trace.word: trace.erased for trace in traces})
    counts.update(features=features, images=files.pictures_remove([crop.image for crop in free]))
    return _Part(free, counts, traces, holds)


def _segments_rewrite(camera_id: int, ids: Collection[int]) -> tuple[int, list[str]]:
    """Replace the camera's segments that hold any of the ids; returns rows dropped and the old files' paths."""
    store, dropped = segment_store(), 0
    old: list[str] = []
    for segment in Segment.objects.filter(camera_id=camera_id).select_related("model_version"):
        held = _held(store, segment, ids)
        if not held:
            continue
        kept = store.rewrite_without(segment.path, ids) if held < segment.rows else None
        segment.delete()
        if kept is not None:
            segment_create(camera_id, segment.model_version, kept)
        dropped, old = dropped + held, [*old, segment.path]
    return dropped, old


def _held(store: SegmentStore, segment: Segment, ids: Collection[int]) -> int:
    """How many of the ids the segment holds. One that cannot be read may hold any of them, so all of it has to go.

    Its other crops are indexed again; else a damaged file would keep everybody's features from being erased.
    """
    try:
        return int(np.isin(store.open(segment.path).ids, list(ids)).sum())
    except StoreCorrupt:
        log.warning("segment %s cannot be read; it is dropped and its camera indexed again", segment.path)
        index_request([segment.camera_id])
        return int(segment.rows)


def _left_of(camera_id: int, crops: Sequence[Crop], traces: Iterable[Trace]) -> Counter[str]:
    """Count again, by looking: rows, files, features, whatever model points at a crop or names it otherwise."""
    ids = [crop.pk for crop in crops]
    store = segment_store()
    segments = Segment.objects.filter(camera_id=camera_id)
    left = Counter(
        crops=Crop.objects.filter(pk__in=ids).count(),
        images=sum(files.picture_path(crop.image).exists() for crop in crops),
        features=sum(int(np.isin(store.open(segment.path).ids, ids).sum()) for segment in segments),
    )
    for label, count in _pointing_at(ids):
        left[_word(label)] += count
    left.update({trace.word: trace.left() for trace in traces})
    return left


def _pointing_at(ids: Collection[int]) -> Iterator[tuple[str, int]]:
    """Every model with a foreign key to crops, known to this app or not, and how many of its rows hold the ids."""
    for model in apps.get_models():
        for column in model._meta.concrete_fields:
            if column.is_relation and column.related_model is Crop:
                yield model._meta.label, model._base_manager.filter(**{f"{column.name}__in": ids}).count()


def _word(label: str) -> str:
    """searches.Candidate -> candidates."""
    return label.rpartition(".")[2].lower() + "s"
