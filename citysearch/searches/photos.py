"""The operator's photos: checked, re-encoded without metadata, and kept below the media folder."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from PIL import Image

from citysearch.searches.models import Search, SearchPhoto
from citysearch.searches.refusals import SearchRefused, refused_photo
from reid_engine.errors import BadPhoto
from reid_engine.photo import encode_jpeg, load_photo, quality_of

# Below this a photo is kept without loss, so that its features are those of the file that was sent.
LOSSLESS_PIXELS = 1_000_000


@dataclass(frozen=True)
class CheckedPhoto:
    """A usable photo: `data` carries nothing but pixels, `sha256` is that of the file as it was sent."""

    data: bytes
    suffix: str
    sha256: str
    quality: dict[str, Any]


def photos_check(files: Sequence[bytes]) -> list[CheckedPhoto]:
    """Every file as a usable photo. Raises SearchRefused that names the first one that is none."""
    if not 1 <= len(files) <= settings.PHOTOS_MAX:
        message = _("Send 1 to %(most)s photos of the person.") % {"most": settings.PHOTOS_MAX}
        raise SearchRefused("photos_count", message, {"photos": message})
    return [_checked(number, data) for number, data in enumerate(files, start=1)]


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
        )
        for position, photo in enumerate(photos)
    )


def photos_again(search: Search) -> list[CheckedPhoto]:
    """The photos of an earlier search, for another one over them."""
    return [
        CheckedPhoto(photo_file(photo).read_bytes(), photo_file(photo).suffix, photo.sha256, photo.quality)
        for photo in search.photos.all()
    ]


def photos_load(search: Search) -> list[Image.Image]:
    """The stored photos as upright RGB pictures. Raises BadPhoto for one that can no longer be read."""
    return [load_photo(photo_file(photo).read_bytes()) for photo in search.photos.all()]


def photos_remove(pk: UUID) -> None:
    """Delete the files of a search; those already gone are no error."""
    shutil.rmtree(photos_folder(pk), ignore_errors=True)


def photos_folder(pk: UUID) -> Path:
    return photos_root() / str(pk)


def photos_root() -> Path:
    return Path(settings.MEDIA_ROOT) / "photos"


def photo_file(photo: SearchPhoto) -> Path:
    return Path(settings.MEDIA_ROOT) / photo.image


def _checked(number: int, data: bytes) -> CheckedPhoto:
    try:
        image = load_photo(data)
    except BadPhoto as error:
        raise refused_photo(number, error) from error
    suffix = ".png" if image.width * image.height <= LOSSLESS_PIXELS else ".jpg"
    bare = _as_png(image) if suffix == ".png" else encode_jpeg(image)
    return CheckedPhoto(bare, suffix, hashlib.sha256(data).hexdigest(), asdict(quality_of(image)))


def _as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
