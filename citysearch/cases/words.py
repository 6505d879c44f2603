"""What a line of the log says, in the reader's words."""

from __future__ import annotations

import json
import re
from typing import Any

from django.utils.translation import gettext_lazy as _

from citysearch.cases.models import LogEntry

DIGEST = re.compile("[0-9a-f]{64}")
# What the services say was done (citysearch.changes).
DONE = {
    "add": _("added"), "add many": _("added"), "change": _("changed"), "move": _("moved"), "delete": _("deleted"),
    "import": _("imported"), "lay a grid": _("grid laid"), "give": _("given"), "take back": _("taken back"),
    "register": _("registered"), "index": _("indexing started"), "stop indexing": _("indexing stopped"),
    "activate": _("activated"), "upload": _("uploaded"), "run again": _("run again"), "stop": _("stopped"),
    "begin": _("about to erase"), "end": _("erased"),
}  # fmt: skip


def told(entry: LogEntry) -> str:
    """What was done, to what, and what it changed from what to what, in one line."""
    facts = dict(entry.details)
    done, changes = DONE.get(facts.pop("did", ""), ""), facts.pop("changes", {})
    said = [f"{name} {_brief(value)}" for name, value in facts.items() if value not in (None, False)]
    said += [f"{name}: {_brief(before)} → {_brief(after)}" for name, (before, after) in changes.items()]
    return " · ".join([str(done)] * bool(done) + said)


def _brief(value: Any) -> str:
    """A value in a few words: lists without brackets, a digest by its beginning."""
    if value in (None, "", [], {}):
        return "–"
    if isinstance(value, list):
        return _cut((" " if _is_pair(value) else ", ").join(_brief(one) for one in value))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{text[:12]}…" if DIGEST.fullmatch(text) else _cut(text)


def _is_pair(value: list[Any]) -> bool:
    """A crop and its verdict, not a list of two of a kind."""
    return len(value) == 2 and type(value[0]) is not type(value[1])


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]} …"
