"""How an import is laid out: each layout turns its source into entries, one per picture, without reading the pictures.

folder      one folder per camera code, at any depth: <camera code>/<any folders>/<picture>
zip         the same inside a ZIP, or a manifest.csv at its root that names the archive's own files
manifest    a CSV file: path,camera_code,captured_at[,person_id]; paths are relative to the CSV and stay below it
market1501, msmt17, cuhk03
            a folder or a ZIP of pictures whose names say camera, person and moment (naming.py); 1, 2 ... stand for the
            cameras given; where there is a folder called as `subset` says, only what lies in it counts
gat1400     a GA/T 1400 PersonListObject in JSON, or a folder or ZIP of such files (persons.py); DeviceID is the camera
Nothing is ever unpacked to the disk: a picture of an archive is read into memory, at most photo.MAX_BYTES of it.
"""

from __future__ import annotations

import csv
import io
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from django.utils import timezone
from django.utils.translation import gettext as _

from citysearch.errors import ServiceError
from citysearch.gallery.moments import aware, moment_of, moment_read
from citysearch.gallery.naming import PARSERS, Named, named_like
from citysearch.gallery.persons import PersonPicture, persons_read
from citysearch.gallery.reasons import Refused
from reid_engine.photo import MAX_BYTES

MANIFEST = "manifest.csv"
COLUMNS = ("path", "camera_code", "captured_at")
# A document holds many pictures, and base64 makes each a third longer.
DOCUMENT_BYTES = 10 * MAX_BYTES
ZIP_MEMBERS_MAX = 500_000
# Pictures are compressed already: a member this large that shrank this much is no picture.
BOMB_BYTES, BOMB_RATIO = 1024 * 1024, 100
FIRST_BYTES = 64 * 1024  # most crops have fewer, and are read at once
_DAMAGED_MEMBER = (zipfile.BadZipFile, zlib.error, EOFError)
_BROKEN_MEMBER = (*_DAMAGED_MEMBER, RuntimeError, OSError)
_IGNORED_NAMES = {"thumbs.db", "desktop.ini"}


class BadSource(ServiceError):
    """The import as a whole cannot be read: no such folder, no archive, no usable header."""

    code = "bad_source"


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture to import. `camera` is the code (or Market number) as the source says it; `line` counts from 1.

    There may be one for each picture of the source at once, so it is small. `when` gives the time on the camera's clock
    from the picture's bytes. `read` and `when` raise Refused.
    """

    line: int
    name: str
    camera: str
    read: Callable[[], bytes]
    when: Callable[[bytes], datetime]
    person_id: int | None = None


class Entries(Protocol):
    """The entries of a source in order; to go through them again makes them again."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Entry]: ...


@dataclass(frozen=True)
class Options:
    """`cameras`: the codes an entry may name; `camera_map`: what the source calls a camera -> its code."""

    cameras: frozenset[str] = frozenset()
    camera_map: Mapping[str, str] = field(default_factory=dict)
    subset: str = "bounding_box_test"


@contextmanager
def entries(source: Path, layout: str, options: Options) -> Iterator[Entries]:
    """The entries of a source, open while the block runs. Raises BadSource."""
    readers: dict[str, Callable[[_Opened, Options], Entries]] = {
        "folder": _folder, "zip": _zip, "manifest": _manifest, "gat1400": _persons,
        **{name: partial(_named, parse=parse) for name, parse in PARSERS.items()},
    }  # fmt: skip
    if layout not in readers:
        words = {"layout": layout, "allowed": ", ".join(readers)}
        raise BadSource(_("Unknown layout %(layout)s; use one of %(allowed)s.") % words)
    if not source.exists():
        raise BadSource(_("There is no file or folder %(path)s.") % {"path": source})
    with closing(_Opened(source)) as opened:
        yield readers[layout](opened, options)


def layout_of(source: Path) -> str:
    """The layout a source most probably has: by its ending, else by the names in it."""
    if source.suffix.lower() == ".zip":
        return "zip"
    if source.suffix.lower() == ".csv":
        return "manifest"
    if source.suffix.lower() == ".json":
        return "gat1400"
    if (source / Options.subset).is_dir():
        return "market1501"
    names = (path.name for path in source.iterdir() if path.is_file()) if source.is_dir() else iter(())
    return named_like(next(iter(names), "")) or "folder"


