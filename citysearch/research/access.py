"""Who sees model versions: researchers and administrators. Administrators of a whole city choose the active one."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import QuerySet

from citysearch.research.models import ModelVersion
from units.access import roles_of, units_of
from units.models import Role

User = AbstractBaseUser | AnonymousUser


def may_read(user: User) -> bool:
    """Whether the user may see model versions at all."""
    return bool(roles_of(user) & {Role.RESEARCHER, Role.ADMINISTRATOR})


def may_activate(user: User) -> bool:
    """Whether the user may choose the version that every search uses: it is nobody's who administers a part only."""
    return units_of(user, Role.ADMINISTRATOR).filter(depth=1).exists() or _is_superuser(user)


def _is_superuser(user: User) -> bool:
    return user.is_active and bool(getattr(user, "is_superuser", False))


def versions_of(user: User) -> QuerySet[ModelVersion]:
    """The model versions the user may see: all, or none."""
    return ModelVersion.objects.all() if may_read(user) else ModelVersion.objects.none()
