"""The log, to be read by auditors: who did what, when, and why; nothing in it is ever changed."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from citysearch.cases.access import is_auditor, log_of
from citysearch.cases.models import LogEntry

# What the services say was done (citysearch.changes).
DONE = {
    "add": _("added"), "add many": _("added"), "change": _("changed"), "move": _("moved"), "delete": _("deleted"),
    "import": _("imported"), "lay a grid": _("grid laid"), "give": _("given"), "take back": _("taken back"),
    "register": _("registered"), "index": _("indexing started"), "stop indexing": _("indexing stopped"),
    "activate": _("activated"), "upload": _("uploaded"), "run again": _("run again"), "stop": _("stopped"),
    "begin": _("about to erase"), "end": _("erased"),
}  # fmt: skip


@admin.register(LogEntry)
class LogEntryAdmin(admin.ModelAdmin):
    list_display = ["id", "moment", "user", "action", "short", "case", "purpose"]
    list_display_links = ["id", "moment"]
    ordering = ["-id"]
    list_filter = ["action"]
    search_fields = ["=user", "=case", "=search"]
    search_help_text = _("A user, a case or the number of a search, in full")
    date_hierarchy = "time"
    empty_text = _("The log is empty, or tells nothing of your units.")
    show_full_result_count = False
    fields = readonly_fields = (
        "id",
        "moment",
        "user",
        "action",
        "search",
        "case",
        "purpose",
        "told",
        "previous",
        "digest",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[LogEntry]:
        return log_of(request.user)

    @admin.display(description=_("time"), ordering="time")
    def moment(self, line: LogEntry) -> str:
        return f"{timezone.localtime(line.time):%Y-%m-%d %H:%M:%S}"

    @admin.display(description=_("details"))
    def short(self, line: LogEntry) -> str:
        """What was done, to what, and what it changed from what to what, in one line."""
        facts = dict(line.details)
        done, changes = DONE.get(facts.pop("did", ""), ""), facts.pop("changes", {})
        told = [f"{name} {_brief(value)}" for name, value in facts.items() if value not in (None, False)]
        told += [f"{name}: {_brief(before)} → {_brief(after)}" for name, (before, after) in changes.items()]
        return " · ".join([str(done)] * bool(done) + told)

    @admin.display(description=_("details"))
    def told(self, line: LogEntry) -> str:
        return format_html("<pre>{}</pre>", json.dumps(line.details, indent=1, ensure_ascii=False))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_auditor(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_auditor(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _brief(value: Any) -> str:
    if value in (None, ""):
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]} …"
