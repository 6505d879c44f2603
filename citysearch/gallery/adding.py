"""One batch of crops on its way in: checked, written, then committed together, or not at all."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from citysearch.gallery import files
from citysearch.gallery.counting import counts_add
from citysearch.gallery.models import Crop, GalleryImport, ImportLine
from citysearch.gallery.moments import aware
from citysearch.gallery.reasons import REASONS, Refused
from reid_engine.errors import BadPhoto
from reid_engine.photo import load_crop
from units.models import Camera

log = logging.getLogger(__name__)

BATCH = 1024
BATCH_BYTES = 64 * 1024 * 1024
SIDE_MAX = 20_000
PERSON_MAX = 2**31 - 1
# Nearer to the ends of what a datetime holds, a clock offset or a time zone would lead beyond them.
YEARS = (1900, 2200)

Key = tuple[int, str]


class CropItem(NamedTuple):
    """One picture to add: its bytes, the time on the camera's own clock, and what the source says of it."""

    data: bytes
    captured_at: datetime
    source_name: str = ""
    person_id: int | None = None
    line: int = 0


@dataclass(frozen=True)
class Outcome:
    """What became of one picture: code is added, known or a key of REASONS (then crop_id is None)."""

    line: int
    name: str
    code: str
    crop_id: int | None = None
    message: str = ""

    @property
    def state(self) -> str:
        return self.code if self.code in ("added", "known") else "refused"


Arrival = tuple[Camera, CropItem] | Outcome  # a picture that was read, or why it could not be


@dataclass(frozen=True)
class BulkReport:
    """The outcomes in the order of the items."""

    outcomes: tuple[Outcome, ...]

    @property
    def added(self) -> list[int]:
        """Ids of the new crops."""
        return [outcome.crop_id for outcome in self.outcomes if outcome.code == "added" and outcome.crop_id is not None]

    @property
    def known(self) -> int:
        return sum(outcome.state == "known" for outcome in self.outcomes)

    @property
    def refused(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.state == "refused"]


def batches(arrivals: Iterable[Arrival]) -> Iterator[list[Arrival]]:
    """Batches bounded in number and in bytes, so that neither a transaction nor the memory grows."""
    batch: list[Arrival] = []
    size = 0
    for arrival in arrivals:
        batch.append(arrival)
        size += 0 if isinstance(arrival, Outcome) else len(arrival[1].data)
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class Batch:
    """Some arrivals, of any cameras, of one import or of none. Use once: `Batch(arrivals, row).add()`."""

    def __init__(self, arrivals: Sequence[Arrival], row: GalleryImport | None = None) -> None:
        self.arrivals, self.row = arrivals, row
        self.keys = [_key_of(arrival) for arrival in arrivals]
        self.drafts: dict[Key, Crop] = {}
        self.broken: dict[Key, Refused] = {}

    def add(self) -> list[Outcome]:
        """Add what is new and return an outcome per arrival. Raises DiskFull, leaving nothing of the batch behind."""
        try:
            with files.disk_full_said():
                self._write_pictures()
                return self._commit()
        except BaseException:
            _discard(self.drafts.values())
            raise

    def _write_pictures(self) -> None:
        known = _stored(self.keys)
        for key, arrival in zip(self.keys, self.arrivals, strict=True):
            if key is None or isinstance(arrival, Outcome) or key in known or key in self.drafts:
                continue
            try:
                self.drafts[key] = _draft(key, arrival, self.row)
            except Refused as error:
                self.broken[key] = error
        if self.drafts:
            files.pictures_flush()

    def _commit(self) -> list[Outcome]:
        """The rows, and the import's counts and lines that speak of them, in one transaction."""
        with transaction.atomic():
            Crop.objects.bulk_create(self.drafts.values(), ignore_conflicts=True)
            stored = _stored(self.keys)
            outcomes = list(self._outcomes(stored))
            lost = {key for key, draft in self.drafts.items() if key in stored and stored[key].image != draft.image}
            counts_add(draft for key, draft in self.drafts.items() if key in stored.keys() - lost)
            if self.row is not None:
                _count(self.row, outcomes)
        files.pictures_remove([self.drafts[key].image for key in lost])
        return outcomes

    def _outcomes(self, stored: dict[Key, Crop]) -> Iterator[Outcome]:
        seen: set[Key] = set()
        for key, arrival in zip(self.keys, self.arrivals, strict=True):
            if key is None or isinstance(arrival, Outcome):
                yield arrival if isinstance(arrival, Outcome) else Outcome(0, "", "unreadable")
                continue
            yield self._outcome(arrival[1], key, stored.get(key), repeated=key in seen)
            seen.add(key)

    def _outcome(self, item: CropItem, key: Key, crop: Crop | None, repeated: bool) -> Outcome:
        """`added` is also what a killed attempt of the same import stored; a repeat within one import is known."""
        name = clean_text(item.source_name, 300)
        if crop is None:
            error = self.broken.get(key) or Refused("unreadable")
            return Outcome(item.line, name, error.code, message=error.message)
        written = key in self.drafts and self.drafts[key].image == crop.image
        ours = written or (self.row is not None and crop.gallery_import_id == self.row.pk)
        return Outcome(item.line, name, "added" if ours and not repeated else "known", crop.pk)


