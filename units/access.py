"""Who may see and change what: the one place every query about units and cameras goes through.

A membership gives a user a role in a unit and everything below it. A superuser has every role everywhere.
What lies outside is not there: a 404, never a 403.
"""

from __future__ import annotations

from typing import TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext_lazy as _

from units.models import Camera, Membership, Role, Unit
from units.tree import below

User = AbstractBaseUser | AnonymousUser
Row = TypeVar("Row", Unit, Camera)

# The roles that work with units and cameras; an auditor reads the log only, a researcher training data.
READERS: tuple[str, ...] = (Role.OPERATOR, Role.SUPERVISOR, Role.ADMINISTRATOR)


def granted_paths(user: User, *roles: str) -> list[str] | None:
    """The tree paths at which the user has any of the roles (READERS when none is named); None means everywhere."""
    if not (user.is_authenticated and user.is_active):
        return []
    if getattr(user, "is_superuser", False):
        return None
    rows = Membership.objects.filter(user_id=user.pk, role__in=roles or READERS)
    return _topmost(rows.values_list("unit__path", flat=True))


def units_of(user: User, *roles: str) -> QuerySet[Unit]:
    """The units in which the user has any of the roles (READERS when none is named), in tree order."""
    paths = granted_paths(user, *roles)
    units = Unit.objects.order_by("path")
    return units if paths is None else units.filter(below(paths))


def cameras_of(user: User, *roles: str) -> QuerySet[Camera]:
    """The cameras in those units."""
    paths = granted_paths(user, *roles)
    cameras = Camera.objects.order_by("code")
    return cameras if paths is None else cameras.filter(below(paths, "unit__path"))


def get_unit_or_404(user: User, pk: object, *roles: str) -> Unit:
    """The unit with this id, or Http404 where it is none of the user's business (or no id at all)."""
    return _one_or_404(units_of(user, *roles), pk, _("There is no such unit."))


def get_camera_or_404(user: User, pk: object, *roles: str) -> Camera:
    """The camera with this id and its unit, or Http404."""
    return _one_or_404(cameras_of(user, *roles).select_related("unit"), pk, _("There is no such camera."))


def has_role(user: User, unit: Unit, *roles: str) -> bool:
    """Whether the user has any of the roles (READERS when none is named) in the unit."""
    paths = granted_paths(user, *roles)
    return paths is None or any(unit.path.startswith(path) for path in paths)


def roles_of(user: User) -> set[str]:
    """Every role the user has anywhere; all of them for a superuser."""
    if not (user.is_authenticated and user.is_active):
        return set()
    if getattr(user, "is_superuser", False):
        return set(Role.values)
    return set(Membership.objects.filter(user_id=user.pk).values_list("role", flat=True))


def _one_or_404(rows: QuerySet[Row], pk: object, message: object) -> Row:
    try:
        row = rows.filter(pk=str(pk)).first()
    except (ValueError, TypeError, OverflowError):
        row = None
    if row is None:
        raise Http404(message)
    return row


def _topmost(paths: QuerySet[Membership, str]) -> list[str]:
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not any(path.startswith(above) for above in kept):
            kept.append(path)
    return kept
