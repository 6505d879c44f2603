"""What supervisors decided, in the admin, to be read only: holds, and exports that were asked for."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from citysearch.cases.models import ExportRequest, Hold
from units.admin_rights import ReadOnly, SubtreeAdmin


class Decided(ReadOnly, SubtreeAdmin):
    """Rows of a search: everything to look at, nothing to change."""

    path_field = "search__unit__path"

    @admin.display(description=_("case"), ordering="search__case")
    def case(self, row: Any) -> str:
        return str(row.search.case)

    @admin.display(description=_("unit"))
    def unit(self, row: Any) -> str:
        return str(row.search.unit)


@admin.register(Hold)
class HoldAdmin(Decided):
    list_display = ("case", "unit", "user", "reason", "created_at", "lifted_by", "lifted_at", "lift_reason")
    list_filter = (("lifted_at", admin.EmptyFieldListFilter),)
    list_select_related = ("search__unit", "user", "lifted_by")
    search_fields = ("search__case", "reason", "user__username")
    empty_text = _("No search was ever put on hold. Supervisors do that in the evidence of a search.")
    fields = readonly_fields = (
        "case", "unit", "user", "reason", "created_at", "lifted_by", "lifted_at", "lift_reason",
    )  # fmt: skip


@admin.register(ExportRequest)
class ExportRequestAdmin(Decided):
    list_display = ("case", "unit", "user", "state", "created_at", "decided_by", "decided_at", "reason")
    list_filter = ("state",)
    list_select_related = ("search__unit", "user", "decided_by")
    search_fields = ("search__case", "reason", "user__username")
    empty_text = _("No operator has asked for an export yet.")
    fields = readonly_fields = (
        "case", "unit", "user", "state", "created_at", "decided_by", "decided_at", "reason",
    )  # fmt: skip
