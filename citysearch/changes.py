"""What administrators change, and who did it, told to whoever keeps the log (citysearch.cases).

The services tell it, in the transaction that makes the change: what is rolled back leaves no line, and page, API,
import and command line leave the same one. Codes, numbers and names of fields are told, nothing of the people searched.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse

# Receivers take `user` (a name), `subject` (unit, camera ...) and `details`.
changed = Signal()

_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)


class RememberRequest:
    """Middleware: who changes something while this request is answered is its user."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = _request.set(request)
        try:
            return self.get_response(request)
        finally:
            _request.reset(token)


def change_tell(subject: str, did: str, **details: Any) -> None:
    """Tell that something was done to a subject; the details go into the log as JSON."""
    changed.send(None, user=actor(), subject=subject, details={"did": did, **details})


def actor() -> str:
    """The user of the request at hand, by session or token; without one the account that runs this process."""
    user = getattr(_request.get(), "user", None)
    return user.get_username() if user is not None and user.is_authenticated else f"os:{_account()}"


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[Any]]:
    """Name -> [before, after] of the fields that differ."""
    return {name: [value, after[name]] for name, value in before.items() if value != after[name]}


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number only
        return str(os.getuid())
