"""The administrator's page of model versions: figures to read, one action to choose the active version."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from citysearch.errors import ServiceError
from citysearch.research import access, services
from citysearch.research.models import ModelVersion
from citysearch.research.queries import headline, unindexed_crops
from reid_engine.errors import ReidError


@admin.register(ModelVersion)
class ModelVersionAdmin(admin.ModelAdmin):
    """Registered by command only; nothing here can be typed over."""

    list_display = ["name", "state", "backbone", "dim", "rank1", "mean_ap", "mean_inp", "created_at", "activated_at"]
    list_filter = ["state", "backbone"]
    search_fields = ["name", "sha256"]
    actions = ["activate", "index"]
    fields = readonly_fields = (
        "name",
        "state",
        "backbone",
        "dim",
        "rank1",
        "mean_ap",
        "mean_inp",
        "unindexed",
        "sha256",
        "bundle",
        "metrics",
        "created_at",
        "activated_at",
    )

    @admin.display(description=_("Rank-1"))
    def rank1(self, version: ModelVersion) -> str:
        return _percent(version, "rank1")

    @admin.display(description=_("mAP"))
    def mean_ap(self, version: ModelVersion) -> str:
        return _percent(version, "mean_ap")

    @admin.display(description=_("mINP"))
    def mean_inp(self, version: ModelVersion) -> str:
        return _percent(version, "mean_inp")

    @admin.display(description=_("crops not indexed"))
    def unindexed(self, version: ModelVersion) -> int:
        return unindexed_crops(version)

    @admin.action(description=_("Activate the chosen model version"), permissions=["activate"])
    def activate(self, request: HttpRequest, chosen: QuerySet[ModelVersion]) -> None:
        version = self._single(request, chosen)
        if version is None:
            return
        try:
            services.model_activate(version)
        except (ServiceError, ReidError) as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, gettext("Active now: %(name)s.") % {"name": version.name}, messages.SUCCESS)

    @admin.action(description=_("Index the gallery with the chosen model version"), permissions=["activate"])
    def index(self, request: HttpRequest, chosen: QuerySet[ModelVersion]) -> None:
        version = self._single(request, chosen)
        if version is not None:
            services.model_index(version)
            text = gettext("The gallery is being indexed with %(name)s.") % {"name": version.name}
            self.message_user(request, text, messages.SUCCESS)

    def _single(self, request: HttpRequest, chosen: QuerySet[ModelVersion]) -> ModelVersion | None:
        if chosen.count() == 1:
            return chosen.get()
        self.message_user(request, gettext("Choose exactly one model version."), messages.ERROR)
        return None

    def has_activate_permission(self, request: HttpRequest) -> bool:
        return access.may_activate(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return access.may_read(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return access.may_read(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _percent(version: ModelVersion, figure: str) -> str:
    value = headline(version).get(figure)
    return "-" if value is None else f"{100 * value:.1f}"
