"""Where and when a photo says it was taken: a proposal for the form, since cameras' clocks and places may be wrong."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone
from PIL import ExifTags, Image

Tag, Gps = ExifTags.Base, ExifTags.GPS
WRITTEN = "%Y:%m:%d %H:%M:%S"


def taken_in(data: bytes) -> dict[str, Any]:
    """longitude, latitude (degrees WGS-84) and time (ISO 8601) of the file's EXIF, each None where it is not there.

    A time without an offset is one of the installation's time zone.
    """
    exif = Image.open(io.BytesIO(data)).getexif()
    gps, facts = exif.get_ifd(ExifTags.IFD.GPSInfo), exif.get_ifd(ExifTags.IFD.Exif)
    place = {
        "longitude": _degrees(gps.get(Gps.GPSLongitude), gps.get(Gps.GPSLongitudeRef) == "W"),
        "latitude": _degrees(gps.get(Gps.GPSLatitude), gps.get(Gps.GPSLatitudeRef) == "S"),
    }
    return place | {"time": _time(facts)}


def _degrees(parts: Sequence[Any] | None, negative: bool) -> float | None:
    """Degrees, minutes, seconds as degrees; None where they are none."""
    try:
        degrees, minutes, seconds = (float(part) for part in parts or ())
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    value = degrees + minutes / 60 + seconds / 3600
    return round(-value if negative else value, 6) if 0 <= value <= 180 else None


def _time(facts: Mapping[int, Any]) -> str | None:
    written, offset = str(facts.get(Tag.DateTimeOriginal, "")), str(facts.get(Tag.OffsetTimeOriginal, ""))
    for text, form in ((written + offset, WRITTEN + "%z"), (written, WRITTEN)):
        try:
            time = datetime.strptime(text, form)
        except ValueError:
            continue
        zone = timezone.get_default_timezone()
        return (time.replace(tzinfo=zone) if time.tzinfo is None else time.astimezone(zone)).isoformat()
    return None
