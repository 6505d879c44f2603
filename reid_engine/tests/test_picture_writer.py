"""The process that checks and writes pictures: what it says of them, and that it ends with whoever started it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from reid_engine.picture_writer import PictureWriter

ROOT = Path(__file__).resolve().parents[2]
SIDE_MAX = 1000


def picture(width: int = 40, height: int = 80) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (90, 20, 70)).save(buffer, "JPEG")
    return buffer.getvalue()


def process_of(writer: PictureWriter) -> int:
    return writer._process.pid


def has_ended(pid: int) -> bool:
    """Whether a process that is not our child ends within seconds; one that nobody waited for is a zombie."""
    for _attempt in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def writer() -> Iterator[PictureWriter]:
    with closing(PictureWriter()) as started:
        yield started


def test_good_pictures_are_written_whole_and_others_not_at_all(writer: PictureWriter, tmp_path: Path) -> None:
    there = tmp_path / "there.jpg"
    there.write_bytes(b"kept")
    asked = {
        tmp_path / "a/b/good.jpg": picture(),
        tmp_path / "a/cut.jpg": picture()[:-40],
        tmp_path / "a/wide.jpg": picture(SIDE_MAX + 1, 40),
        tmp_path / "a/text.jpg": b"no picture",
        tmp_path / "a/empty.jpg": b"",
        there: picture(),
        there / "below-a-file.jpg": picture(),
        tmp_path / "a/b/last.jpg": picture(48, 96),
    }
    sizes = writer.written([(str(path), data) for path, data in asked.items()], SIDE_MAX)
    assert sizes == [(40, 80), None, None, None, None, None, None, (48, 96)]
    found = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {there: b"kept", **{path: asked[path] for path in asked if path.parent.name == "b"}}
    assert writer.written([], SIDE_MAX) == []


def test_more_than_a_pipe_holds_goes_through(writer: PictureWriter, tmp_path: Path) -> None:
    pictures = [(f"{tmp_path}/{number}.jpg", picture() + bytes(200_000)) for number in range(20)]
    assert writer.written(pictures, SIDE_MAX) == [(40, 80)] * 20
    assert all(Path(path).read_bytes() == data for path, data in pictures)


def test_one_that_was_killed_is_an_error_and_not_an_answer(writer: PictureWriter, tmp_path: Path) -> None:
    os.kill(process_of(writer), signal.SIGKILL)
    with pytest.raises(OSError, match=r"gone|Broken pipe"):
        writer.written([(f"{tmp_path}/a.jpg", picture() + bytes(1_000_000))], SIDE_MAX)


def test_ctrl_c_is_not_for_it(writer: PictureWriter) -> None:
    assert os.getpgid(process_of(writer)) != os.getpgid(os.getpid())


def test_closing_ends_it() -> None:
    writer = PictureWriter()
    writer.close()
    assert not Path(f"/proc/{process_of(writer)}").exists()


def test_it_ends_when_whoever_started_it_is_killed() -> None:
    script = (
        "import os, signal; from reid_engine.picture_writer import PictureWriter;"
        "writer, other = PictureWriter(), PictureWriter();"
        "print(writer._process.pid, other._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert all(has_ended(int(pid)) for pid in done.stdout.split())


def test_it_loads_only_what_checks_a_picture() -> None:
    heavy = "{'torch', 'django', 'celery', 'scipy'}"
    script = f"import sys, reid_engine.picture_writer; sys.exit(bool(sys.modules.keys() & {heavy}))"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
