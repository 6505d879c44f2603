"""System checks: what must be in place before the server starts, said in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def unix_socket_fits(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """A unix socket's path is at most 108 bytes, a limit of the kernel."""
    path = settings.REDIS_URL.removeprefix("redis+socket://")
    if settings.REDIS_URL.startswith("redis+socket://") and len(path.encode()) > 107:
        hint = "Set VAR_DIR to a shorter path, or REDIS_URL to a server."
        return [Error(f"The broker's socket path is longer than 107 bytes: {path}", hint=hint, id="citysearch.E001")]
    return []


@register()
def var_is_writable(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    try:
        settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
        probe = settings.VAR_DIR / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return [
            Error(f"Cannot write to {settings.VAR_DIR}: {error.strerror}", hint="Set VAR_DIR.", id="citysearch.E002")
        ]
    return []
