"""Celery tasks of the gallery. Each takes ids and calls one service; each may be run twice without harm."""

from __future__ import annotations

import logging
from functools import partial

from celery import shared_task

from citysearch.gallery import comparing, indexing, services, spool, watch  # noqa: F401  watch connects itself to the worker
from citysearch.gallery.claims import claimed
from citysearch.gallery.counting import counts_check
from citysearch.gallery.models import GalleryImport, ModelComparison
from citysearch.gallery.queueing import sent
from citysearch.gallery.stopping import stop_check
from citysearch.research.models import ModelVersion
from citysearch.research.services import model_activate, model_indexed
from units.models import Camera

log = logging.getLogger(__name__)

# Searches share the engine's queue: they come first, and never wait longer than a slice of indexing.
LOWEST_PRIORITY = 9
SLICE_SECONDS = 5.0
OPEN = (GalleryImport.State.QUEUED, GalleryImport.State.RUNNING, GalleryImport.State.STOPPING)
BUSY_SECONDS = 5


@shared_task(queue="engine", priority=LOWEST_PRIORITY)
def index_task(camera_ids: list[int], version_id: int) -> int:
    """Index these cameras for a model version, a slice at a time."""
    version = _wanted(version_id)
    if version is None:
        return 0
    done = indexing.index_slice(camera_ids, version, SLICE_SECONDS)
    if _goes_on(done):
        sent(index_task, camera_ids, version_id, countdown=_pause(done))
    elif version.state == ModelVersion.State.INDEXING:
        model_indexed(version)
    return done.committed


@shared_task(queue="engine", priority=LOWEST_PRIORITY)
def version_index_task(version_id: int, activate: bool = False) -> int:
    """Index the whole gallery for a model version, a slice at a time and, if asked, switch to it when complete."""
    version = _wanted(version_id)
    if version is None:
        return 0
    done = indexing.index_slice(indexing.cameras_filled(), version, SLICE_SECONDS)
    if _goes_on(done):
        sent(version_index_task, version_id, activate, countdown=_pause(done))
    elif model_indexed(version) and activate:
        model_activate(version)
    return done.committed


@shared_task(queue="default")
def import_task(import_id: int) -> None:
    """Do a ZIP import that was uploaded. The archive is kept until the import is done, so that it can be run again."""
    with claimed(f"import-{import_id}") as ours:
        row = GalleryImport.objects.filter(pk=import_id, state__in=OPEN).first()
        if row is None or not ours:
            return
        if row.state == GalleryImport.State.STOPPING:  # its worker was killed before it came to that
            services.import_stopped(row)
            return
        services.import_run(row, spool.spool_path(import_id), progress=partial(stop_check, row))
        if row.state == GalleryImport.State.DONE:
            spool.spool_remove(import_id)


@shared_task(queue="engine", priority=LOWEST_PRIORITY)
def compare_task(comparison_id: int) -> None:
    """Compare two model versions; one that was ended or removed meanwhile is no work."""
    with claimed(f"compare-{comparison_id}") as ours:
        row = ModelComparison.objects.filter(pk=comparison_id, finished_at=None).first()
        if row is not None and ours:
            comparing.comparison_run(row)


@shared_task(queue="default")
def purge_task() -> dict[str, dict[str, int] | int]:
    """Erase what is older than its unit keeps it."""
    return services.crops_purge().as_dict()


def gallery_catch_up() -> None:
    """Queue what was left undone while no broker or no worker was there: imports, crops without features."""
    if wrong := counts_check():
        log.warning("the crops of %d cameras were counted wrong, which is corrected", wrong)
    for import_id in GalleryImport.objects.filter(state__in=OPEN).values_list("pk", flat=True):
        if spool.spool_path(import_id).exists():
            sent(import_task, import_id)
    for comparison_id in ModelComparison.objects.filter(finished_at=None).values_list("pk", flat=True):
        sent(compare_task, comparison_id)
    versions = ModelVersion.objects.filter(state__in=[ModelVersion.State.ACTIVE, ModelVersion.State.INDEXING])
    cameras = list(Camera.objects.values_list("pk", flat=True))
    for version in versions:
        missing = indexing.pending_counts(cameras, version)
        if missing:
            sent(index_task, list(missing), version.pk)


def _wanted(version_id: int) -> ModelVersion | None:
    """The version, unless it was removed meanwhile, or somebody stopped its indexing: then it is `registered` again."""
    return ModelVersion.objects.exclude(state=ModelVersion.State.REGISTERED).filter(pk=version_id).first()


def _goes_on(done: indexing.Slice) -> bool:
    """Whether another slice gets anywhere: what cannot be indexed at all is no reason to try for ever."""
    return done.left == "busy" or (done.left == "time" and done.committed > 0)


def _pause(done: indexing.Slice) -> int:
    return BUSY_SECONDS if done.left == "busy" else 0
