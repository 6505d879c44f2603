"""Records to pictures, in batches, through the same checks that uploads and imports pass. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PIL import Image

from ..errors import BadDataset, BadPhoto
from ..messages import gettext_noop as _
from ..photo import load_crop, load_photo
from .records import Record

BATCH = 64


def crop_of(record: Record) -> Image.Image:
    """The record's picture as a gallery crop, RGB. Raises BadDataset naming the file."""
    try:
        return load_crop(record.path.read_bytes())
    except (BadPhoto, OSError) as error:
        raise BadDataset(_("%(path)s cannot be used: %(error)s"), error=error, path=str(record.path)) from error


def photo_of(record: Record) -> Image.Image:
    """The record's picture as a query photo, RGB. Raises BadDataset naming the file."""
    try:
        return load_photo(record.path.read_bytes())
    except (BadPhoto, OSError) as error:
        raise BadDataset(_("%(path)s cannot be used: %(error)s"), error=error, path=str(record.path)) from error


def crop_batches(records: Sequence[Record], size: int = BATCH) -> Iterator[list[Image.Image]]:
    """The records' crops in order, `size` at a time."""
    for start in range(0, len(records), size):
        yield [crop_of(record) for record in records[start : start + size]]
