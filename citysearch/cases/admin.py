"""The log, to be read by auditors: who did what, when, and why; nothing in it is ever changed."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from citysearch.cases.access import is_auditor, log_of
from citysearch.cases.models import LogEntry


@admin.register(LogEntry)
class LogEntryAdmin(admin.ModelAdmin):
    list_display = ["id", "time", "user", "action", "case", "purpose", "short"]
    list_display_links = ["id", "time"]
    list_filter = ["action"]
    search_fields = ["=user", "=case", "=search"]
    search_help_text = _("A user, a case or the number of a search, in full")
    date_hierarchy = "time"
    empty_text = _("The log is empty, or tells nothing of your units.")
    show_full_result_count = False
    fields = readonly_fields = (
        "id",
        "time",
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

    @admin.display(description=_("details"))
    def short(self, line: LogEntry) -> str:
        return ", ".join(f"{name}: {_brief(value)}" for name, value in line.details.items())

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
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]} …"
