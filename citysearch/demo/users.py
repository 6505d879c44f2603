"""The demo's users: one of each role in the city, and an operator of one district alone, to show what rights do."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password

from units.models import Role, Unit
from units.services import membership_add

LOGINS = ("operator", "operator-east", "supervisor", "administrator", "auditor", "researcher")
PASSWORD = "citysearch"
_LOCAL = {"localhost", "127.0.0.1", "[::1]", "testserver"}


def users_create(city: Unit, district: Unit) -> None:
    """Create the users that are missing and give each its role; who is there already keeps his password."""
    kept = make_password(demo_password())  # slow on purpose: once for all
    for name in LOGINS:
        role = Role.OPERATOR if name == "operator-east" else Role(name)
        user, _created = get_user_model().objects.get_or_create(
            username=name, defaults={"is_staff": role == Role.ADMINISTRATOR, "password": kept}
        )
        membership_add(user, role, district if name == "operator-east" else city)


def demo_password() -> str:
    """DEMO_PASSWORD; else the well-known one while only this machine can reach the site, else one made for it.

    A site that answers to other names never has a password that is printed in a README.
    """
    if settings.DEMO_PASSWORD:
        return str(settings.DEMO_PASSWORD)
    if settings.DEBUG or set(settings.ALLOWED_HOSTS) <= _LOCAL:
        return PASSWORD
    return _own_password(Path(settings.VAR_DIR) / "demo_password")


def printed_password_counts() -> bool:
    """Whether any of the demo's users that are there can log in with the password every reader of the README knows."""
    people = get_user_model().objects.filter(username__in=LOGINS, is_active=True)
    return any(person.check_password(PASSWORD) for person in people)


def _own_password(path: Path) -> str:
    """The password in this file, made at the first call and readable by its owner alone."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="utf-8").strip()
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        password = secrets.token_urlsafe(12)
        file.write(password + "\n")
    return password
