"""Crop pictures on disk, each under a name that no other write ever uses.

The order is file, then row: a row names a whole file. A writer killed before the row leaves a file nobody names,
perhaps half of one, which `pictures_sweep` removes.
A name of its own for every write means that an erasure can never take a file that a second import has just named.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import secrets
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import OperationalError
from django.utils.translation import gettext as _

from citysearch.errors import Unavailable
from reid_engine.errors import StoreFull
from reid_engine.photo import encode_jpeg, load_crop
from reid_engine.picture_writer import file_write

FOLDER = "crops"
SWEEP_AGE_S = 3600.0
THUMBNAIL, THUMBNAIL_QUALITY = (128, 256), 85
CONTENT_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
_FULL = {errno.ENOSPC, errno.EDQUOT}


class DiskFull(Unavailable):
    """No space is left for pictures, features or rows. What was committed stays; the same import may be run again."""

    code = "disk_full"
    status = 507


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def picture_name(camera_id: int, sha256: str, data: bytes) -> str:
    """A path below the media folder that no picture has or had.

    Names are text here: of a hundred thousand pictures, Path objects would take as long to make as the files. A camera
    has sixteen folders: with more, most pictures of most cameras would lie alone, and a folder costs more than a file.
    """
    return f"{FOLDER}/{camera_id}/{sha256[0]}/{sha256[:40]}-{secrets.token_hex(4)}{suffix_by(data)}"


def picture_write(image: str, data: bytes) -> None:
    """Put the bytes of a crop in place; raises DiskFull, leaving nothing."""
    with disk_full_said():
        file_write(picture_place(image), data)


def pictures_flush() -> None:
    """Make every picture written so far survive a power cut: one call for a whole batch, before its rows are committed.

    An fsync per file costs 4 ms, a syncfs of the media folder as much for hundreds of files.
    """
    root = Path(settings.MEDIA_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    handle = os.open(root, os.O_RDONLY)
    try:
        with disk_full_said():
            _sync_file_system(handle)
    finally:
        os.close(handle)


def picture_path(image: str) -> Path:
    return Path(picture_place(image))


def picture_place(image: str) -> str:
    """The path as text."""
    return f"{settings.MEDIA_ROOT}/{image}"


def picture_read(image: str) -> bytes:
    """The bytes exactly as they came in. Raises FileNotFoundError when somebody removed the file."""
    return picture_path(image).read_bytes()


def thumbnail_of(data: bytes) -> bytes:
    """The picture at most 128x256 as a JPEG; its own bytes where it is no larger. Raises BadPhoto for a damaged one."""
    image = load_crop(data)
    if image.width <= THUMBNAIL[0] and image.height <= THUMBNAIL[1]:
        return data
    image.thumbnail(THUMBNAIL)
    return encode_jpeg(image, THUMBNAIL_QUALITY)


def picture_type(image: str) -> str:
    return CONTENT_TYPES.get(suffix_of(image), "application/octet-stream")


def suffix_of(image: str) -> str:
    return Path(image).suffix


def pictures_remove(images: Collection[str]) -> int:
    """Remove pictures and return how many were there; one that is gone already is no error."""
    return sum(_removed(picture_path(image)) for image in images)


def pictures_on_disk() -> Iterator[tuple[str, Path]]:
    """Every file in the crop folder with its path below the media folder, unfinished ones included."""
    root = Path(settings.MEDIA_ROOT)
    for path in sorted((root / FOLDER).rglob("*")):
        if path.is_file():
            yield path.relative_to(root).as_posix(), path


def pictures_sweep(orphans: Collection[str], older_than_s: float = SWEEP_AGE_S) -> list[str]:
    """Remove those orphans that are older than an hour: a younger one may be about to be named by a row."""
    before = time.time() - older_than_s
    stale = [image for image in orphans if _modified(picture_path(image)) < before]
    pictures_remove(stale)
    return stale


@contextmanager
def disk_full_said() -> Iterator[None]:
    """Turn every way in which a full disk shows itself into DiskFull."""
    try:
        yield
    except StoreFull as error:
        raise _disk_full() from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise _disk_full() from error
    except OperationalError as error:
        if "full" not in str(error) and "No space left" not in str(error):
            raise
        raise _disk_full() from error


def _disk_full() -> DiskFull:
    message = _("The disk is full: %(folder)s. What was imported so far is kept. Free some space and run it again.")
    return DiskFull(message % {"folder": settings.MEDIA_ROOT})


def _sync_file_system(handle: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):
        os.sync()
    elif libc.syncfs(handle) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def suffix_by(data: bytes) -> str:
    """The suffix of a picture's format, by its first bytes."""
    if data.startswith(b"\x89PNG"):
        return ".png"
    return ".webp" if data[8:12] == b"WEBP" else ".jpg"


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()
