"""Who reads the log: auditors, each as far as his unit reaches. Who decides over a search: its unit's supervisors."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from citysearch.cases.models import LogEntry
from citysearch.errors import ServiceError
from citysearch.searches.models import Search
from units.access import User, granted_paths, has_role, roles_of
from units.models import Role, Unit
from units.tree import below


def is_auditor(user: User) -> bool:
    return Role.AUDITOR in roles_of(user)


class SupervisorsOnly(ServiceError):
    """Who may see a search, but does not supervise its unit."""

    code = "supervisors_only"
    status = 403


def supervises(user: User, search: Search) -> bool:
    """Whether the user is a supervisor of the search's unit or of one above."""
    return has_role(user, search.unit, Role.SUPERVISOR)


def check_supervises(user: User, search: Search) -> None:
    if not supervises(user, search):
        raise SupervisorsOnly(_("Only a supervisor of the searched unit can do that."))


def log_of(user: User) -> QuerySet[LogEntry]:
    """The lines an auditor may read, newest first: all of them where he audits every city, else those of the searches
    in his units. What administrators change is not told of a part of the city alone."""
    paths = granted_paths(user, Role.AUDITOR)
    lines = LogEntry.objects.order_by("-id")
    if paths is None or not Unit.objects.filter(depth=1).exclude(path__in=paths).exists():
        return lines if paths != [] else lines.none()
    return lines.filter(search__in=Search.objects.filter(below(paths, "unit__path")).order_by().values("pk"))
