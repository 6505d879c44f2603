"""The log: appended line by line, each line bound to the one before by its digest, and checked as a whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from citysearch.cases.models import LogEntry
from citysearch.searches.models import Search
from units.access import User

FIRST = "0" * 64
ATTEMPTS = 20
FIELDS = ("time", "user", "action", "search", "case", "purpose", "details", "previous")


def entry_append(action: str, search: Search, user: User, **details: Any) -> LogEntry:
    """Add a line about a search."""
    about = {"search": search.pk, "case": search.case, "purpose": search.purpose}
    return _append(action=action, user=user.get_username(), details=details, **about)


def change_append(subject: str, user: str, details: dict[str, Any]) -> LogEntry:
    """Add a line about what an administrator changed."""
    return _append(action=subject, user=user, details=details)


def _append(**fields: Any) -> LogEntry:
    """Two writers at once cannot follow the same line: the second one tries again."""
    for _attempt in range(ATTEMPTS):
        entry = _next(fields)
        try:
            with transaction.atomic():
                entry.save()
        except IntegrityError:
            continue
        transaction.on_commit(partial(_head_write, entry.digest), robust=True)
        return entry
    raise IntegrityError("the log is written to by too many at once")


def entries_of(pk: UUID) -> list[dict[str, Any]]:
    """The lines that name this search, as they are hashed, each with its digest."""
    return [_facts(entry) | {"digest": entry.digest} for entry in LogEntry.objects.filter(search=pk)]


def log_faults() -> Iterator[str]:
    """What is wrong with the log: altered lines, missing ones, and an end that was cut off."""
    previous, seen = FIRST, {FIRST}
    for entry in LogEntry.objects.order_by("id").iterator():
        if entry.previous != previous:
            yield f"{entry.pk}: a line before it is missing"
        if entry.digest != digest_of(_facts(entry)):
            yield f"{entry.pk}: altered"
        previous = entry.digest
        seen.add(previous)
    if _head_read() not in seen:
        yield f"{_head_path()}: lines after {previous[:12]} are missing"


def digest_of(facts: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON of a line's fields."""
    text = json.dumps({name: facts[name] for name in FIELDS}, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _next(fields: dict[str, Any]) -> LogEntry:
    previous = LogEntry.objects.order_by("-id").values_list("digest", flat=True).first() or FIRST
    entry = LogEntry(time=timezone.now(), previous=previous, **fields)
    entry.digest = digest_of(_facts(entry))
    return entry


def _facts(entry: LogEntry) -> dict[str, Any]:
    facts = {name: getattr(entry, name) for name in FIELDS}
    return facts | {"time": entry.time.astimezone(UTC).isoformat(), "search": entry.search and str(entry.search)}


def _head_path() -> Path:
    return Path(settings.VAR_DIR) / "audit.head"


def _head_write(digest: str) -> None:
    """The digest of the newest line, beside the database: without it a log cut short would look whole."""
    unfinished = _head_path().with_suffix(f".{digest[:8]}.part")
    unfinished.write_text(digest)
    unfinished.replace(_head_path())


def _head_read() -> str:
    try:
        return _head_path().read_text()
    except FileNotFoundError:
        return FIRST