def camera_map_read(text: str, codes: Collection[str]) -> dict[str, str]:
    """ "A,B" -> {"1": "A", "2": "B"}; "x=A,y=B" -> {"x": "A", "y": "B"}. Raises BadSource for a code not in `codes`."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    pairs = [word.partition("=") for word in words]
    names = {
        name if equals else str(number): code if equals else name
        for number, (name, equals, code) in enumerate(pairs, start=1)
    }
    unknown = sorted(set(names.values()) - set(codes)) if names else []
    if unknown:
        raise BadSource(_("There is no camera with the code %(codes)s.") % {"codes": ", ".join(unknown)})
    return names


class _Opened:
    """A source and the archive opened on it, if any, so that one place closes it."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self._archive: zipfile.ZipFile | None = None

    def archive(self) -> zipfile.ZipFile:
        try:
            self._archive = zipfile.ZipFile(self.source)
        except (zipfile.BadZipFile, OSError, ValueError, RuntimeError) as error:
            raise BadSource(_("%(path)s is no ZIP archive that can be read.") % {"path": self.source.name}) from error
        if len(self._archive.infolist()) > ZIP_MEMBERS_MAX:
            found = {"count": len(self._archive.infolist()), "most": ZIP_MEMBERS_MAX}
            raise BadSource(_("The archive holds %(count)d files; at most %(most)d are accepted. Split it.") % found)
        return self._archive

    def close(self) -> None:
        if self._archive is not None:
            self._archive.close()


def _folder(opened: _Opened, options: Options) -> list[Entry]:
    root = opened.source
    if not root.is_dir():
        raise BadSource(_("%(path)s is not a folder.") % {"path": root})
    paths = sorted(path for path in _files_below(root) if not _is_ignored(path.relative_to(root).parts))
    named = [(path, path.relative_to(root).as_posix()) for path in paths]
    return [
        Entry(
            line,
            name,
            _camera_in((root.name, *PurePosixPath(name).parts[:-1]), options),
            _reader(path),
            _clock(name, _changed(path)),
        )
        for line, (path, name) in enumerate(named, start=1)
    ]


def _zip(opened: _Opened, options: Options) -> Entries:
    archive = opened.archive()
    members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    if MANIFEST in members:
        return _manifest_of_zip(archive, members, options)
    kept = [info for info in members.values() if not _is_ignored(PurePosixPath(info.filename).parts)]
    return [
        Entry(
            line,
            info.filename,
            _camera_in(PurePosixPath(info.filename).parts[:-1], options),
            _member_reader(archive, info),
            _clock(info.filename, _member_changed(info)),
        )
        for line, info in enumerate(kept, start=1)
    ]


def _manifest_of_zip(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], options: Options) -> Entries:
    def reader(name: str) -> Callable[[], bytes]:
        info = members.get(name)
        return _refusal("missing", name) if info is None else _member_reader(archive, info)

    try:
        _refuse_member(members[MANIFEST])
        with archive.open(MANIFEST) as raw:
            return _rows(io.TextIOWrapper(raw, "utf-8-sig", newline=""), options, reader)
    except (Refused, *_BROKEN_MEMBER) as error:
        raise BadSource(_("The archive's manifest.csv cannot be read: %(why)s.") % {"why": error}) from error


def _manifest(opened: _Opened, options: Options) -> Entries:
    inside = _Inside(opened.source.resolve().parent)
    try:
        with opened.source.open(encoding="utf-8-sig", newline="") as text:
            return _rows(text, options, lambda name: partial(inside.read, name))
    except OSError as error:
        words = {"path": opened.source, "why": error.strerror}
        raise BadSource(_("%(path)s cannot be read: %(why)s.") % words) from error


class _Inside:
    """Files below a folder, however their names are written and wherever a link in them leads.

    Text, and one look at each folder: Path objects of a hundred thousand lines take as long as reading the files.
    """

    def __init__(self, root: Path) -> None:
        self.start = f"{root}".rstrip("/") + "/"
        self._folders: dict[str, bool] = {}

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises Refused, also where it lies elsewhere."""
        path = self._path_of(name)
        try:
            return _file_read(path, MAX_BYTES, os.O_NOFOLLOW)
        except Refused:
            if not os.path.islink(path):  # noqa: PTH114
                raise
        if not self._holds(path):
            raise Refused("unsafe_name", name)
        return _file_read(path, MAX_BYTES)

    def _path_of(self, name: str) -> str:
        """The file's path, which may still be a link. Raises Refused where its folder is elsewhere."""
        path = "" if "\0" in name else os.path.normpath(name if name.startswith("/") else self.start + name)
        folder = path.rpartition("/")[0]
        if path.startswith(self.start) and folder not in self._folders:
            self._folders[folder] = self._holds(folder)
        if not self._folders.get(folder):
            raise Refused("unsafe_name", name)
        return path

    def _holds(self, path: str) -> bool:
        return f"{os.path.realpath(path)}/".startswith(self.start)


