"""What the gallery asks of the apps above it, which it may not import: they connect themselves in their `ready()`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from django.dispatch import Signal


@dataclass(frozen=True)
class Trace:
    """What a receiver removed of its own: its word in the report, how many, and a recount of what is left."""

    word: str
    erased: int
    left: Callable[[], int]


def traces_of(signal: Signal, **facts: Any) -> list[Trace]:
    """Send the signal and collect what its receivers answer. What one of them raises goes up."""
    answers: list[tuple[Any, Any]] = signal.send(Trace, **facts)
    return [trace for _receiver, trace in answers]


def holds_of(ids: Collection[int]) -> dict[int, str]:
    """Those of the crops that must not be erased, each with the words that name what holds it."""
    answers: list[tuple[Any, Any]] = crops_holding.send(Trace, ids=ids)
    return {crop: words for _receiver, held in answers for crop, words in held.items()}


# Receivers take `ids` and return {crop: words} for those of them that are held.
crops_holding = Signal()
# Receivers take `ids` and return a Trace. Sent in the transaction that erases these crops, while their rows still say
# what names them: what a receiver stores of crops beside foreign keys goes with them or not at all.
crops_erasing = Signal()
# Receivers take `now` and return a Trace, after having removed what they keep of people beyond its retention.
purge_due = Signal()
