"""Writes of the gallery: crops in, features beside them, crops out again.

The order everywhere: files first, then the rows that name them, in transactions of a thousand at most. Whatever kills a
writer, a row names a whole file, and running the same thing again goes on where it stopped.
"""

from __future__ import annotations

import gc
import logging
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from citysearch.changes import change_tell
from citysearch.errors import Conflict, ServiceError
from citysearch.gallery import layouts
from citysearch.gallery.adding import Arrival, BulkReport, CropItem, Outcome, added, checked_size, clean_text
from citysearch.gallery.erasing import ErasureReport, crops_erase, crops_purge
from citysearch.gallery.featured import FeatureFile
from citysearch.gallery.files import DiskFull
from citysearch.gallery.indexing import index_cameras, index_request, version_index, version_index_request
from citysearch.gallery.models import Crop, GalleryImport
from citysearch.gallery.moments import moment_of
from citysearch.gallery.naming import CAMERAS
from citysearch.gallery.queueing import sent
from citysearch.gallery.reasons import REASONS, Refused
from citysearch.gallery.spool import spool_path, spool_remove, spool_write
from citysearch.gallery.stopping import ImportStopped, import_stop
from reid_engine.photo import MAX_BYTES
from units.access import cameras_of
from units.models import Camera, Role

__all__ = [
    "BulkReport",
    "CropItem",
    "ErasureReport",
    "Outcome",
    "crop_add",
    "crops_add_all",
    "crops_add_bulk",
    "crops_erase",
    "crops_import",
    "crops_purge",
    "crops_upload",
    "import_create",
    "import_fail",
    "import_rerun",
    "import_run",
    "import_stop",
    "import_stopped",
    "import_upload",
    "index_cameras",
    "index_request",
    "version_index",
    "version_index_request",
]

log = logging.getLogger(__name__)

Progress = Callable[[int, int], object]
User = AbstractBaseUser | AnonymousUser


class Upload(Protocol):
    """A file as a web request brings it."""

    name: str | None

    def read(self, num_bytes: int | None = None, /) -> bytes: ...


def crop_add(
    camera: Camera, data: bytes, captured_at: datetime, source_name: str = "", person_id: int | None = None
) -> tuple[Crop, bool]:
    """Add one crop and say whether it is new. Raises ServiceError for a picture that cannot be used, DiskFull."""
    item = CropItem(data, captured_at, source_name, person_id)
    outcome = crops_add_bulk(camera, [item]).outcomes[0]
    if outcome.crop_id is None:
        raise ServiceError(outcome.message, {"file": outcome.message}, reason=outcome.code)
    return Crop.objects.get(pk=outcome.crop_id), outcome.code == "added"


def crops_add_bulk(
    camera: Camera,
    items: Iterable[CropItem],
    gallery_import: GalleryImport | None = None,
    progress: Callable[[int], object] | None = None,
) -> BulkReport:
    """Add many crops of one camera: see `crops_add_all`."""
    return crops_add_all(((camera, item) for item in items), gallery_import, progress)


def crops_add_all(
    items: Iterable[tuple[Camera, CropItem]],
    gallery_import: GalleryImport | None = None,
    progress: Callable[[int], object] | None = None,
) -> BulkReport:
    """Add many crops of any cameras; the bytes are kept exactly as they came (they are evidence).

    A broken picture is an outcome with a reason, a known one (same bytes, same camera) stays as it is. Committed
    every thousand at most; raises DiskFull with what was committed kept. Nothing is indexed: see `index_request`.
    """
    outcomes: list[Outcome] = []
    with closing(added(items, gallery_import)) as batches:
        for _batch, some in batches:
            outcomes += some
            if progress:
                progress(len(outcomes))
    return BulkReport(tuple(outcomes))


def import_create(
    layout: str, source: str, user: User | None = None, camera_map: Mapping[str, str] | None = None
) -> GalleryImport:
    """A queued import; `import_run` does it. It remembers what its cameras are called, for when it is run again."""
    user_id, names = user.pk if user else None, dict(camera_map or {})
    return GalleryImport.objects.create(
        layout=layout, source=clean_text(source, 500), user_id=user_id, camera_map=names
    )


