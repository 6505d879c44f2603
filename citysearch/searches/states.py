"""How a search moves from state to state: filtered updates that must touch one row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from citysearch.searches.models import Search

State, Stage = Search.State, Search.Stage

OPEN = (State.QUEUED, State.RUNNING)
CLOSED = (State.DONE, State.CANCELLED, State.FAILED)

# A worker writes a heartbeat every batch, that is every second or so. Loading a model takes up to ten.
STALE_AFTER = timedelta(seconds=20)


def search_move(pk: UUID, before: Sequence[str], **fields: Any) -> bool:
    """Set fields where the search is in one of the states `before`; False when it is not, and nothing was touched."""
    return Search.objects.filter(pk=pk, state__in=before).update(**fields) == 1


def search_take(pk: UUID) -> bool:
    """queued | running --> running: the worker has it in hand. False for a search that is over."""
    now = timezone.now()
    started = Coalesce(F("started_at"), Value(now))
    return search_move(pk, OPEN, state=State.RUNNING, started_at=started, heartbeat_at=now, error=None)


def search_beat(pk: UUID, **fields: Any) -> bool:
    """Say that a worker is at it; False when the search shall go no further: cancelled, or over."""
    going = Search.objects.filter(pk=pk, state=State.RUNNING, cancel_requested=False)
    return going.update(heartbeat_at=timezone.now(), **fields) == 1


def search_fail(pk: UUID, code: str, message: str, **data: Any) -> bool:
    """queued | running --> failed, saying at which stage and what was kept."""
    search = Search.objects.filter(pk=pk).values("stage", "counts").first()
    if search is None:
        return False
    error = {"code": code, "stage": search["stage"], "message": message, "kept": search["counts"].get("parts_done", 0)}
    return search_move(pk, OPEN, state=State.FAILED, finished_at=timezone.now(), error=error | data)


def lost() -> Q:
    """Open searches at which no worker has been for a while."""
    before = timezone.now() - STALE_AFTER
    silent = Q(heartbeat_at__lt=before) | Q(heartbeat_at=None, created_at__lt=before)
    return Q(state__in=OPEN) & silent
