"""System checks: what must be in place before the server starts, said in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.translation import gettext as _


@register()
def unix_socket_fits(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """A unix socket's path is at most 108 bytes, a limit of the kernel."""
    path = settings.REDIS_URL.removeprefix("redis+socket://")
    if settings.REDIS_URL.startswith("redis+socket://") and len(path.encode()) > 107:
        message = _("The broker's socket path is longer than 107 bytes: %(path)s") % {"path": path}
        hint = _("Set VAR_DIR to a shorter path, or REDIS_URL to a server.")
        return [Error(message, hint=hint, id="citysearch.E001")]
    return []


@register()
def var_is_writable(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    try:
        settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
        probe = settings.VAR_DIR / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        words = {"folder": settings.VAR_DIR, "reason": error.strerror}
        message = _("Cannot write to %(folder)s: %(reason)s") % words
        return [Error(message, hint=_("Set VAR_DIR."), id="citysearch.E002")]
    return []
