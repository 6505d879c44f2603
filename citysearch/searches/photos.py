"""The operator's photos: checked, re-encoded without metadata, and kept below the media folder."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from PIL import Image

from citysearch.searches.exif import taken_in
from citysearch.searches.models import Search, SearchPhoto
from citysearch.searches.refusals import SearchRefused, refused_photo
from reid_engine.errors import BadPhoto
from reid_engine.people import people_in
from reid_engine.photo import Box, cut_out, encode_jpeg, load_photo, quality_of

# Below this a photo is kept without loss, so that its features are those of the file that was sent.
LOSSLESS_PIXELS = 1_000_000


@dataclass(frozen=True)
class Taken:
    """Where (degrees WGS-84) and when a photo was taken; `time` is aware."""

    longitude: float
    latitude: float
    time: datetime


@dataclass(frozen=True)
class CheckedPhoto:
    """A usable photo: `data` carries nothing but pixels, `sha256` is that of the file as it was sent.

    Compared is the part in `box`, the whole photo without one; `quality` is that of what is compared. The path passes
    where and when it was `taken`, where that is known.
    """

    data: bytes
    suffix: str
    sha256: str
    quality: dict[str, Any]
    box: Box | None = None
    taken: Taken | None = None


def photo_look(data: bytes, box: Box | None = None) -> dict[str, Any]:
    """What to know of a photo before searching with it: its size, the quality of what is compared, who is on it.

    `people` are boxes, the surest first, `says` is where and when its file says it was taken. Raises SearchRefused for
    a file that is no usable photo.
    """
    try:
        image = load_photo(data)
        quality = quality_of(cut_out(image, box))
    except BadPhoto as error:
        raise refused_photo(1, error) from error
    found = [list(person) for person in people_in(image)]
    facts = {"width": image.width, "height": image.height, "quality": asdict(quality), "people": found}
    return facts | {"says": taken_in(data)}


def photos_check(
    files: Sequence[bytes], boxes: Sequence[Box | None] = (), taken: Sequence[Taken | None] = ()
) -> list[CheckedPhoto]:
    """Every file as a usable photo, with its box and with where and when it was taken, where it has them.

    Raises SearchRefused that names the first one that is none, or a box or a place too many.
    """
    if not 1 <= len(files) <= settings.PHOTOS_MAX:
        message = _("Send 1 to %(most)s photos of the person.") % {"most": settings.PHOTOS_MAX}
        raise SearchRefused("photos_count", message, {"photos": message})
    if len(boxes) > len(files):
        more = _("There are more boxes than photos.")
        raise SearchRefused("boxes_count", more, {"boxes": more})
    if len(taken) > len(files):
        more = _("There are more places and times than photos.")
        raise SearchRefused("taken_count", more, {"taken": more})
    given = zip_longest(files, boxes, taken)
    return [replace(_checked(number, data, box), taken=at) for number, (data, box, at) in enumerate(given, start=1)]


def photos_store(search: Search, photos: Sequence[CheckedPhoto]) -> None:
    """Write the files and their rows; the caller's transaction makes the rows visible."""
    folder = photos_folder(search.pk)
    folder.mkdir(parents=True, exist_ok=True)
    for position, photo in enumerate(photos):
        (folder / f"{position}{photo.suffix}").write_bytes(photo.data)
    SearchPhoto.objects.bulk_create(
        SearchPhoto(
            search=search,
            position=position,
            image=f"photos/{search.pk}/{position}{photo.suffix}",
            sha256=photo.sha256,
            quality=photo.quality,
            box=photo.box,
            taken=photo.taken and asdict(photo.taken) | {"time": photo.taken.time.isoformat()},
        )
        for position, photo in enumerate(photos)
    )


def photos_again(search: Search) -> list[CheckedPhoto]:
    """The photos of an earlier search, for another one over them."""
    return [_kept(photo) for photo in search.photos.all()]


def photos_load(search: Search) -> list[Image.Image]:
    """What is compared of the stored photos. Raises BadPhoto for one that can no longer be read."""
    return [photo_load(photo) for photo in search.photos.all()]


def photo_load(photo: SearchPhoto) -> Image.Image:
    """The boxed part of a stored photo as an upright RGB picture; all of it without a box."""
    return cut_out(load_photo(photo_file(photo).read_bytes()), box_of(photo))


def photo_part(photo: SearchPhoto) -> bytes:
    """The boxed part as a JPEG, for a thumbnail."""
    return encode_jpeg(photo_load(photo))


def box_of(photo: SearchPhoto) -> Box | None:
    return Box(*photo.box) if photo.box else None


def taken_of(photo: SearchPhoto) -> Taken | None:
    """Where and when the photo was taken, if that is known."""
    return Taken(**photo.taken | {"time": datetime.fromisoformat(photo.taken["time"])}) if photo.taken else None


def photos_remove(pk: UUID) -> None:
    """Delete the files of a search; those already gone are no error."""
    shutil.rmtree(photos_folder(pk), ignore_errors=True)


def photos_folder(pk: UUID) -> Path:
    return photos_root() / str(pk)


def photos_root() -> Path:
    return Path(settings.MEDIA_ROOT) / "photos"


def photo_file(photo: SearchPhoto) -> Path:
    return Path(settings.MEDIA_ROOT) / photo.image


def _kept(photo: SearchPhoto) -> CheckedPhoto:
    file = photo_file(photo)
    return CheckedPhoto(file.read_bytes(), file.suffix, photo.sha256, photo.quality, box_of(photo), taken_of(photo))


def _checked(number: int, data: bytes, box: Box | None) -> CheckedPhoto:
    try:
        image = load_photo(data)
        quality = quality_of(cut_out(image, box))
    except BadPhoto as error:
        raise refused_photo(number, error) from error
    suffix = ".png" if image.width * image.height <= LOSSLESS_PIXELS else ".jpg"
    bare = _as_png(image) if suffix == ".png" else encode_jpeg(image)
    return CheckedPhoto(bare, suffix, hashlib.sha256(data).hexdigest(), asdict(quality), box)


def _as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
