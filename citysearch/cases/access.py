"""Who reads the log: auditors, each as far as his unit reaches."""

from __future__ import annotations

from django.db.models import QuerySet

from citysearch.cases.models import LogEntry
from citysearch.searches.models import Search
from units.access import User, granted_paths, roles_of
from units.models import Role, Unit
from units.tree import below


def is_auditor(user: User) -> bool:
    return Role.AUDITOR in roles_of(user)


def log_of(user: User) -> QuerySet[LogEntry]:
    """The lines an auditor may read, newest first: all of them where he audits every city, else those of the searches
    in his units. What administrators change is not told of a part of the city alone."""
    paths = granted_paths(user, Role.AUDITOR)
    lines = LogEntry.objects.order_by("-id")
    if paths is None or not Unit.objects.filter(depth=1).exclude(path__in=paths).exists():
        return lines if paths != [] else lines.none()
    return lines.filter(search__in=Search.objects.filter(below(paths, "unit__path")).order_by().values("pk"))
