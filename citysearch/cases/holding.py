"""Legal hold: what a search needs as evidence outlives retention and erasure until a supervisor lifts the hold."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from citysearch.cases.access import check_supervises, supervises
from citysearch.cases.log import entry_append
from citysearch.cases.models import Hold, LogEntry
from citysearch.cases.queries import evidence_crops
from citysearch.errors import Conflict
from citysearch.gallery.queries import crops_locked
from citysearch.searches.access import user_pk
from citysearch.searches.models import Search
from units.access import User


def hold_place(search: Search, user: User, reason: str) -> Hold:
    """Put a search on hold. Raises SupervisorsOnly, and Conflict where it is on hold already."""
    check_supervises(user, search)
    try:
        with transaction.atomic():
            crops = sorted(crops_locked(evidence_crops(search)))
            hold = Hold.objects.create(search=search, user_id=user_pk(user), reason=reason, crops=crops)
            entry_append(LogEntry.Action.HOLD, search, user, reason=reason, crops=crops)
    except IntegrityError as error:
        raise Conflict(_("This search is on hold already.")) from error
    return hold


def hold_lift(search: Search, user: User, reason: str) -> Hold:
    """Lift the hold. Raises SupervisorsOnly, and Conflict where there is none."""
    check_supervises(user, search)
    with transaction.atomic():
        hold = search.holds.select_for_update().filter(lifted_at=None).first()
        if hold is None:
            raise Conflict(_("This search is not on hold."))
        hold.lifted_by_id, hold.lifted_at, hold.lift_reason = user_pk(user), timezone.now(), reason
        hold.save(update_fields=["lifted_by", "lifted_at", "lift_reason"])
        entry_append(LogEntry.Action.LIFT, search, user, reason=reason)
    return hold


def hold_state(search: Search, user: User) -> dict[str, Any]:
    """Whether the search is on hold, since when, by whom and why, and whether the user may change that."""
    hold = search.holds.filter(lifted_at=None).select_related("user").first()
    said = {"user": hold.user.get_username(), "since": hold.created_at, "reason": hold.reason} if hold else {}
    none = {"user": None, "since": None, "reason": ""}
    return {"held": hold is not None, "may_change": supervises(user, search), **(said or none)}


def searches_on_hold() -> set[UUID]:
    return set(Hold.objects.filter(lifted_at=None).order_by().values_list("search", flat=True))


def crops_held(ids: Collection[int]) -> dict[int, str]:
    """Those of the crops that a hold keeps (evidence when it began, or by now), with words that name it."""
    held: dict[int, str] = {}
    for hold in Hold.objects.filter(lifted_at=None).select_related("search", "user").defer("search__trajectory"):
        kept = evidence_crops(hold.search) | set(hold.crops)
        held |= dict.fromkeys(kept.intersection(ids), _named(hold))
    return held


def _named(hold: Hold) -> str:
    text = _(
        "Evidence of case %(case)s is on hold since %(day)s by %(user)s. "
        "It can be erased as soon as a supervisor has lifted the hold."
    )
    day = timezone.localtime(hold.created_at).date().isoformat()
    return text % {"case": hold.search.case, "day": day, "user": hold.user.get_username()}
