"""A process that checks and writes pictures for another: threads of one interpreter wait for each other at every one.

`python -m reid_engine.picture_writer` takes pictures from its input until that ends, so that it ends with whoever
started it, however that ended. It loads only what checks a picture, and holds one at a time.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from reid_engine.photo import crop_size

PIPE_BYTES = 1 << 18
_COUNT = struct.Struct("<I")  # pictures that come together
_LENGTHS = struct.Struct("<II")  # of the path and of the picture behind it
_SIZE = struct.Struct("<II")  # width and height; none where the picture was not written
_NONE = (0, 0)

Size = tuple[int, int]


class PictureWriter:
    """One such process. Raises OSError when it cannot be started."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "reid_engine.picture_writer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=PIPE_BYTES,
            cwd=Path(__file__).parent.parent,
            process_group=0,  # Ctrl-C is for whoever started it, who ends it in order
        )

    def written(self, pictures: Sequence[tuple[str, bytes]], side_max: int) -> list[Size | None]:
        """Check each picture and write it to its path, where no file is yet: its width and height.

        None where it was not written, whatever the reason, or has a side above `side_max` pixels. Raises OSError when
        the process is gone: then any of them may be written, perhaps half of one.
        """
        source, answers = self._process.stdin, self._process.stdout
        assert source is not None and answers is not None
        source.write(_COUNT.pack(len(pictures)) + _COUNT.pack(side_max))
        for path, data in pictures:
            name = os.fsencode(path)
            source.write(_LENGTHS.pack(len(name), len(data)) + name)
            source.write(data)
        source.flush()
        sizes = _SIZE.iter_unpack(_exactly(answers, _SIZE.size * len(pictures)))
        return [None if size == _NONE else (size[0], size[1]) for size in sizes]

    def close(self) -> None:
        """End the process, whatever it does; nobody waits for an answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.kill()
        with suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def file_write(path: str, data: bytes) -> None:
    """A new file with these bytes, and its folder, or none. Raises OSError."""
    try:
        handle = _created(path)
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        handle = _created(path)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
    except BaseException:
        with suppress(OSError):
            Path(path).unlink()
        raise
    finally:
        os.close(handle)


def main() -> None:
    """Answer until nobody asks any more."""
    with open(0, "rb", PIPE_BYTES) as source, open(1, "wb", PIPE_BYTES) as answers, suppress(EOFError, OSError):
        while True:
            count, side_max = (_COUNT.unpack(_exactly(source, _COUNT.size))[0] for _ in range(2))
            sizes = [_size_written(source, side_max) for _ in range(count)]
            answers.write(b"".join(_SIZE.pack(*size) for size in sizes))
            answers.flush()


def _size_written(source: IO[bytes], side_max: int) -> Size:
    """The size of the next picture, which is written now; none where that failed: whoever asked tries, and says why."""
    length, size_of_data = _LENGTHS.unpack(_exactly(source, _LENGTHS.size))
    path, data = os.fsdecode(_exactly(source, length)), _exactly(source, size_of_data)
    try:
        size = crop_size(data)
        if max(size) > side_max:
            return _NONE
        file_write(path, data)
    except Exception:  # noqa: BLE001
        return _NONE
    return size


def _exactly(source: IO[bytes], length: int) -> bytes:
    data = source.read(length)
    if len(data) < length:
        raise BrokenPipeError("the other end is gone")
    return data


def _created(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)


if __name__ == "__main__":
    main()
