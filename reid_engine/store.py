"""Per-camera, time-ordered float16 feature segments on disk, each written once and never changed.

The commit log is in the database: `write` puts one file in place and returns its facts, the caller commits a row with
them, and only files named by committed rows are ever read. A writer killed at any moment therefore leaves at most a
file nobody names, which `sweep` removes. numpy only; the web process and the import commands use it without torch.

One segment file, little endian, every array starting at a multiple of 64 bytes:

    REIDSEG1 | header's length (uint64) | header (JSON, padded with blanks) | ids int64 | seen_at float64 | features
"""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import os
import re
import resource
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from reid_engine.errors import BundleMismatch, StoreCorrupt, StoreFull, TooManyFiles
from reid_engine.stack import Stack

from .messages import Message
from .messages import gettext_noop as _

MAGIC = b"REIDSEG1"
ALIGNMENT = 64
SUFFIX = ".seg"
SWEEP_AGE_S = 3600.0

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TOO_MANY = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

Ids = NDArray[np.int64]
Times = NDArray[np.float64]
Features = NDArray[np.float16]
Window = tuple[float, float]


@dataclass(frozen=True)
class SegmentFacts:
    """What the database must remember of one segment. `path` is relative to the store; times are the camera's clock."""

    path: str
    rows: int
    dim: int
    sha256: str
    start: float
    end: float


@dataclass(frozen=True)
class SegmentData:
    """One segment mapped into memory: ids (n,), seen_at (n,) ascending seconds, features (n, D); all read-only."""

    ids: Ids
    seen_at: Times
    features: Features


@dataclass(frozen=True)
class _Header:
    model_key: str
    camera_id: int
    rows: int
    dim: int

    def encoded(self) -> bytes:
        body = json.dumps(self.__dict__).encode()
        return body + b" " * (-(len(body) + 16) % ALIGNMENT)

    def offsets(self, length: int) -> tuple[int, int, int, int]:
        """Where ids, seen_at and features begin, and where the file ends."""
        ids = 16 + length
        seen_at = _aligned(ids + 8 * self.rows)
        features = _aligned(seen_at + 8 * self.rows)
        return ids, seen_at, features, features + 2 * self.rows * self.dim


