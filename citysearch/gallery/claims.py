"""Who is at work on what, on this machine: a file lock, which the kernel gives back when its holder dies.

Only against doing the same work twice. That nothing is stored twice is the database's part.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings


@contextmanager
def claimed(name: str, wait: bool = False) -> Iterator[bool]:
    """Hold the claim `name` while the block runs: True when it is ours, False when somebody else holds it."""
    path = Path(settings.VAR_DIR) / "run" / "claims" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _taken(handle, wait)
    finally:
        os.close(handle)


def _taken(handle: int, wait: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
