"""Sending tasks, and remembering that one could not be sent."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from django.conf import settings
from kombu.exceptions import OperationalError as BrokerGone

log = logging.getLogger(__name__)


def sent(task: Any, *arguments: Any, **options: Any) -> bool:
    """Queue a task; where the broker cannot be reached, say False and leave a note for the workers' watch."""
    try:
        task.apply_async(arguments, **options)
    except (BrokerGone, OSError) as error:
        log.warning("%s waits, the broker cannot be reached: %s", task.name, error)
        note_leave()
        return False
    return True


def note_leave() -> None:
    _note().parent.mkdir(parents=True, exist_ok=True)
    _note().touch()


def note_take() -> bool:
    """Whether there was a note; it is gone afterwards, so only one of several workers acts on it."""
    try:
        _note().unlink()
    except FileNotFoundError:
        return False
    return True


def _note() -> Path:
    return Path(settings.VAR_DIR) / "run" / "gallery-unsent"
