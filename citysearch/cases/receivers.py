"""What the log is told: that a search was started, verdicts were given, an administrator changed something.

And what the apps below ask: what is on hold.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from citysearch.cases.models import LogEntry
from citysearch.changes import changed
from citysearch.gallery.signals import crops_holding
from citysearch.searches.models import Search, Verdict
from citysearch.searches.signals import search_started, searches_holding, verdicts_given
from units.access import User


def search_log(sender: Any, search: Search, user: User, **kwargs: Any) -> None:
    from citysearch.cases.log import entry_append

    hashes = list(search.photos.values_list("sha256", flat=True))
    version = search.model_version.name if search.model_version else None
    entry_append(LogEntry.Action.SEARCH, search, user, unit=search.unit.code, photos=hashes, model=version)


def verdicts_log(sender: Any, search: Search, user: User, rows: Sequence[Verdict], **kwargs: Any) -> None:
    from citysearch.cases.log import entry_append

    entry_append(LogEntry.Action.VERDICTS, search, user, verdicts=[[row.crop_id, row.value] for row in rows])


def change_log(sender: Any, user: str, subject: str, details: dict[str, Any], **kwargs: Any) -> None:
    from citysearch.cases.log import change_append

    change_append(subject, user, details)


def crops_hold(sender: Any, ids: Collection[int], **kwargs: Any) -> dict[int, str]:
    from citysearch.cases.holding import crops_held

    return crops_held(ids)


def searches_hold(sender: Any, **kwargs: Any) -> set[UUID]:
    from citysearch.cases.holding import searches_on_hold

    return searches_on_hold()


def connect() -> None:
    crops_holding.connect(crops_hold, dispatch_uid="cases")
    searches_holding.connect(searches_hold, dispatch_uid="cases")
    changed.connect(change_log, dispatch_uid="cases")
    search_started.connect(search_log, dispatch_uid="cases")
    verdicts_given.connect(verdicts_log, dispatch_uid="cases")