def crops_import(
    source: Path | str,
    layout: str,
    *,
    camera_map: Mapping[str, str] | None = None,
    subset: str = layouts.Options.subset,
    user: User | None = None,
    progress: Progress | None = None,
    features: FeatureFile | None = None,
) -> GalleryImport:
    """Import a folder, ZIP, CSV manifest, research set or GA/T 1400 list; return the finished row, done or failed.

    `camera_map`: what the source calls a camera -> camera code (research sets: "1", "2" ...). A `user` may only add
    to the cameras he administers. A broken picture is an ImportLine. A source that cannot be read at all and a full
    disk make the import `failed` with a message; what was committed stays and the same import, run again, goes on.
    Ctrl-C does the same, then goes up. `features` holds one row for each picture, in the order of the source.
    """
    row = import_create(layout, str(source), user, camera_map)
    return import_run(row, Path(source), subset=subset, progress=progress, features=features)


def import_run(
    row: GalleryImport,
    source: Path,
    *,
    subset: str = layouts.Options.subset,
    progress: Progress | None = None,
    features: FeatureFile | None = None,
) -> GalleryImport:
    """Do a queued import, or again one that was killed or failed. Raises Conflict when it is done already."""
    _import_begin(row)
    with _import_ended(row):
        cameras = {camera.code: camera for camera in _cameras_for(row, source)}
        if not cameras:
            raise ServiceError(_("There is no camera yet to put crops behind. Add cameras first, or run demo_city."))
        names = row.camera_map or _camera_map_of(row.layout, cameras)
        options = layouts.Options(frozenset(cameras), names, subset)
        with layouts.entries(source, row.layout, options) as found:
            GalleryImport.objects.filter(pk=row.pk).update(total=len(found))
            _entries_add(row, found, cameras, progress, features)
    return row


def crops_upload(
    camera: Camera, uploads: Iterable[Upload], user: User, captured_at: datetime | None = None
) -> tuple[GalleryImport, BulkReport]:
    """Add pictures sent over the API, recorded as an import of their own; they are indexed once this is committed.

    Each is as old as it says (`captured_at`, else its name, else its EXIF), else it was taken just now. Raises
    DiskFull with what was committed kept.
    """
    row = import_create(GalleryImport.Layout.API, camera.code, user)
    _import_begin(row)
    try:
        arrivals = (_uploaded(camera, line, upload, captured_at) for line, upload in enumerate(uploads, 1))
        outcomes = [outcome for _batch, some in added(arrivals, row) for outcome in some]
    except DiskFull as error:
        import_fail(row, error.message)
        raise
    GalleryImport.objects.filter(pk=row.pk).update(total=len(outcomes))
    _import_end(row, GalleryImport.State.DONE, "")
    return row, BulkReport(tuple(outcomes))


def _uploaded(camera: Camera, line: int, upload: Upload, captured_at: datetime | None) -> Arrival:
    """An upload is read no further than a picture may be long."""
    name = clean_text(upload.name or "", 300)
    data = upload.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        return Outcome(line, name, "too_large", message=str(REASONS["too_large"]))
    return camera, CropItem(data, captured_at or moment_of(name, data, timezone.now()), name, line=line)


def import_upload(
    name: str,
    chunks: Iterable[bytes],
    user: User,
    layout: str = GalleryImport.Layout.ZIP,
    camera_map: Mapping[str, str] | None = None,
) -> GalleryImport:
    """Keep an uploaded ZIP (of GA/T 1400 also one JSON file) and queue its import. Raises BadSource, DiskFull.

    Without a broker the import stays queued until a worker starts.
    """
    row = import_create(layout, name, user, camera_map)
    try:
        path = spool_write(row.pk, chunks)
        if layout != GalleryImport.Layout.GAT1400 and not zipfile.is_zipfile(path):
            raise layouts.BadSource(_("%(path)s is no ZIP archive that can be read.") % {"path": name})
    except BaseException:
        spool_remove(row.pk)
        row.delete()
        raise
    import_request(row)
    change_tell("import", "upload", number=row.pk, layout=layout)
    return row


def import_rerun(row: GalleryImport) -> GalleryImport:
    """Queue an import that failed, was stopped or killed again. Conflict when it is done, or its archive is gone."""
    if row.state == GalleryImport.State.DONE or not spool_path(row.pk).exists():
        raise Conflict(_("There is nothing left to import; upload the archive again."))
    GalleryImport.objects.filter(pk=row.pk).update(state=GalleryImport.State.QUEUED, message="", finished_at=None)
    row.refresh_from_db()
    import_request(row)
    change_tell("import", "run again", number=row.pk)
    return row


def import_stopped(row: GalleryImport) -> None:
    """End an import that somebody stopped."""
    _import_end(row, GalleryImport.State.STOPPED, ImportStopped().message)


def import_request(row: GalleryImport) -> None:
    """Queue an import whose archive is kept, on commit."""
    from citysearch.gallery.tasks import import_task

    transaction.on_commit(partial(sent, import_task, row.pk))


