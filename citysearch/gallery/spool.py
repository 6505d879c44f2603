"""Uploaded archives that wait for their import, under var/imports."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from django.conf import settings

from citysearch.gallery.files import disk_full_said


def spool_path(import_id: int) -> Path:
    return Path(settings.VAR_DIR) / "imports" / f"{import_id}.zip"


def spool_write(import_id: int, chunks: Iterable[bytes]) -> Path:
    """Keep an uploaded archive until it is imported. Raises DiskFull, leaving nothing behind."""
    path = spool_path(import_id)
    partial = path.with_suffix(".part")
    try:
        with disk_full_said():
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.writelines(chunks)
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def spool_remove(import_id: int) -> None:
    spool_path(import_id).unlink(missing_ok=True)


def spool_purge(before: datetime) -> int:
    """Remove the archives, and what killed uploads left of them, that nobody touched since; returns how many."""
    stale = [path for path in spool_path(0).parent.glob("*") if _touched(path) < before.timestamp()]
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


def _touched(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return float("inf")
