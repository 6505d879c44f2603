"""What the log, likelihoods, verdicts and coverage say, in the reader's words."""

from __future__ import annotations

import json
import re
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from citysearch.cases.models import LogEntry
from citysearch.searches.models import Verdict

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


def likelihood_words(likelihood: float | None) -> str:
    """The five words in which every likelihood is said; the same thresholds as static/frontend/js/format.js."""
    if likelihood is None:
        return ""
    words = [(0.9, gettext("very likely")), (0.7, gettext("likely")), (0.3, gettext("possible"))]
    words.append((0.1, gettext("unlikely")))
    return next((word for least, word in words if likelihood >= least), gettext("very unlikely"))


def likelihood_number(likelihood: float) -> str:
    """Three decimals, never 0 and never 1: a likeness is no proof."""
    return f"{min(0.999, max(0.001, likelihood)):.3f}"


def verdict_words(verdict: str | None) -> str:
    """What a person said of a crop; nothing yet is undecided."""
    return str(Verdict.Value(verdict or Verdict.Value.UNDECIDED).label)


def reason_words(reason: str) -> str:
    """Why a camera was skipped, or what to know of one that was not, in the reader's language."""
    words = {
        "no_permission": gettext("without your rights"),
        "no_crops": gettext("without crops"),
        "not_indexed": gettext("not indexed yet"),
        "other_model": gettext("indexed by another model version"),
        "no_crops_in_period": gettext("without crops in the chosen time"),
        "partly_indexed": gettext("searched, but not all of its crops are indexed yet"),
        "offline": gettext("searched, though offline now: its newest crops may be missing"),
        "maintenance": gettext("searched, though in maintenance now"),
    }
    return words.get(reason, reason)


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
