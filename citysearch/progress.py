"""A progress bar on stderr for long commands: an iterator, a counter and a callback in one.

    for row in bar(rows, label="crops"): ...          around an iterable
    with bar(total=200, label="epochs") as progress:  as a counter
        progress.advance()
    work(on_progress=progress.update)                 as a callback: update(done, total)

It is quiet when the stream is no terminal, or `shown=False` (commands pass `shown=not options["no_progress"]`).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Generator, Iterable
from types import TracebackType
from typing import Generic, Self, TextIO, TypeVar

from django.utils.translation import gettext as _

T = TypeVar("T")
WIDTH = 28
REDRAW_SECONDS = 0.1


class Bar(Generic[T]):
    """Counts `done` of `total` and draws it at most ten times a second; `total` None means unknown."""

    def __init__(
        self,
        iterable: Iterable[T] = (),
        total: int | None = None,
        label: str = "",
        shown: bool | None = None,
        stream: TextIO | None = None,
    ) -> None:
        self.iterable, self.label = iterable, label
        self.total = total if total is not None else _length(iterable)
        self.stream = stream or sys.stderr
        self.shown = self.stream.isatty() and shown is not False
        self.done, self.note = 0, ""
        self._started, self._drawn = time.monotonic(), 0.0

    def __iter__(self) -> Generator[T, None, None]:
        with self:
            for item in self.iterable:
                yield item
                self.advance()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more as done; `note` is shown behind the bar (a loss, a name)."""
        self.update(self.done + count, note=note)

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Set the state outright; fits callbacks that report (done, total)."""
        self.done, self.note = done, note or self.note
        self.total = self.total if total is None else total
        if self.shown and time.monotonic() - self._drawn >= REDRAW_SECONDS:
            self._draw()

    def close(self) -> None:
        """Draw the last state and leave the line, so the next message starts on its own."""
        if self.shown:
            self._draw()
            self.stream.write("\n")
            self.stream.flush()
            self.shown = False

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        self.stream.write(f"\r\x1b[2K{self}")
        self.stream.flush()

    def __str__(self) -> str:
        elapsed = time.monotonic() - self._started
        head = f"{self.label} " if self.label else ""
        tail = f" {self.note}" if self.note else ""
        if not self.total:
            return f"{head}{self.done} {clock(elapsed)}{tail}"
        share = min(1.0, self.done / self.total)
        filled = round(WIDTH * share)
        left = _("%(time)s left") % {"time": clock(elapsed / share - elapsed)} if 0 < share < 1 else clock(elapsed)
        return f"{head}[{'#' * filled}{'.' * (WIDTH - filled)}] {self.done}/{self.total} {left}{tail}"


def bar(
    iterable: Iterable[T] = (),
    total: int | None = None,
    label: str = "",
    shown: bool | None = None,
) -> Bar[T]:
    """Return a progress bar around `iterable`, or one to count by hand when there is none."""
    return Bar(iterable, total, label, shown)


def add_progress_option(parser: argparse.ArgumentParser) -> None:
    """Give a command the option --no-progress (`options["no_progress"]`)."""
    parser.add_argument("--no-progress", action="store_true", help=_("draw no progress bar"))


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _length(iterable: Iterable[object]) -> int | None:
    try:
        return len(iterable) or None  # type: ignore[arg-type]
    except TypeError:
        return None
