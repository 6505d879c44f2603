"""Crops on their way in, by batches: checked, written, then committed together, or not at all."""

from __future__ import annotations

import logging
import os
from collections import Counter, deque
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import NamedTuple

from django.db import connection, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from citysearch.gallery import files
from citysearch.gallery.counting import counts_add
from citysearch.gallery.models import Crop, GalleryImport, ImportLine
from citysearch.gallery.moments import aware
from citysearch.gallery.reasons import REASONS, Refused
from citysearch.gallery.writers import Writers
from reid_engine.errors import BadPhoto
from reid_engine.photo import crop_size
from units.models import Camera

log = logging.getLogger(__name__)

BATCH = 1024
BATCH_BYTES = 64 * 1024 * 1024
THREADS = min(8, len(os.sched_getaffinity(0)))  # more only wait for the lines and rows
AHEAD = 2  # batches that are written, or flushed, while the one before them is committed
PIECE = 128  # pictures at most that a thread, or a writer, checks and writes before it looks for more
SIDE_MAX = 20_000
MESSAGE_MAX = 2000
PERSON_MAX = 2**31 - 1
# Nearer to the ends of what a datetime holds, a clock offset or a time zone would lead beyond them.
YEARS = (1900, 2200)

STORED = "camera_id, sha256, id, image, gallery_import_id"  # the columns of a Key and of what is Stored under it

Key = tuple[int, str]


class CropItem(NamedTuple):
    """One picture to add: its bytes, the time on the camera's own clock, and what the source says of it."""

    data: bytes
    captured_at: datetime
    source_name: str = ""
    person_id: int | None = None
    line: int = 0


class Draft(NamedTuple):
    """A row of the table of crops whose picture is written, under the names of its columns."""

    captured_at: datetime
    camera_id: int
    sha256: str
    image: str
    source_name: str
    width: int
    height: int
    person_id: int | None
    gallery_import_id: int | None


class Stored(NamedTuple):
    """What is known of a crop that has a row."""

    pk: int
    image: str
    import_id: int | None


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


def added(
    arrivals: Iterable[Arrival], row: GalleryImport | None = None
) -> Generator[tuple[list[Arrival], list[Outcome]], None, None]:
    """Add arrivals, of any cameras, of one import or of none: each batch with its outcomes once that is committed.

    Meanwhile the pictures of the next batch are read, checked and written. Raises DiskFull with what was committed
    kept; what a batch that was not committed has written is removed, also when the caller takes no more.
    """
    begun: deque[Batch] = deque()
    with closing(Pools()) as pools:
        try:
            for some in batches(arrivals):
                begun.append(Batch(some, row, pools))
                begun[-1].begin()
                if len(begun) > AHEAD:
                    yield _committed(begun)
            while begun:
                yield _committed(begun)
        finally:
            for batch in begun:
                batch.drop()


def _committed(begun: deque[Batch]) -> tuple[list[Arrival], list[Outcome]]:
    """Commit the batch that was begun first."""
    outcomes = begun[0].commit()
    return begun.popleft().arrivals, outcomes


class Pools:
    """Who works for the batches: threads that check and write, with writers, and one that flushes what is written."""

    def __init__(self) -> None:
        self.writers = Writers(THREADS, SIDE_MAX)
        self.pictures, self.disk = ThreadPoolExecutor(THREADS, "pictures"), ThreadPoolExecutor(1, "disk")

    def close(self) -> None:
        """End them once they have done what was begun."""
        self.pictures.shutdown()
        self.disk.shutdown()
        self.writers.close()


