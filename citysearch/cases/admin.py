"""Holds in the admin: which searches are on hold or were, by whom and why; supervisors place and lift them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from citysearch.cases.models import Hold
from units.admin_rights import SubtreeAdmin


@admin.register(Hold)
class HoldAdmin(SubtreeAdmin):
    path_field = "search__unit__path"
    list_display = ("case", "unit", "user", "reason", "created_at", "lifted_by", "lifted_at", "lift_reason")
    list_filter = (("lifted_at", admin.EmptyFieldListFilter),)
    list_select_related = ("search__unit", "user", "lifted_by")
    search_fields = ("search__case", "reason", "user__username")
    empty_text = _("No search was ever put on hold. Supervisors do that in the evidence of a search.")
    fields = readonly_fields = (
        "case", "unit", "user", "reason", "created_at", "lifted_by", "lifted_at", "lift_reason",
    )  # fmt: skip

    @admin.display(description=_("case"), ordering="search__case")
    def case(self, hold: Hold) -> str:
        return hold.search.case

    @admin.display(description=_("unit"))
    def unit(self, hold: Hold) -> str:
        return str(hold.search.unit)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
