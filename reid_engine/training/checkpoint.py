"""Checkpoints: written whole or not at all, read back with plain weights only."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import torch

from ..errors import BadConfig
from ..messages import gettext
from ..messages import gettext_noop as _

log = logging.getLogger(__name__)


def save(path: Path, state: dict[str, Any]) -> bool:
    """Writes beside `path`, syncs, renames. On a full disk the old file stays, a warning is logged, False returned."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a short write as RuntimeError
        partial.unlink(missing_ok=True)
        log.warning(gettext("checkpoint %s could not be written (%s); the previous one is kept"), path, error)
        return False
    return True


def load(path: Path) -> dict[str, Any]:
    """The state saved last. Raises BadConfig when the file is no checkpoint."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle, zip, OS and runtime errors alike
        text = _("checkpoint %(path)s cannot be read: %(error)s; delete it to start again")
        raise BadConfig(text, path=path, error=error, option="resume") from error
    if not isinstance(state, dict):
        raise BadConfig(
            _("checkpoint %(path)s holds no training state; delete it to start again"), path=path, option="resume"
        )
    return state