class Batch:
    """Some arrivals. `begin` has their pictures checked and written, `commit` adds the rows, `drop` takes all back."""

    def __init__(self, arrivals: list[Arrival], row: GalleryImport | None, pools: Pools) -> None:
        self.arrivals, self.row, self.pools = arrivals, row, pools
        self.keys = [_key_of(arrival) for arrival in arrivals]
        self.known: dict[Key, Stored] = {}
        self.drafts: dict[Key, Draft] = {}
        self.broken: dict[Key, Refused] = {}
        self._pieces: list[Future[None]] = []

    def begin(self) -> None:
        """Have those pictures written that are not known yet, each once, and then flushed."""
        self.known = _stored({key for key in self.keys if key is not None})
        new: dict[Key, CropItem] = {}
        for key, arrival in zip(self.keys, self.arrivals, strict=True):
            if key is not None and key not in self.known and not isinstance(arrival, Outcome):
                new.setdefault(key, arrival[1])
        self.pools.writers.expect(len(new))
        items, language, zone = list(new.items()), translation.get_language(), timezone.get_current_timezone()
        size = min(PIECE, 1 + len(items) // THREADS)
        for start in range(0, len(items), size):
            piece = self.pools.pictures.submit(self._write_pictures, items[start : start + size], language, zone)
            self._pieces.append(piece)
        self._flushed = self.pools.disk.submit(self._flush, language)

    def commit(self) -> list[Outcome]:
        """Wait until the pictures are on the disk, then add what is new: an outcome per arrival. Raises DiskFull."""
        self._flushed.result()
        with files.disk_full_said():
            return self._commit()

    def drop(self) -> None:
        """Remove the pictures, unless their rows were committed before whatever failed reached us."""
        for piece in self._pieces:
            piece.cancel()
        wait(self._pieces)
        _discard(self.drafts.values())

    def _flush(self, language: str | None) -> None:
        """Once all are written. Meanwhile those of the next batch are, so that nobody waits for the disk."""
        for piece in self._pieces:
            piece.result()
        if self.drafts:
            with translation.override(language):
                files.pictures_flush()

    def _write_pictures(self, items: Sequence[tuple[Key, CropItem]], language: str | None, zone: tzinfo) -> None:
        """What a thread does: in the language and time zone of whoever adds, of which it knows nothing by itself."""
        with translation.override(language), timezone.override(zone):
            for key, item in self._left_by_writers(items):
                try:
                    self.drafts[key] = _written(key, item, self.row)
                except Refused as error:
                    self.broken[key] = error

    def _left_by_writers(self, items: Sequence[tuple[Key, CropItem]]) -> list[tuple[Key, CropItem]]:
        """Have writers take them. Those that they did not write, for whatever reason, are left: whoever tries finds it.

        Nothing is raised between the writing and the noting of what was written.
        """
        fit = [(key, item) for key, item in items if _misfit(item) is None]
        images = [files.picture_name(*key, item.data) for key, item in fit]
        pictures = [(image, item.data) for image, (_key, item) in zip(images, fit, strict=True)]
        sizes = self.pools.writers.written(pictures)
        for (key, item), image, size in zip(fit, images, sizes, strict=True):
            if size is not None:
                self.drafts[key] = _draft(key, item, self.row, image, size)
        return [(key, item) for key, item in items if key not in self.drafts]

    def _commit(self) -> list[Outcome]:
        """The rows, and the import's counts and lines that speak of them, in one transaction."""
        with transaction.atomic():
            stored = self.known | _rows_add(
                [self.drafts[key] for key in dict.fromkeys(self.keys) if key in self.drafts]
            )
            stored |= _stored(self.drafts.keys() - stored.keys())
            outcomes = list(self._outcomes(stored))
            lost = {key for key, draft in self.drafts.items() if key in stored and stored[key].image != draft.image}
            counts_add(self.drafts[key] for key in self.drafts.keys() & stored.keys() - lost)
            if self.row is not None:
                _count(self.row, outcomes)
        files.pictures_remove([self.drafts[key].image for key in lost])
        return outcomes

    def _outcomes(self, stored: Mapping[Key, Stored]) -> Iterator[Outcome]:
        seen: set[Key] = set()
        for key, arrival in zip(self.keys, self.arrivals, strict=True):
            if key is None or isinstance(arrival, Outcome):
                yield arrival if isinstance(arrival, Outcome) else Outcome(0, "", "unreadable")
                continue
            yield self._outcome(arrival[1], key, stored.get(key), repeated=key in seen)
            seen.add(key)

    def _outcome(self, item: CropItem, key: Key, crop: Stored | None, repeated: bool) -> Outcome:
        """`added` is also what a killed attempt of the same import stored; a repeat within one import is known."""
        name = clean_text(item.source_name, 300)
        if crop is None:
            error = self.broken.get(key) or Refused("unreadable")
            return Outcome(item.line, name, error.code, message=error.message)
        written = key in self.drafts and self.drafts[key].image == crop.image
        ours = written or (self.row is not None and crop.import_id == self.row.pk)
        return Outcome(item.line, name, "added" if ours and not repeated else "known", crop.pk)


def clean_text(text: object, length: int) -> str:
    """Text that any database takes: no NUL, no half a character, the last `length` characters."""
    return str(text).replace("\0", "").encode("utf-8", "replace").decode()[-length:]


def _key_of(arrival: Arrival) -> Key | None:
    return None if isinstance(arrival, Outcome) else (arrival[0].pk, files.sha256_of(arrival[1].data))


def _written(key: Key, item: CropItem, row: GalleryImport | None) -> Draft:
    """A crop whose picture is checked and written, not yet committed. Raises Refused, DiskFull."""
    size, image = checked_size(item), files.picture_name(*key, item.data)
    files.picture_write(image, item.data)
    return _draft(key, item, row, image, size)


def _draft(key: Key, item: CropItem, row: GalleryImport | None, image: str, size: tuple[int, int]) -> Draft:
    return Draft(
        camera_id=key[0],
        sha256=key[1],
        image=image,
        source_name=clean_text(item.source_name, 300),
        captured_at=aware(item.captured_at),
        width=size[0],
        height=size[1],
        person_id=item.person_id,
        gallery_import_id=row.pk if row else None,
    )


def checked_size(item: CropItem) -> tuple[int, int]:
    """Width and height of a picture that can be stored, with a time and a person that can be. Raises Refused."""
    try:
        size = crop_size(item.data)
    except BadPhoto as error:
        raise Refused(str(error.data["reason"]), str(error)) from error
    if max(size) > SIDE_MAX:
        raise Refused("too_large", _("A side of %(side)d pixels.") % {"side": max(size)})
    if misfit := _misfit(item):
        raise misfit
    return size


def _misfit(item: CropItem) -> Refused | None:
    """Why the time or the person cannot be stored, if so."""
    if not YEARS[0] <= item.captured_at.year <= YEARS[1]:
        return Refused("bad_time", item.captured_at.isoformat())
    if item.person_id is not None and abs(item.person_id) > PERSON_MAX:
        return Refused("bad_person", item.person_id)
    return None


def _rows_add(drafts: Sequence[Draft]) -> dict[Key, Stored]:
    """Store rows as they are, but none that is there; returns the new ones. As objects they take five times as long."""
    if not drafts:
        return {}
    table, columns = connection.ops.quote_name(Crop._meta.db_table), ", ".join(Draft._fields)
    marks, moment_of = ", ".join(["%s"] * len(Draft._fields)), connection.ops.adapt_datetimefield_value
    rows = ", ".join([f"({marks})"] * len(drafts))
    values = [value for draft in drafts for value in (moment_of(draft.captured_at), *draft[1:])]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({columns}) VALUES {rows} ON CONFLICT DO NOTHING RETURNING {STORED}", values
        )
        return {(camera, sha256): Stored(*rest) for camera, sha256, *rest in cursor.fetchall()}


