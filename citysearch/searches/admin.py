"""Searches in the admin: who searched what, where and why; never to be added, changed or deleted there.

An administrator sees the searches of his subtree, but no photo and no hit: he cannot search himself.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from citysearch.searches.models import Search, SearchPart, SearchPhoto, Verdict
from units.admin_rights import ReadOnly, SubtreeAdmin, administers


class Shown(ReadOnly):
    """Read only, and every field shown is plain text."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields or ()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return administers(request)


class PhotoInline(Shown, admin.TabularInline):
    model = SearchPhoto
    fields = ("position", "sha256", "quality")
    extra = 0


class PartInline(Shown, admin.TabularInline):
    model = SearchPart
    fields = ("position", "unit", "done", "cameras", "crops", "exact", "seconds")
    extra = 0


class VerdictInline(Shown, admin.TabularInline):
    model = Verdict
    fields = ("crop", "value", "user", "created_at")
    extra = 0


@admin.register(Search)
class SearchAdmin(Shown, SubtreeAdmin):
    list_display = ("case", "purpose", "unit", "user", "state", "stage", "created_at", "finished_at")
    list_filter = ("state", "created_at")
    empty_text = _("Nobody has searched in your units yet.")
    search_fields = ("case", "purpose", "user__username", "unit__name", "unit__code")
    list_select_related = ("unit", "user")
    date_hierarchy = "created_at"
    has_view_permission = SubtreeAdmin.has_view_permission
    inlines = (PhotoInline, PartInline, VerdictInline)
    fields = (
        "id", "case", "purpose", "user", "unit", "period_from", "period_to", "conditions", "model_version", "state",
        "stage", "counts", "coverage", "timings", "error", "attempts", "created_at", "started_at", "finished_at",
    )  # fmt: skip