def import_fail(row: GalleryImport, message: str) -> None:
    """Mark an import as failed; where not even that can be written (a full disk), say so in the log."""
    try:
        _import_end(row, GalleryImport.State.FAILED, message)
    except Exception:
        log.exception("import %s failed (%s), and its row could not be written", row.pk, message)
        row.state, row.message = GalleryImport.State.FAILED, message


@contextmanager
def _import_ended(row: GalleryImport) -> Iterator[None]:
    """Whatever happens in the block, the row says so afterwards; only what is no fault of the input goes up."""
    try:
        yield
    except ImportStopped:
        import_stopped(row)
    except ServiceError as error:
        import_fail(row, error.message)
    except IntegrityError:
        import_fail(row, _("A camera was deleted while crops were added to it. Run the import again."))
    except KeyboardInterrupt:
        import_fail(row, _("Stopped. What was imported so far is kept; run it again to go on."))
        raise
    except Exception as error:
        import_fail(row, _("Unexpected error: %(error)s. What was imported so far is kept.") % {"error": error})
        raise
    else:
        _import_end(row, GalleryImport.State.DONE, "")


def _cameras_for(row: GalleryImport, source: Path) -> Iterable[Camera]:
    """The cameras of whoever started the import; all of them for the command line, which names nobody.

    An upload without a user is one whose user was deleted since: his rights went with him.
    """
    if row.user is not None:
        return cameras_of(row.user, Role.ADMINISTRATOR)
    if source == spool_path(row.pk):
        raise ServiceError(_("There is nothing left to import; upload the archive again."))
    return Camera.objects.all()


def _camera_map_of(layout: str, cameras: Iterable[str]) -> dict[str, str]:
    """The cameras of a research set stand, unless told otherwise, for the first of the city by code."""
    return {str(number): code for number, code in enumerate(sorted(cameras)[: CAMERAS.get(layout, 0)], start=1)}


def _import_begin(row: GalleryImport) -> None:
    """Any state but done or stopped --> running, with the counts and lines of an earlier attempt cleared."""
    fresh = {"total": 0, "added": 0, "known": 0, "refused": 0, "message": "", "finished_at": None}
    with transaction.atomic():
        ended = (GalleryImport.State.DONE, GalleryImport.State.STOPPED)
        open_rows = GalleryImport.objects.filter(pk=row.pk).exclude(state__in=ended)
        if not open_rows.update(state=GalleryImport.State.RUNNING, **fresh):
            raise Conflict(_("This import is done already."))
        row.lines.all().delete()
    row.refresh_from_db()


def _import_end(row: GalleryImport, state: GalleryImport.State, message: str) -> None:
    GalleryImport.objects.filter(pk=row.pk).update(state=state, message=message, finished_at=timezone.now())
    row.refresh_from_db()
    cameras = Crop.objects.filter(gallery_import=row).order_by().values_list("camera_id", flat=True).distinct()
    index_request(list(cameras))


def _entries_add(
    row: GalleryImport,
    found: layouts.Entries,
    cameras: Mapping[str, Camera],
    progress: Progress | None,
    features: FeatureFile | None = None,
) -> None:
    done = 0
    arrivals: Iterable[Arrival] = (_arrival(entry, cameras) for entry in found)
    if features is not None:
        features.check_count(len(found))
        arrivals = (features.checked(arrival, number) for number, arrival in enumerate(arrivals))
    with _older_objects_left(), closing(added(arrivals, row)) as batches:
        for batch, outcomes in batches:
            if features is not None:
                features.take(batch, outcomes, done)
            done += len(outcomes)
            if progress:
                progress(done, len(found))
    if features is not None:
        features.commit()


@contextmanager
def _older_objects_left() -> Iterator[None]:
    """Keep Python from looking through all that was there before, again and again, for something to free.

    It does so after so many new objects, and an import makes a dozen for each picture: a tenth of what it computes.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _arrival(entry: layouts.Entry, cameras: Mapping[str, Camera]) -> Arrival:
    """The picture of an entry, or why there is none. The file's own fault is said before the camera's."""
    try:
        data = entry.read()
        item = CropItem(data, entry.when(data), entry.name, entry.person_id, entry.line)
        if entry.camera in cameras:
            return cameras[entry.camera], item
        checked_size(item)
        raise Refused("unknown_camera", _("There is no camera %(code)s.") % {"code": entry.camera or "''"})
    except Refused as error:
        return Outcome(entry.line, clean_text(entry.name, 300), error.code, message=error.message)