def _stored(keys: Collection[Key]) -> dict[Key, Stored]:
    """Those of the (camera, sha256) pairs that have a crop.

    Asked for as pairs: cameras and checksums on their own make a database try each of these before each of those. As a
    CROSS JOIN: of an IN, SQLite reads the whole table.
    """
    if not keys:
        return {}
    table, marks = connection.ops.quote_name(Crop._meta.db_table), ", ".join(["(%s, %s)"] * len(keys))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {STORED} FROM (VALUES {marks}) AS pairs CROSS JOIN {table} "
            "WHERE camera_id = column1 AND sha256 = column2",
            [value for key in keys for value in key],
        )
        return {(camera, sha256): Stored(*rest) for camera, sha256, *rest in cursor.fetchall()}


def _count(row: GalleryImport, outcomes: Sequence[Outcome]) -> None:
    counts = Counter(outcome.state for outcome in outcomes)
    row.added += counts["added"]
    row.known += counts["known"]
    row.refused += counts["refused"]
    GalleryImport.objects.filter(pk=row.pk).update(added=row.added, known=row.known, refused=row.refused)
    ImportLine.objects.bulk_create(_line(row, o) for o in outcomes if o.state == "refused")


def _line(row: GalleryImport, outcome: Outcome) -> ImportLine:
    message = clean_text(outcome.message or REASONS[outcome.code], MESSAGE_MAX)
    return ImportLine(gallery_import=row, line=outcome.line, name=outcome.name, code=outcome.code, message=message)


def _discard(drafts: Iterable[Draft]) -> None:
    drafts = list(drafts)
    try:
        committed = {stored.image for stored in _stored({(draft.camera_id, draft.sha256) for draft in drafts}).values()}
    except Exception:
        log.exception("cannot tell which pictures were committed; verify_store --sweep removes the others")
        return
    files.pictures_remove({draft.image for draft in drafts} - committed)