@dataclass(frozen=True)
class _Lines:
    """Entries that are made when their turn comes: of a hundred thousand lines a third of the memory, and of the wait.

    What is kept of a line is a plain tuple of text, which Python's garbage collector does not visit again and again.
    """

    lines: Sequence[tuple[int, tuple[str, ...]]]
    made: Callable[[int, Sequence[str]], Entry]

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[Entry]:
        return (self.made(line, cells) for line, cells in self.lines)


def _rows(text: IO[str], options: Options, reader: Callable[[str], Callable[[], bytes]]) -> Entries:
    """One entry per data row; the line is the one an editor shows, which counts the header."""
    try:
        table = csv.reader(text)
        places = {column: place for place, column in enumerate(next(table, []))}
        missing = [column for column in COLUMNS if column not in places]
        if missing:
            found = {"missing": ", ".join(missing), "expected": ",".join((*COLUMNS, "[person_id]"))}
            raise BadSource(_("The manifest has no column %(missing)s; its first line must be %(expected)s.") % found)
        wanted = [places.get(column, len(places)) for column in (*COLUMNS, "person_id")]
        lines = [(table.line_num, _cells(row, wanted)) for row in table if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadSource(_("The manifest is not a CSV file in UTF-8: %(why)s.") % {"why": error}) from error
    return _Lines(lines, partial(_row, options, reader))


def _cells(row: Sequence[str], places: Sequence[int]) -> tuple[str, ...]:
    """What stands in these columns, nothing where a line is too short; the code of a camera is kept once."""
    name, code, *rest = [row[place].strip() if place < len(row) else "" for place in places]
    return name, sys.intern(code), *rest


def _row(options: Options, reader: Callable[[str], Callable[[], bytes]], line: int, cells: Sequence[str]) -> Entry:
    name, code, captured_at, person = cells
    read = reader(name) if name and code else _refusal("bad_line", "")
    if person and not _is_person(person):
        read = _refusal("bad_person", person)
    person_id = int(person) if _is_person(person) else None
    return Entry(line, name, options.camera_map.get(code, code), read, _stated(captured_at), person_id)


def _named(opened: _Opened, options: Options, parse: Callable[[str], Named]) -> list[Entry]:
    found = list(_files(opened, MAX_BYTES))
    inside = [(name, read) for name, read in found if options.subset in PurePosixPath(name).parts[:-1]]
    return [_named_entry(line, name, read, options, parse) for line, (name, read) in enumerate(inside or found, 1)]


def _named_entry(
    line: int, path: str, read: Callable[[], bytes], options: Options, parse: Callable[[str], Named]
) -> Entry:
    name = PurePosixPath(path).name
    try:
        camera, person_id, moment = parse(name)
    except Refused as error:
        return Entry(line, name, "", _refusal(error.code, name), _stated(""))
    return Entry(line, name, options.camera_map.get(camera, camera), read, lambda data: moment, person_id)


def _persons(opened: _Opened, options: Options) -> list[Entry]:
    found = [(name, picture) for name, read in _files(opened, DOCUMENT_BYTES) for picture in _persons_in(read)]
    return [_person_entry(line, name, picture, options) for line, (name, picture) in enumerate(found, start=1)]


def _persons_in(read: Callable[[], bytes]) -> list[PersonPicture] | list[Refused]:
    """The pictures of a document, or the one reason why there is none."""
    try:
        return persons_read(read())
    except Refused as error:
        return [error]


def _person_entry(line: int, name: str, picture: PersonPicture | Refused, options: Options) -> Entry:
    if isinstance(picture, Refused):
        return Entry(line, name, "", _refusal(picture.code, picture.message), _stated(""))
    camera = options.camera_map.get(picture.camera, picture.camera)
    return Entry(line, picture.name or name, camera, picture.read, picture.when)


def _files(opened: _Opened, most: int) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Path and reader of a file, of each in a folder or in a ZIP, but not of what file managers leave behind."""
    root = opened.source
    if root.is_dir():
        paths = ((path, path.relative_to(root)) for path in sorted(_files_below(root)))
        yield from ((name.as_posix(), _reader(path, most)) for path, name in paths if not _is_ignored(name.parts))
    elif zipfile.is_zipfile(root):
        archive = opened.archive()
        members = (info for info in archive.infolist() if not info.is_dir())
        kept = (info for info in members if not _is_ignored(PurePosixPath(info.filename).parts))
        yield from ((info.filename, _member_reader(archive, info, most)) for info in kept)
    else:
        yield root.name, _reader(root, most)


def _camera_in(folders: Sequence[str], options: Options) -> str:
    """The camera among the folders above a picture, outermost first; else the innermost name, for the message."""
    for name in folders:
        code = options.camera_map.get(name, name)
        if code in options.cameras:
            return code
    return folders[-1] if folders else ""


def _clock(name: str, changed: datetime) -> Callable[[bytes], datetime]:
    return lambda data: moment_of(PurePosixPath(name).name, data, changed)


def _stated(text: str) -> Callable[[bytes], datetime]:
    """The time a manifest states, which must be one."""
    return partial(_moment_stated, text)


def _moment_stated(text: str, _data: bytes) -> datetime:
    moment = moment_read(text)
    if moment is None:
        example = _("%(text)s is not a time such as 2024-01-31T08:15:00+08:00.") % {"text": text or "''"}
        raise Refused("bad_time", example)
    return moment


def _reader(path: Path | str, most: int = MAX_BYTES) -> Callable[[], bytes]:
    return partial(_file_read, f"{path}", most)


def _file_read(path: str, most: int, flags: int = 0) -> bytes:
    """The bytes of a file, in as few calls as can be: other threads take the interpreter at each."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
        try:
            data = os.read(handle, FIRST_BYTES)
            if len(data) == FIRST_BYTES:
                with open(handle, "rb", closefd=False) as file:  # noqa: PTH123
                    data += file.read(most + 1 - len(data))
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise Refused("missing", PurePosixPath(path).name) from None
    except OSError as error:
        raise Refused("unreadable", f"{PurePosixPath(path).name}: {error.strerror}") from error
    return _no_more(data, most)


def _member_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int = MAX_BYTES) -> Callable[[], bytes]:
    def read() -> bytes:
        _refuse_member(info)
        try:
            with archive.open(info) as file:
                return _at_most(file, most)
        except _DAMAGED_MEMBER as error:
            raise Refused("truncated", f"{info.filename}: {error}") from error
        except _BROKEN_MEMBER as error:
            raise Refused("unreadable", f"{info.filename}: {error}") from error

    return read


