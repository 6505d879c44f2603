"""When a crop was taken, where nobody says it outright.

In this order: a time in the file's name (20240131T081500, 2024-01-31_08-15-00.250, 1706659200, 1706659200123), the
EXIF time of the picture, the time the file was last changed. A time without a zone is the installation's TIME_ZONE.
"""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from PIL import Image

from reid_engine.photo import FORMATS

_CALENDAR = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?(\d\d)[-_.]?(\d\d)[T_\- .]?(\d\d)[-_:.]?(\d\d)[-_:.]?(\d\d)"
    r"(?:[.,_](\d{6}|\d{3})(?!\d))?(Z|[+-]\d\d:?\d\d)?(?!\d)"
)
_EPOCH = re.compile(r"(?<!\d)(1\d{9})(\d{3})?(?!\d)")
_EXIF_FOLDER, _EXIF_TAKEN, _EXIF_ZONE = 0x8769, 36867, 36881


def moment_of(name: str, data: bytes, changed: datetime) -> datetime:
    """The time a picture was taken, by its name, else its EXIF, else `changed` (when its file was last changed)."""
    return moment_in_name(name) or moment_in_exif(data) or changed


def moment_in_name(name: str) -> datetime | None:
    for match in _CALENDAR.finditer(name):
        *digits, fraction, zone = match.groups()
        text = "{}-{}-{}T{}:{}:{}".format(*digits) + (f".{fraction}" if fraction else "") + (zone or "")
        moment = moment_read(text)
        if moment:
            return moment
    epoch = _EPOCH.search(name)
    if epoch is None:
        return None
    return datetime.fromtimestamp(int(epoch[1]), UTC) + timedelta(milliseconds=int(epoch[2] or 0))


def moment_in_exif(data: bytes) -> datetime | None:
    """DateTimeOriginal with its zone; None where there is none or it cannot be read (broken EXIF is no error)."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            tags = image.getexif().get_ifd(_EXIF_FOLDER)
        taken, zone = str(tags.get(_EXIF_TAKEN, "")).strip("\0 "), str(tags.get(_EXIF_ZONE, "")).strip("\0 ")
    except Exception:  # noqa: BLE001  Pillow raises whatever a damaged header makes it raise
        return None
    return moment_read(taken.replace(":", "-", 2).replace(" ", "T") + zone)


def moment_read(text: str) -> datetime | None:
    """An ISO 8601 time, aware; None where it is none (or there is no such day)."""
    try:
        moment = parse_datetime(text.strip())
        return moment and aware(moment)
    except (ValueError, OverflowError):
        return None


def aware(moment: datetime) -> datetime:
    """The same time with a zone: the installation's where it has none."""
    return timezone.make_aware(moment) if moment.tzinfo is None else moment