class SegmentStore:
    """The segments below one directory. Safe for any number of writers and readers at once."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        _allow_many_files()

    def write(self, model_key: str, camera_id: int, ids: Ids, seen_at: Times, features: Features) -> SegmentFacts:
        """Write n rows of one camera as a new segment and return its facts; the file is on disk when this returns.

        ids (n,) unique, seen_at (n,) seconds, features (n, D) finite, n >= 1, in any order: rows are stored by time.
        Raises ValueError for rows that cannot be stored, StoreFull when the disk is full (nothing is left behind).
        """
        rows = _in_time_order(ids, seen_at, features)
        header = _Header(_checked_key(model_key), int(camera_id), *map(int, rows.features.shape))
        path = f"{model_key}/{int(camera_id)}/{uuid.uuid4().hex}{SUFFIX}"
        sha256 = self._put(path, b"".join(_pieces(header, rows)))
        return SegmentFacts(path, header.rows, header.dim, sha256, float(rows.seen_at[0]), float(rows.seen_at[-1]))

    def open(self, path: str) -> SegmentData:
        """The rows of one segment, memory-mapped. Raises StoreCorrupt for a missing, foreign or cut file, TooManyFiles.

        Only the layout is checked here; `verify` reads every byte.
        """
        whole = self._mapped(path)
        header, length = _parsed(whole, path)
        ids, seen_at, features, end = header.offsets(length)
        if end != whole.size:
            raise _corrupt(path, _("it has %(found)s bytes instead of %(wanted)s"), found=whole.size, wanted=end)
        return SegmentData(
            whole[ids : ids + 8 * header.rows].view("<i8"),
            whole[seen_at : seen_at + 8 * header.rows].view("<f8"),
            whole[features:end].view("<f2").reshape(header.rows, header.dim),
        )

    def verify(self, path: str, sha256: str) -> None:
        """Read every byte of a segment; raises StoreCorrupt unless they are those that were committed."""
        try:
            with self._file(path).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _corrupt(path, _("it cannot be read (%(error)s)"), error=error.strerror) from error
        if found != sha256:
            raise _corrupt(
                path, _("it has checksum %(found)s, committed was %(wanted)s"), found=found[:12], wanted=sha256[:12]
            )
        self.open(path)

    def delete(self, path: str) -> None:
        """Remove a segment; one that is already gone is no error. Readers that have it open keep their pages."""
        with suppress(FileNotFoundError):
            self._file(path).unlink()
            _sync_directory(self._file(path).parent)

    def rewrite_without(self, path: str, dropped_ids: Iterable[int]) -> SegmentFacts | None:
        """Write the segment's other rows as a new segment and return its facts, or None when no row is left.

        The old file stays until the caller has committed the new facts and calls `delete`.
        """
        header, _ = _parsed(self._mapped(path), path)
        segment = self.open(path)
        kept = ~np.isin(segment.ids, np.fromiter(dropped_ids, dtype=np.int64))
        if not kept.any():
            return None
        rows = segment.ids[kept], segment.seen_at[kept], segment.features[kept]
        return self.write(header.model_key, header.camera_id, *rows)

    def sweep(self, committed_paths: Collection[str], older_than_s: float = SWEEP_AGE_S) -> list[str]:
        """Remove what no committed row names and is older than an hour (a younger one may be about to be committed).

        Returns the removed paths, sorted; unfinished files of killed writers are among them.
        """
        before, committed = time.time() - older_than_s, set(committed_paths)
        found = (file for file in self.root.rglob("*") if file.suffix in {SUFFIX, ".tmp"})
        names = {file.relative_to(self.root).as_posix(): file for file in found}
        stale = sorted(name for name in names.keys() - committed if _modified(names[name]) < before)
        for name in stale:
            self.delete(name)
        return stale

    def _file(self, path: str) -> Path:
        return Path(self._name(path))

    def _name(self, path: str) -> str:
        """As text: of the 20,000 segments of a city, Path objects would take longer to make than the maps."""
        if path.startswith("/") or ".." in path.split("/"):
            raise _corrupt(path, _("it lies outside the store"))
        return f"{self.root}/{path}"

    def _mapped(self, path: str) -> NDArray[np.uint8]:
        try:
            return _mapped_file(self._name(path))
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _TOO_MANY:
                raise _too_many(path) from error
            raise _corrupt(path, _("it cannot be read (%(error)s)"), error=error) from error

    def _put(self, path: str, content: bytes) -> str:
        """Write, flush to the disk, then rename: a file of this name is either absent or whole."""
        final = self._file(path)
        temporary = final.with_suffix(".tmp")
        with _nothing_left_of(temporary):
            _make_directory(final.parent)
            with temporary.open("xb") as file:
                _write_through(file, content)
            temporary.rename(final)
            _sync_directory(final.parent)
        return hashlib.sha256(content).hexdigest()


def gather(
    store: SegmentStore, paths: Sequence[str], windows: Sequence[Window] | None = None
) -> tuple[Ids, Times, Stack]:
    """The rows of the segments that lie within any of the windows: ids (n,), seen_at (n,), features (n, D).

    `windows` are (start, end) in the camera's clock, both ends included; None takes every row. A row in two windows
    comes once. Features stay where they are mapped. No row at all gives features of shape (0, D), and (0, 0) where not
    even a segment was named. Raises BundleMismatch when segments differ in feature size.
    """
    segments = [store.open(path) for path in paths]
    sizes = sorted({segment.features.shape[1] for segment in segments})
    if len(sizes) > 1:
        raise BundleMismatch(_("The segments hold features of sizes %(sizes)s; index the gallery again."), sizes=sizes)
    parts = [part for segment in segments for part in _within(segment, windows)]
    ids = np.concatenate([np.empty(0, np.int64), *(part.ids for part in parts)])
    seen_at = np.concatenate([np.empty(0, np.float64), *(part.seen_at for part in parts)])
    return ids, seen_at, Stack((part.features for part in parts), sizes[0] if sizes else 0)


def _within(segment: SegmentData, windows: Sequence[Window] | None) -> list[SegmentData]:
    """The rows inside the union of the windows; rows are in time order, so each window is one slice."""
    if windows is None:
        return [segment]
    slices = _disjoint(segment.seen_at, windows)
    return [SegmentData(segment.ids[rows], segment.seen_at[rows], segment.features[rows]) for rows in slices]


def _disjoint(seen_at: Times, windows: Sequence[Window]) -> list[slice]:
    """The windows as non-empty, non-overlapping slices of the rows, in order."""
    found: list[slice] = []
    for start, end in sorted(windows):
        first = int(np.searchsorted(seen_at, start, "left"))
        last = int(np.searchsorted(seen_at, end, "right"))
        first = max(first, found[-1].stop) if found else first
        if last > first:
            joins = bool(found) and found[-1].stop == first
            found.append(slice(found.pop().start if joins else first, last))
    return found


def _in_time_order(ids: Ids, seen_at: Times, features: Features) -> SegmentData:
    """The rows as little-endian arrays ordered by time, then id. Raises ValueError for rows that cannot be stored."""
    rows = SegmentData(np.asarray(ids, "<i8"), np.asarray(seen_at, "<f8"), np.asarray(features, "<f2"))
    if rows.features.ndim != 2 or not len(rows.ids) == len(rows.seen_at) == len(rows.features) > 0:
        shapes = [array.shape for array in (rows.ids, rows.seen_at, rows.features)]
        raise ValueError(f"a segment needs n ids, n times and (n, D) features with n >= 1, got shapes {shapes}")
    if len(np.unique(rows.ids)) != len(rows.ids):
        raise ValueError("a segment holds each id once")
    if not (np.isfinite(rows.seen_at).all() and np.isfinite(rows.features).all()):
        raise ValueError("a segment holds finite times and features only; float16 ends at 65504")
    order = np.lexsort((rows.ids, rows.seen_at))
    return SegmentData(rows.ids[order], rows.seen_at[order], rows.features[order])


def _pieces(header: _Header, rows: SegmentData) -> Iterator[bytes]:
    """The parts of a segment file in order, each array padded up to where the next one begins."""
    text = header.encoded()
    yield MAGIC + len(text).to_bytes(8, "little") + text
    for array in (rows.ids, rows.seen_at):
        yield array.tobytes() + bytes(-array.nbytes % ALIGNMENT)
    yield rows.features.tobytes()


def _parsed(whole: NDArray[np.uint8], path: str) -> tuple[_Header, int]:
    """The header of a mapped segment and the header's length in bytes."""
    start = whole[:16].tobytes()
    length = int.from_bytes(start[8:16], "little")
    if start[:8] != MAGIC or 16 + length > whole.size:
        raise _corrupt(path, _("it is not a feature segment"))
    try:
        header = _Header(**json.loads(whole[16 : 16 + length].tobytes()))
        header.offsets(length)
    except (ValueError, TypeError) as error:
        raise _corrupt(path, _("its header is unreadable")) from error
    return header, length


