"""What the research app, which lies below, asks of the gallery (citysearch.research.signals)."""

from __future__ import annotations

from typing import Any

from citysearch.gallery.indexing import version_index_request
from citysearch.gallery.queries import index_progress
from citysearch.research.models import ModelVersion
from citysearch.research.signals import index_wanted, unindexed_asked


def unindexed_answer(sender: Any, version: ModelVersion, **kwargs: Any) -> int:
    counts = index_progress(version)
    return max(0, counts["crops"] - counts["indexed"])


def index_answer(sender: Any, version: ModelVersion, activate: bool = False, **kwargs: Any) -> None:
    version_index_request(version, activate)


def connect() -> None:
    unindexed_asked.connect(unindexed_answer, dispatch_uid="gallery")
    index_wanted.connect(index_answer, dispatch_uid="gallery")
