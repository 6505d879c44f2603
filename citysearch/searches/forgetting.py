"""Photos and query features go when what was recorded in the searched unit goes.

Who searched what, where and why, and the photos' hashes stay: they are the log. Searches on hold keep all of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Coalesce

from citysearch.gallery.erasing import units_retention_days
from citysearch.searches.models import Search
from citysearch.searches.photos import photos_folder, photos_remove, photos_root
from citysearch.searches.signals import searches_held
from citysearch.searches.states import CLOSED

# A search that is just being started writes its photos before its row is committed.
UNNAMED_FOR_S = 3600.0


def photos_purge(now: datetime) -> int:
    """Remove photo files and query features of closed searches beyond retention, and photos no search names.

    Returns how many searches, and how many folders of none, it was.
    """
    due = photos_due(now)
    for pk in due:
        photos_remove(pk)
        Search.objects.filter(pk=pk).update(features=None)
    return len(due)


def photos_due(now: datetime) -> list[UUID]:
    """The searches whose photos or features are to go, and the folders of searches that are no more."""
    return [*_searches_due(now), *_folders_unnamed()]


def _searches_due(now: datetime) -> Iterator[UUID]:
    gone = ExpressionWrapper(Q(features=None), BooleanField())
    closed = Search.objects.filter(state__in=CLOSED).exclude(pk__in=searches_held())
    closed = closed.annotate(ended=Coalesce("finished_at", "created_at"), gone=gone)
    rows = list(closed.order_by().values_list("pk", "unit__path", "ended", "gone"))
    days = units_retention_days({path for _pk, path, _ended, _gone in rows})
    for pk, path, ended, gone in rows:
        if ended < now - timedelta(days=days[path]) and not (gone and not photos_folder(pk).exists()):
            yield pk


def _folders_unnamed() -> Iterator[UUID]:
    for folder in photos_root().glob("*-*-*-*-*"):
        pk = _search_of(folder)
        if pk and _is_old(folder) and not Search.objects.filter(pk=pk).exists():
            yield pk


def _search_of(folder: Path) -> UUID | None:
    try:
        return UUID(folder.name)
    except ValueError:
        return None


def _is_old(folder: Path) -> bool:
    try:
        return folder.stat().st_mtime < time.time() - UNNAMED_FOR_S
    except FileNotFoundError:
        return False
