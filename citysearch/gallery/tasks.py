"""Celery tasks of the gallery. Each takes ids and calls one service; each may be run twice without harm."""

from __future__ import annotations

import logging
from typing import Any

from celery import shared_task
from celery.signals import worker_ready

from citysearch.gallery import services, spool
from citysearch.gallery.indexing import pending_counts
from citysearch.gallery.models import GalleryImport
from citysearch.research.models import ModelVersion
from citysearch.research.services import model_activate, model_indexed
from units.models import Camera

log = logging.getLogger(__name__)


@shared_task(queue="engine")
def index_task(camera_ids: list[int], version_id: int) -> int:
    """Index these cameras for a model version; one that was removed meanwhile is no work."""
    version = ModelVersion.objects.filter(pk=version_id).first()
    if version is None:
        return 0
    count = services.index_cameras(camera_ids, version)
    if version.state in (ModelVersion.State.REGISTERED, ModelVersion.State.INDEXING):
        model_indexed(version)
    return count


@shared_task(queue="engine")
def version_index_task(version_id: int, activate: bool = False) -> int:
    """Index the whole gallery for a model version in the background and, if asked, switch to it when complete."""
    version = ModelVersion.objects.filter(pk=version_id).first()
    if version is None:
        return 0
    count = services.version_index(version)
    if activate:
        model_activate(version)
    return count


@shared_task(queue="default")
def import_task(import_id: int) -> None:
    """Do a ZIP import that was uploaded. The archive is kept until the import is done, so that it can be run again."""
    row = GalleryImport.objects.filter(pk=import_id).exclude(state=GalleryImport.State.DONE).first()
    if row is None:
        return
    services.import_run(row, spool.spool_path(import_id))
    if row.state == GalleryImport.State.DONE:
        spool.spool_remove(import_id)


@shared_task(queue="default")
def purge_task() -> dict[str, dict[str, int]]:
    """Erase what is older than its unit keeps it."""
    return services.crops_purge().as_dict()


@shared_task(queue="default")
def gallery_catch_up() -> None:
    """Queue again what was left undone while no broker or no worker was there: imports, crops without features."""
    states = [GalleryImport.State.QUEUED, GalleryImport.State.RUNNING]
    for import_id in GalleryImport.objects.filter(state__in=states).values_list("pk", flat=True):
        if spool.spool_path(import_id).exists():
            import_task.delay(import_id)
    versions = ModelVersion.objects.filter(state__in=[ModelVersion.State.ACTIVE, ModelVersion.State.INDEXING])
    cameras = list(Camera.objects.values_list("pk", flat=True))
    for version in versions:
        missing = pending_counts(cameras, version)
        if missing:
            index_task.delay(list(missing), version.pk)


@worker_ready.connect
def _catch_up_on_start(sender: Any = None, **kwargs: Any) -> None:
    try:
        gallery_catch_up.delay()
    except Exception:
        log.exception("the gallery's unfinished work could not be queued")
