"""Who may see and run which searches.

A search may be started by an operator or supervisor of its unit. Whoever has one of these roles in the unit now sees
the search and gives verdicts on it: colleagues work on one case, and who lost the role has lost its searches too.
"""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext_lazy as _

from citysearch.searches.models import Search
from units.access import User, cameras_of, granted_paths, units_of
from units.models import Camera, Role, Unit
from units.tree import below

SEARCHERS: tuple[str, ...] = (Role.OPERATOR, Role.SUPERVISOR)


def searches_of(user: User) -> QuerySet[Search]:
    """The searches the user may see, newest first."""
    paths = granted_paths(user, *SEARCHERS)
    searches = Search.objects.all()
    return searches if paths is None else searches.filter(below(paths, "unit__path"))


def get_search_or_404(user: User, pk: UUID) -> Search:
    """The search with its unit and model version, or Http404 where it is none of the user's business."""
    search = searches_of(user).select_related("unit", "model_version", "user").filter(pk=pk).first()
    if search is None:
        raise Http404(_("There is no such search."))
    return search


def get_searchable_unit_or_404(user: User, key: str) -> Unit:
    """The unit with this id or code, or Http404 where the user may not search it. A code goes before an id."""
    units = units_of(user, *SEARCHERS)
    unit = units.filter(code=key).first()
    if unit is None and key.isdecimal() and len(key) < 19:
        unit = units.filter(pk=int(key)).first()
    if unit is None:
        raise Http404(_("There is no such unit."))
    return unit


def user_pk(user: User) -> int:
    """The id of a logged-in user."""
    return cast(int, user.pk)


def searchable_cameras(user: User) -> QuerySet[Camera]:
    """The cameras whose crops the user may search, with their units."""
    return cameras_of(user, *SEARCHERS).select_related("unit").defer("unit__polygon")
