"""Evidence: hits that are kept for the case, looked at in full, shown for printing, exported; each of it logged."""

from __future__ import annotations

from datetime import datetime
from typing import IO

from django.db import transaction
from django.utils.translation import gettext as _

from citysearch.cases import approving
from citysearch.cases.contents import case_files, search_files, short_names
from citysearch.cases.log import entry_append
from citysearch.cases.models import Evidence, LogEntry
from citysearch.cases.package import package_write
from citysearch.cases.queries import Piece, evidence_pieces
from citysearch.errors import Conflict
from citysearch.gallery.access import get_crop_or_404
from citysearch.gallery.models import Crop
from citysearch.gallery.originals import original_address
from citysearch.searches.access import searches_of, user_pk
from citysearch.searches.models import Search
from citysearch.searches.refusals import SearchRefused
from units.access import User


def evidence_add(search: Search, crop_id: int, user: User) -> Evidence:
    """Keep a hit; one that is kept already stays as it was. Raises SearchRefused for a crop that is no hit."""
    crop = hit_or_refused(search, crop_id, user)
    with transaction.atomic():
        row, created = Evidence.objects.get_or_create(search=search, crop=crop, defaults={"user_id": user_pk(user)})
        if created:
            entry_append(LogEntry.Action.KEEP, search, user, crop=crop.pk, sha256=crop.sha256)
    return row


def evidence_remove(search: Search, crop_id: int, user: User) -> bool:
    """Keep a hit no longer; False where it was not kept."""
    with transaction.atomic():
        removed = bool(search.evidence.filter(crop=crop_id).delete()[0])
        if removed:
            entry_append(LogEntry.Action.DROP, search, user, crop=crop_id)
    return removed


def original_open(search: Search, crop_id: int, user: User) -> tuple[str, datetime]:
    """An address of the original of a hit, for this user and a short time; the viewing is logged."""
    crop = hit_or_refused(search, crop_id, user)
    entry_append(LogEntry.Action.VIEW, search, user, crop=crop.pk, sha256=crop.sha256)
    return original_address(crop, user)


def evidence_print(search: Search, user: User) -> tuple[list[Piece], LogEntry]:
    """What a printable page shows, and the log's line that says so. Raises Conflict without any evidence."""
    pieces = _pieces(search, user)
    return pieces, entry_append(LogEntry.Action.PRINT, search, user, crops=[piece["crop"] for piece in pieces])


def evidence_export(search: Search, user: User) -> IO[bytes]:
    """The evidence as one signed ZIP; its own log entry is in it, and is there before the pictures are drawn.

    Raises Conflict without any evidence, and NotApproved where a supervisor has not approved exactly this.
    """
    pieces = _pieces(search, user)
    approving.export_check(search, user, _ids(pieces))
    return package_write(search_files(search, pieces, _exported(search, pieces, user)))


def case_export(case: str, user: User) -> IO[bytes]:
    """The evidence of all searches of a case that the user may see, as one signed ZIP; the log has a line on each.

    Raises Conflict without any evidence, and NotApproved where a supervisor has yet to approve some of it: he is asked.
    """
    searches = searches_of(user).select_related("unit", "model_version", "user").filter(case=case)
    given = [(search, evidence_pieces(search, user)) for search in searches.order_by("created_at", "pk")]
    found = [(search, pieces) for search, pieces in given if pieces]
    if not found:
        raise Conflict(_("No search of this case that you may see has evidence yet. Confirm a hit (Y) or add one (E)."))
    _approvals_check([(search, _ids(pieces)) for search, pieces in found], user)
    exported = [(search, pieces, _exported(search, pieces, user)) for search, pieces in found]
    return package_write(case_files(case, exported))


def _approvals_check(wanted: list[tuple[Search, list[int]]], user: User) -> None:
    waiting = [search for search, crops in wanted if approving.export_ask(search, user, crops)]
    if waiting:
        message = _("A supervisor has been asked to approve the export of the case. These searches wait: %(searches)s.")
        raise approving.NotApproved(message % {"searches": ", ".join(short_names(waiting))})


def _exported(search: Search, pieces: list[Piece], user: User) -> LogEntry:
    hashes = {str(piece["crop"]): piece["sha256"] for piece in pieces}
    return entry_append(LogEntry.Action.EXPORT, search, user, crops=hashes)


def evidence_ask(search: Search, user: User) -> bool:
    """Ask a supervisor for the export where one has to be asked; False where nobody has. Raises Conflict without any
    evidence."""
    return approving.export_ask(search, user, _ids(_pieces(search, user)))


def hit_or_refused(search: Search, crop_id: int, user: User) -> Crop:
    """A crop among the search's hits that the user may see."""
    crop = get_crop_or_404(user, crop_id)
    if not search.candidates.filter(crop=crop).exists():
        message = _("Crop %(crop)s is no hit of this search.") % {"crop": crop_id}
        raise SearchRefused("unknown_crop", message, {"crop": message}, 404)
    return crop


def _pieces(search: Search, user: User) -> list[Piece]:
    pieces = evidence_pieces(search, user)
    if not pieces:
        raise Conflict(_("There is no evidence yet. Confirm a hit (Y) or add one (E)."))
    return pieces


def _ids(pieces: list[Piece]) -> list[int]:
    return sorted(piece["crop"] for piece in pieces)
