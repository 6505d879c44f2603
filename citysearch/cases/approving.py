"""Approval of exports: a supervisor approves what an operator exports, crop for crop; his own need nobody else."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from citysearch.cases.access import check_supervises, supervises
from citysearch.cases.log import entry_append
from citysearch.cases.models import ExportRequest, LogEntry
from citysearch.cases.queries import evidence_pieces
from citysearch.errors import Conflict
from citysearch.searches.access import user_pk
from citysearch.searches.models import Search
from units.access import User

State = ExportRequest.State


class NotApproved(Conflict):
    """A supervisor has not approved the export of this evidence."""

    code = "not_approved"


def export_ask(search: Search, user: User, crops: list[int]) -> bool:
    """Ask for the export of these crops unless it is asked for; False where nobody has to be asked (any more)."""
    if supervises(user, search):
        return False
    row = _latest(search, user, crops)
    if row is None or row.state == State.REFUSED:
        _ask(search, user, crops)
    return row is None or row.state != State.APPROVED


def export_check(search: Search, user: User, crops: list[int]) -> None:
    """Raises NotApproved where a supervisor has yet to approve that this user exports these crops."""
    if supervises(user, search):
        return
    row = _latest(search, user, crops)
    if row is None or row.state != State.APPROVED:
        raise NotApproved(_("A supervisor has to approve the export of this evidence."))


def export_decide(search: Search, pk: int, user: User, approved: bool, reason: str = "") -> ExportRequest:
    """Approve or refuse a request. Raises SupervisorsOnly, Http404, and Conflict where it is no longer open or,
    to be approved, no longer asks for what is the evidence now."""
    check_supervises(user, search)
    with transaction.atomic():
        row = search.export_requests.select_for_update(of=("self",)).select_related("user").filter(pk=pk).first()
        if row is None:
            raise Http404(_("There is no such request."))
        _check_open(row, approved)
        row.state = State.APPROVED if approved else State.REFUSED
        row.decided_by_id, row.decided_at, row.reason = user_pk(user), timezone.now(), reason
        row.save(update_fields=["state", "decided_by", "decided_at", "reason"])
        action = LogEntry.Action.APPROVE if approved else LogEntry.Action.REFUSE
        said = {"reason": reason} if reason else {}
        entry_append(action, search, user, asked_by=row.user.get_username(), crops=row.crops, **said)
    return row


def export_state(search: Search, user: User) -> dict[str, Any]:
    """What the user has to know of exports: free, needed, asked, approved, refused; and what he may decide."""
    free = supervises(user, search)
    row = None if free else _latest(search, user, exported_crops(search, user))
    decider = row.decided_by if row else None
    return {
        "state": "free" if free else row.state if row else "needed",
        "time": (row.decided_at or row.created_at) if row else None,
        "user": decider.get_username() if decider else None,
        "reason": row.reason if row else "",
        "requests": _open_requests(search) if free else [],
    }


def exported_crops(search: Search, user: User) -> list[int]:
    """The ids of what the user would export."""
    return sorted(piece["crop"] for piece in evidence_pieces(search, user))


def searches_asking() -> set[UUID]:
    """The searches of which an export waits for a supervisor."""
    return set(ExportRequest.objects.filter(state=State.ASKED).order_by().values_list("search", flat=True))


def _latest(search: Search, user: User, crops: list[int]) -> ExportRequest | None:
    """The user's newest request, where it is for exactly these crops."""
    rows = search.export_requests.filter(user_id=user_pk(user)).exclude(state=State.REPLACED)
    row = rows.select_related("decided_by").first()
    return row if row is not None and row.crops == crops else None


def _ask(search: Search, user: User, crops: list[int]) -> None:
    """Whoever asks twice at once asks once."""
    mine = search.export_requests.filter(user_id=user_pk(user), state=State.ASKED)
    try:
        with transaction.atomic():
            mine.update(state=State.REPLACED)
            ExportRequest.objects.create(search=search, user_id=user_pk(user), crops=crops)
            entry_append(LogEntry.Action.ASK, search, user, crops=crops)
    except IntegrityError:
        if not mine.exists():
            raise


def _check_open(row: ExportRequest, approved: bool) -> None:
    if row.state in (State.APPROVED, State.REFUSED):
        raise Conflict(_("This request has been decided already."))
    if row.state == State.REPLACED or (approved and _is_outdated(row)):
        raise Conflict(_("The evidence has changed since this export was asked for. It has to be asked for anew."))


def _is_outdated(row: ExportRequest) -> bool:
    return exported_crops(row.search, row.user) != row.crops


def _open_requests(search: Search) -> list[dict[str, Any]]:
    rows = search.export_requests.filter(state=State.ASKED).select_related("user", "search").order_by("id")
    return [
        {
            "id": row.pk,
            "user": row.user.get_username(),
            "time": row.created_at,
            "crops": row.crops,
            "changed": _is_outdated(row),
        }
        for row in rows
    ]
