"""The administrator's page of model versions: figures to read, one action to choose the active version."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from citysearch.errors import ServiceError
from citysearch.research import access, services
from citysearch.research.models import ModelVersion
from citysearch.research.queries import headline, unindexed_crops
from reid_engine.errors import ReidError
from units.admin_rights import ReadOnly


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnly, admin.ModelAdmin):
    """Registered by command only; nothing here can be typed over. Lists and pages show how far indexing is."""

    change_list_template = "admin/research/versions.html"
    change_form_template = "admin/research/version.html"

    list_display = ["name", "state", "indexing", "backbone", "dim", "rank1", "mean_ap", "mean_inp", "activated_at"]
    list_filter = ["state", "backbone"]
    empty_text = _("No model versions yet. Register a bundle: manage.py register_model FILE.")
    search_fields = ["name", "sha256"]
    actions = ["activate", "index", "index_and_activate", "stop", "compare"]
    fields = readonly_fields = (
        "name",
        "state",
        "backbone",
        "dim",
        "rank1",
        "mean_ap",
        "mean_inp",
        "sha256",
        "bundle",
        "stored_figures",
        "created_at",
        "activated_at",
    )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        extra = {"may_activate": self.has_activate_permission(request), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, extra)

    @admin.display(description=_("Rank-1"))
    def rank1(self, version: ModelVersion) -> str:
        return _percent(version, "rank1")

    @admin.display(description=_("Mean AP (mAP)"))
    def mean_ap(self, version: ModelVersion) -> str:
        return _percent(version, "mean_ap")

    @admin.display(description=_("Mean INP (mINP)"))
    def mean_inp(self, version: ModelVersion) -> str:
        return _percent(version, "mean_inp")

    @admin.display(description=_("figures"))
    def stored_figures(self, version: ModelVersion) -> str:
        return format_html("<pre>{}</pre>", json.dumps(version.metrics, indent=1, ensure_ascii=False))

    @admin.display(description=_("gallery"))
    def indexing(self, version: ModelVersion) -> str:
        """How much of the gallery has features of this version; it moves where a page's script keeps it fresh."""
        address = reverse("admin:gallery_version_progress", args=[version.pk])
        missing = unindexed_crops(version)
        if not missing:
            return gettext("complete")
        words = ngettext("%(count)d crop without features", "%(count)d crops without features", missing)
        shown = words % {"count": missing}
        if version.state in (ModelVersion.State.INDEXING, ModelVersion.State.ACTIVE):
            return format_html(
                '<div class="work-cell" data-progress="{}"><div class="work">{}</div></div>', address, shown
            )
        return shown

    @admin.action(description=_("Activate the chosen model version"), permissions=["activate"])
    def activate(self, request: HttpRequest, chosen: QuerySet[ModelVersion]) -> None:
        self._do(request, chosen, services.model_activate, gettext("Active now: %(name)s."))

    @admin.action(description=_("Index the gallery with the chosen model version"), permissions=["activate"])
    def index(self, request: HttpRequest, chosen: QuerySet[ModelVersion]) -> None:
        version = self._single(request, chosen)
        if version is not None:
            self._index(request, version, activate=False)

    @admin.action(description=_("Index, and activate as soon as the gallery is complete"), permissions=["activate"])
    def index_and_activate(self, request: HttpRequest, chosen: QuerySet[ModelVersion]) -> None:
        version = self._single(request, chosen)
        if version is not None:
            self._index(request, version, activate=True)

    @admin.action(description=_("Stop indexing with the chosen model version"), permissions=["activate"])
    def stop(self, request: HttpRequest, chosen: QuerySet[ModelVersion]) -> None:
        words = gettext("Indexing with %(name)s stops. The features it has are kept; index again to go on.")
        self._do(request, chosen, services.model_stop, words)

    @admin.action(description=_("Compare the two chosen model versions"), permissions=["activate"])
    def compare(self, request: HttpRequest, chosen: QuerySet[ModelVersion]) -> HttpResponse | None:
        pair = list(chosen.order_by("created_at").values_list("pk", flat=True)[:3])
        if len(pair) != 2:
            self.message_user(request, gettext("Choose exactly two model versions."), messages.ERROR)
            return None
        return redirect(reverse("admin:gallery_modelcomparison_add") + "?first={}&second={}".format(*pair))

    def _do(
        self,
        request: HttpRequest,
        chosen: QuerySet[ModelVersion],
        service: Callable[[ModelVersion], object],
        words: str,
    ) -> None:
        """Have a service do something with the one version that was chosen, and say what became of it."""
        version = self._single(request, chosen)
        if version is None:
            return
        try:
            service(version)
        except (ServiceError, ReidError) as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, words % {"name": version.name}, messages.SUCCESS)

    def _index(self, request: HttpRequest, version: ModelVersion, activate: bool) -> None:
        services.model_index(version, activate)
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


def _percent(version: ModelVersion, figure: str) -> str:
    value = headline(version).get(figure)
    return "-" if value is None else f"{100 * value:.1f}"