def _mapped_file(file: str) -> NDArray[np.uint8]:
    """The bytes of a file, read-only; a third of what np.memmap takes, which counts where a city has 20,000 segments.

    Every mapping holds an open file, and the usual limit of 1,024 is one that a process may raise for itself.
    """
    handle = os.open(file, os.O_RDONLY)
    try:
        return np.frombuffer(mmap.mmap(handle, 0, prot=mmap.PROT_READ), np.uint8)
    finally:
        os.close(handle)


def _allow_many_files() -> None:
    """Raise this process's limit of open files as far as it may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def _nothing_left_of(temporary: Path) -> Iterator[None]:
    """Remove the unfinished file whatever interrupted the writing, and say in words that the disk is full."""
    try:
        yield
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _FULL:
            raise _full(temporary.parent) from error
        raise


def _write_through(file: BinaryIO, content: bytes) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _make_directory(directory: Path) -> None:
    """Create a directory and those above it, each entry flushed, so that no committed file can lose its way."""
    if directory.is_dir():
        return
    _make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    _sync_directory(directory.parent)


def _sync_directory(directory: Path) -> None:
    """Make a rename or removal itself durable; the data of the file was flushed before."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _modified(file: Path) -> float:
    """Seconds since the epoch; a file that vanished meanwhile counts as brand new."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _checked_key(model_key: str) -> str:
    if not _KEY.fullmatch(model_key):
        raise ValueError(f"a model key is 1 to 128 letters, digits, dots, dashes or underscores, got {model_key!r}")
    return model_key


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


def _full(directory: Path) -> StoreFull:
    text = _("The disk is full: no features could be written to %(directory)s. Free some space and start again.")
    return StoreFull(text, directory=str(directory))


def _too_many(path: str) -> TooManyFiles:
    text = _(
        "The feature segment %(path)s is whole, but no more files can be opened at once: %(limit)d at most. Raise the "
        "limit (ulimit -n, LimitNOFILE; of maps vm.max_map_count) and start again."
    )
    return TooManyFiles(text, path=path, limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _corrupt(path: str, template: str, /, **data: object) -> StoreCorrupt:
    text = _("The feature segment %(path)s is damaged: %(finding)s. Index the crops of its camera again.")
    return StoreCorrupt(text, path=path, finding=Message(template, **data))