def _refuse_member(info: zipfile.ZipInfo) -> None:
    """What the directory of the archive already says: not to be trusted alone, hence `_at_most`."""
    name = PurePosixPath(info.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or name.parts[:1] and name.parts[0].endswith(":"):
        raise Refused("unsafe_name", info.filename)
    if info.flag_bits & 0x1:
        raise Refused("encrypted", info.filename)
    if info.file_size > BOMB_BYTES and info.file_size > BOMB_RATIO * max(1, info.compress_size):
        raise Refused("bomb", f"{info.filename}: {info.compress_size:,} -> {info.file_size:,} bytes")


def _at_most(file: IO[bytes], most: int) -> bytes:
    return _no_more(file.read(most + 1), most)


def _no_more(data: bytes, most: int) -> bytes:
    if len(data) > most:
        raise Refused("too_large", _("More than %(most)d bytes.") % {"most": most})
    return data


def _refusal(code: str, message: str) -> Callable[[], bytes]:
    def read() -> bytes:
        raise Refused(code, message)

    return read


def _files_below(root: Path) -> Iterator[Path]:
    """Files and dangling links, which become a line of the report; never a pipe, which would block the reader."""
    for folder, _folders, names in os.walk(root):
        paths = (Path(folder) / name for name in names)
        yield from (path for path in paths if path.is_file() or not path.exists())


def _is_ignored(parts: Sequence[str]) -> bool:
    """What file managers leave behind: hidden files, macOS resource forks, Windows thumbnails."""
    return parts[-1].lower() in _IGNORED_NAMES or any(p == "__MACOSX" or _is_hidden(p) for p in parts)


def _is_hidden(part: str) -> bool:
    return part.startswith(".") and part not in (".", "..")


def _is_person(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and len(text) < 10


def _changed(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return datetime.fromtimestamp(0, UTC)


def _member_changed(info: zipfile.ZipInfo) -> datetime:
    try:
        return aware(datetime(*info.date_time))
    except ValueError:
        return timezone.now()
