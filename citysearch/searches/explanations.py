"""Why a hit was found: an overlay of photo and crop, drawn once by an engine worker and kept with the search's photos.

It shows the crop, so it goes when the crop is erased, and the photo, so it goes with the search's photos.
"""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError as BrokerGone

from citysearch.errors import ServiceError, Unavailable
from citysearch.gallery.files import disk_full_said, picture_read
from citysearch.gallery.models import Crop
from citysearch.searches.models import Search, SearchPhoto
from citysearch.searches.photos import photo_file, photo_load, photos_folder
from reid_engine.training.config import FROZEN
from units.access import User

log = logging.getLogger(__name__)

WAIT_S = 8.0
POLL_S = 0.05
ASK_AGAIN_S = 30.0


class Unexplained(ServiceError):
    """A picture the explanation needs is there no more, or the model cannot say."""

    code = "picture_missing"
    status = 404


def explanation(search: Search, crop: Crop, position: int, user: User) -> bytes:
    """The overlay of photo `position` and the crop as a PNG; the first time an engine worker draws it.

    Raises Unexplained where the photo was removed, Unavailable where no worker has drawn it within WAIT_S.
    """
    photo = search.photos.filter(position=position).first()
    if photo is None or not photo_file(photo).is_file():
        raise Unexplained(_("The photo of this search was removed; there is nothing to explain the hit with."))
    if search.model_version is None or search.model_version.backbone in FROZEN:
        raise Unexplained(_("The model of this search has a closed extractor; its hits cannot be explained."))
    path = _path(search.pk, crop.pk, position)
    if not path.is_file():
        _ask(path, photo, crop)
    log.info("explanation of crop %d in search %s read by %s", crop.pk, search.pk, user.get_username())
    return _awaited(path)


def explanation_draw(pk: UUID, crop_id: int, position: int) -> None:
    """Draw one overlay and put it in place; nothing where crop or photo are gone by now."""
    from citysearch.engine import engine_of
    from reid_engine.explain import pair_overlay
    from reid_engine.photo import load_crop

    photo = SearchPhoto.objects.select_related("search__model_version").filter(search=pk, position=position).first()
    crop = Crop.objects.filter(pk=crop_id).first()
    if photo is None or crop is None or photo.search.model_version is None:
        return
    seen, shown = photo_load(photo), load_crop(picture_read(crop.image))
    sheet = pair_overlay(seen, shown, engine_of(photo.search.model_version).explain(seen, shown))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    _put(_path(pk, crop_id, position), buffer.getvalue())
    if not Crop.objects.filter(pk=crop_id).exists():
        explanations_remove([(pk, crop_id)])


def explanations_remove(pairs: Iterable[tuple[UUID, int]]) -> None:
    """Delete the overlays of these crops in these searches; those that are not there are no error."""
    for pk, crop_id in pairs:
        for path in photos_folder(pk).glob(f"explanation-{crop_id}-*"):
            path.unlink(missing_ok=True)


def explanations_left(searches: Collection[UUID], crops: Collection[int]) -> int:
    """How many overlays in these searches show any of the crops."""
    found = (path for pk in searches for path in photos_folder(pk).glob("explanation-*.png"))
    return sum(int(path.name.split("-")[1]) in crops for path in found)


def _path(pk: UUID, crop_id: int, position: int) -> Path:
    return photos_folder(pk) / f"explanation-{crop_id}-{position}.png"


def _ask(path: Path, photo: SearchPhoto, crop: Crop) -> None:
    """Send the drawing to the queue, unless it was sent a moment ago."""
    from citysearch.searches.tasks import explanation_draw as task

    asked = path.with_suffix(".asked")
    if asked.exists() and time.time() - asked.stat().st_mtime < ASK_AGAIN_S:
        return
    with disk_full_said():
        asked.touch()
    try:
        task.delay(str(photo.search_id), crop.pk, photo.position)
    except BrokerGone as gone:
        asked.unlink(missing_ok=True)
        raise Unavailable(_("The task queue cannot be reached. Try again in a moment.")) from gone


def _awaited(path: Path) -> bytes:
    until = time.monotonic() + WAIT_S
    while True:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            if time.monotonic() > until:
                raise Unavailable(_("The explanation is still being drawn. Try again in a moment.")) from None
        time.sleep(POLL_S)


def _put(path: Path, data: bytes) -> None:
    """Whole or not at all; a folder that was removed meanwhile stays removed."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
        path.with_suffix(".asked").unlink(missing_ok=True)
    except FileNotFoundError:
        log.info("search %s lost its photos while an explanation was drawn", path.parent.name)
