"""The environment, read once at start. A wrong value fails here and names what is allowed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlparse

from django.core.exceptions import ImproperlyConfigured

from reid_engine.messages import catalogue
from reid_engine.messages import gettext_noop as _


def say(text: str) -> str:
    """`text` in the server's language. Django translates nothing before its settings, which this module serves."""
    return catalogue(os.environ.get("LANGUAGE_CODE", "").strip() or "en")(text)


def _refuse(name: str, value: str, allowed: str) -> ImproperlyConfigured:
    text = say(_("%(name)s=%(value)r is not allowed. Set it to %(allowed)s."))
    return ImproperlyConfigured(text % {"name": name, "value": value, "allowed": allowed})


def env_str(name: str, default: str) -> str:
    return os.environ.get(name, "").strip() or default


def env_choice(name: str, default: str, allowed: Sequence[str]) -> str:
    value = env_str(name, default)
    if value not in allowed:
        raise _refuse(name, value, say(_("one of %s")) % ", ".join(allowed))
    return value


def env_bool(name: str, default: bool) -> bool:
    value = env_str(name, str(default)).lower()
    if value not in ("true", "false", "1", "0", "yes", "no"):
        raise _refuse(name, value, say(_("true or false")))
    return value in ("true", "1", "yes")


def env_number(name: str, default: float, low: float, high: float, kind: Callable[[str], float] = int) -> float:
    value = env_str(name, str(default))
    allowed = say(_("a number from %(low)s to %(high)s")) % {"low": low, "high": high}
    try:
        number = kind(value)
    except ValueError:
        raise _refuse(name, value, allowed) from None
    if not low <= number <= high:
        raise _refuse(name, value, allowed)
    return number


def env_int(name: str, default: int, low: int, high: int) -> int:
    return int(env_number(name, default, low, high))


def env_list(name: str, default: str) -> list[str]:
    return [item.strip() for item in env_str(name, default).split(",") if item.strip()]


def env_url(name: str, default: str, schemes: Sequence[str]) -> str:
    value = env_str(name, default)
    if value and urlparse(value).scheme not in schemes:
        # The rest of an address may hold a password.
        shown = f"{urlparse(value).scheme}:..."
        allowed = say(_("an address that starts with %s")) % ", ".join(f"{scheme}:" for scheme in schemes)
        raise _refuse(name, shown, allowed)
    return value


def env_file(name: str, magic: bytes, kind: str) -> Path | None:
    """A file that starts with these bytes, or None where nothing is set."""
    value = env_str(name, "")
    if not value:
        return None
    path = Path(value).expanduser().resolve()
    try:
        with path.open("rb") as file:
            if file.read(len(magic)) == magic:
                return path
    except OSError as error:
        raise _refuse(name, value, f"a {kind} file that can be read ({error.strerror})") from error
    raise _refuse(name, value, f"a {kind} file")


def env_time_zone(name: str, default: str) -> str:
    from zoneinfo import available_timezones

    value = env_str(name, default)
    if value not in available_timezones():
        raise _refuse(name, value, say(_("an IANA time zone such as Asia/Shanghai")))
    return value


def secret_key(var: Path) -> str:
    """SECRET_KEY, or one that is made once and kept under var/, readable by its owner alone."""
    value = env_str("SECRET_KEY", "")
    if value and len(value) < 32:
        raise _refuse(
            "SECRET_KEY", "*" * len(value), say(_("a random text of at least 32 characters, or leave it out"))
        )
    return value or _kept_secret(var / "secret_key")


def _kept_secret(path: Path) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(secrets.token_urlsafe(48))
    return path.read_text().strip()
