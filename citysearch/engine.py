"""The only door between Django and torch. Only Celery tasks and management commands come through here."""

from __future__ import annotations

import ctypes
import gc
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from django.conf import settings

from citysearch.research.models import ModelVersion
from citysearch.research.queries import bundle_path
from reid_engine.errors import BundleMismatch

if TYPE_CHECKING:
    from reid_engine.engine import Engine

# Two versions at once: the active one, and the one a re-index is preparing.
KEPT = 2
# Heaps of the C library: one for each of many threads keeps what all of them have freed.
M_ARENA_MAX, ARENAS = -8, 2

_engines: dict[str, Engine] = {}
_loading = threading.Lock()


def engine_of(model_version: ModelVersion) -> Engine:
    """The engine of a model version: loaded once per process, then shared by its threads.

    Raises BundleCorrupt for a damaged file, BundleMismatch when the file is not the one that was registered.
    """
    with _loading:
        if model_version.sha256 not in _engines:
            _engines[model_version.sha256] = _load(model_version)
            _forget_oldest()
        return _engines[model_version.sha256]


def engines_forget() -> None:
    """Drop every loaded engine, so that the next search reads its bundle from disk again."""
    with _loading:
        _engines.clear()


def memory_trim() -> None:
    """Give the system back what a search has freed: the tables of a long path would stay with the process."""
    with suppress(AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)


def _load(model_version: ModelVersion) -> Engine:
    with suppress(AttributeError):  # glibc alone has it
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
    from reid_engine.engine import Engine

    path = bundle_path(model_version)
    engine = Engine(path, device=settings.ENGINE_DEVICE, threads=settings.ENGINE_THREADS)
    if engine.bundle_sha != model_version.sha256:
        message = (
            f"The bundle {path} is not the one registered as {model_version.name}. "
            "Register the new file as a version of its own, or put the old one back."
        )
        raise BundleMismatch(message, path=str(path), expected=model_version.sha256, found=engine.bundle_sha)
    _memory_settle()
    return engine


def _memory_settle() -> None:
    """Give back what loading took and no longer needs, and spare the garbage collector what stays for good.

    Libraries are half a million objects, which a search that makes ten thousand new ones would have visited each time.
    """
    gc.collect()
    gc.freeze()
    memory_trim()


def _forget_oldest() -> None:
    while len(_engines) > KEPT:
        del _engines[next(iter(_engines))]
