"""What the searches tell the apps above them, in the transaction that stores it, and what they ask them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.dispatch import Signal


def searches_held() -> set[UUID]:
    """The searches that an app above keeps, photos and all, beyond retention."""
    answers: list[tuple[Any, Any]] = searches_holding.send(UUID)
    return {pk for _receiver, held in answers for pk in held}


# Receivers take `search` and `user`.
search_started = Signal()
# Receivers take `search`, `user` and `rows`, the verdicts as stored.
verdicts_given = Signal()
# Receivers return a set of ids of searches.
searches_holding = Signal()
