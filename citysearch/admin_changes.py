"""An admin that writes its rows without a service, and so tells the log itself what was changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from citysearch.changes import change_tell

NAMES_TOLD = 20


class ToldAdmin(admin.ModelAdmin):
    """What is added, changed and deleted here is a line of the log: fields by name, nothing of what stands in them."""

    subject = ""

    def name_of(self, obj: Any) -> str:
        """What the log calls a row."""
        return str(obj)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        change_tell(self.subject, "add", **{self.subject: self.name_of(obj)})
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        change_tell(self.subject, "change", **{self.subject: self.name_of(obj)}, fields=message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        rows = list(queryset)
        names = [self.name_of(obj) for obj in rows[:NAMES_TOLD]]
        change_tell(self.subject, "delete", **{self.subject: names}, count=len(rows))
        return super().log_deletions(request, queryset)