def clean_text(text: object, length: int) -> str:
    """Text that any database takes: no NUL, no half a character, the last `length` characters."""
    return str(text).replace("\0", "").encode("utf-8", "replace").decode()[-length:]


def _key_of(arrival: Arrival) -> Key | None:
    return None if isinstance(arrival, Outcome) else (arrival[0].pk, files.sha256_of(arrival[1].data))


def _draft(key: Key, arrival: tuple[Camera, CropItem], row: GalleryImport | None) -> Crop:
    """A crop whose picture is checked and written, not yet committed. Raises Refused, DiskFull."""
    camera, item = arrival
    width, height = checked_size(item)
    return Crop(
        camera=camera,
        sha256=key[1],
        image=files.picture_write(camera.pk, item.data, key[1]),
        source_name=clean_text(item.source_name, 300),
        captured_at=aware(item.captured_at),
        width=width,
        height=height,
        person_id=item.person_id,
        gallery_import=row,
    )


def checked_size(item: CropItem) -> tuple[int, int]:
    """Width and height of a picture that can be stored, with a time and a person that can be. Raises Refused."""
    try:
        size = load_crop(item.data).size
    except BadPhoto as error:
        raise Refused(str(error.data["reason"]), str(error)) from error
    if max(size) > SIDE_MAX:
        raise Refused("too_large", _("A side of %(side)d pixels.") % {"side": max(size)})
    if not YEARS[0] <= item.captured_at.year <= YEARS[1]:
        raise Refused("bad_time", item.captured_at.isoformat())
    if item.person_id is not None and abs(item.person_id) > PERSON_MAX:
        raise Refused("bad_person", item.person_id)
    return size


def _stored(keys: Iterable[Key | None]) -> dict[Key, Crop]:
    """Those of the (camera, sha256) pairs that have a crop."""
    wanted = {key for key in keys if key is not None}
    rows = Crop.objects.filter(camera_id__in={key[0] for key in wanted}, sha256__in={key[1] for key in wanted})
    found = {(row.camera_id, row.sha256): row for row in rows.only("camera_id", "sha256", "image", "gallery_import_id")}
    return {key: row for key, row in found.items() if key in wanted}


def _count(row: GalleryImport, outcomes: Sequence[Outcome]) -> None:
    counts = Counter(outcome.state for outcome in outcomes)
    row.added += counts["added"]
    row.known += counts["known"]
    row.refused += counts["refused"]
    GalleryImport.objects.filter(pk=row.pk).update(added=row.added, known=row.known, refused=row.refused)
    ImportLine.objects.bulk_create(
        ImportLine(gallery_import=row, line=o.line, name=o.name, code=o.code, message=o.message or str(REASONS[o.code]))
        for o in outcomes
        if o.state == "refused"
    )


def _discard(drafts: Iterable[Crop]) -> None:
    """Remove the pictures of a batch that failed, unless its rows were committed before the failure reached us."""
    drafts = list(drafts)
    try:
        committed = Crop.objects.filter(sha256__in={draft.sha256 for draft in drafts})
        images = {draft.image for draft in drafts} - set(committed.values_list("image", flat=True))
    except Exception:
        log.exception("cannot tell which pictures were committed; verify_store --sweep removes the others")
        return
    files.pictures_remove(images)
