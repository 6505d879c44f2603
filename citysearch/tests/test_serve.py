"""`manage.py serve` as a person uses it: it answers, it ends, it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from citysearch.tests.test_production_form import ROOT, free_port

pytestmark = pytest.mark.slow


class Served:
    """A supervisor over a var/ of its own, without the demo city."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        command = [sys.executable, "manage.py", "serve", "--no-demo", "--port", str(self.port)]
        environment = os.environ | {"VAR_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def until_it_answers(self) -> float:
        started = time.monotonic()
        for line in self.process.stdout:
            if "answers on" in line:
                return time.monotonic() - started
        raise AssertionError(f"serve ended with {self.process.wait()}")

    def children(self) -> list[int]:
        """Every process below the supervisor, by the folder its log lies in."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                environment = (entry / "environ").read_bytes().decode(errors="replace")
            except (OSError, ValueError):
                continue
            if entry.name.isdigit() and int(entry.name) != self.process.pid and self.marker in environment:
                found.append(int(entry.name))
        return found

    marker = ""


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="sv-", ignore_cleanup_errors=True) as folder:
        made = Served(Path(folder))
        made.marker = f"VAR_DIR={folder}"
        yield made
        made.process.kill()
        made.process.wait()


def gone(served: Served, seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while served.children() and time.monotonic() < deadline:
        time.sleep(0.1)
    return not served.children()


def test_ctrl_c_ends_every_process(served: Served) -> None:
    served.until_it_answers()
    assert len(served.children()) >= 5, "broker, web master and workers, default worker, engine worker"
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(30) == 0
    assert gone(served)


def test_a_killed_supervisor_leaves_no_orphan(served: Served) -> None:
    served.until_it_answers()
    assert len(served.children()) >= 5
    served.process.kill()
    assert gone(served)


def test_a_second_supervisor_over_the_same_state_is_refused(served: Served) -> None:
    served.until_it_answers()
    environment = os.environ | {"VAR_DIR": served.marker.removeprefix("VAR_DIR=")}
    command = [sys.executable, "manage.py", "serve", "--no-demo", "--port", str(free_port())]
    second = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "Another serve runs over" in second.stderr
