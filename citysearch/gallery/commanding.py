"""What the commands of this app share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from citysearch.errors import ServiceError
from citysearch.progress import Bar, bar
from reid_engine.errors import ReidError

INTERRUPTED = 130  # what a shell expects of a program that Ctrl-C ended


@contextmanager
def refusals() -> Iterator[None]:
    """Errors raised on purpose and Ctrl-C become the command's message and exit status, without a traceback."""
    try:
        yield
    except ServiceError as error:
        raise CommandError(error.message) from error
    except ReidError as error:
        raise CommandError(str(error)) from error
    except KeyboardInterrupt as error:
        message = _("Stopped. What was done so far is kept; run it again to go on.")
        raise CommandError(message, returncode=INTERRUPTED) from error


@contextmanager
def shown_progress(label: str, options: dict[str, Any], total: int | None = None) -> Iterator[Callable[..., None]]:
    """A progress bar, unless --no-progress; gives the callback (done, total) that moves it."""
    progress: Bar[object] = bar(total=total, label=label, shown=not options["no_progress"])
    with progress:
        yield progress.update
