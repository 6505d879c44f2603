"""The administrator's pages of crops, imports and segments: everything to look at, little to change."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from citysearch.errors import ServiceError
from citysearch.gallery import services
from citysearch.gallery.access import crops_of, imports_of, is_administrator
from citysearch.gallery.models import Crop, GalleryImport, ImportLine, Segment
from citysearch.gallery.queries import crop_url, true_time
from citysearch.gallery.reasons import ERASED, REASONS
from units.access import cameras_of
from units.models import Role

ERASE_MAX = 2000


class ReadOnly:
    """Administrators look, nobody types: what may change has an action or an API of its own."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_administrator(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_administrator(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Crop)
class CropAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["thumbnail", "camera", "time", "captured_at", "source_name", "width", "height"]
    list_filter = [("camera", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["camera"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["source_name", "=camera__code", "=sha256"]
    date_hierarchy = "captured_at"
    actions = ["index", "erase"]
    fields = readonly_fields = (
        "picture",
        "camera",
        "time",
        "captured_at",
        "width",
        "height",
        "source_name",
        "sha256",
        "gallery_import",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Crop]:
        return crops_of(request.user, Role.ADMINISTRATOR)

    @admin.display(description=_("crop"))
    def thumbnail(self, crop: Crop) -> str:
        return _picture(crop, 96)

    @admin.display(description=_("crop"))
    def picture(self, crop: Crop) -> str:
        return _picture(crop, 256)

    @admin.display(description=_("time"), ordering="captured_at")
    def time(self, crop: Crop) -> Any:
        return true_time(crop)

    @admin.action(description=_("Index now the cameras of the chosen crops"), permissions=["view"])
    def index(self, request: HttpRequest, chosen: QuerySet[Crop]) -> None:
        cameras = set(chosen.order_by().values_list("camera_id", flat=True))
        services.index_request(cameras)
        text = ngettext("%(count)d camera is being indexed.", "%(count)d cameras are being indexed.", len(cameras))
        self.message_user(request, text % {"count": len(cameras)}, messages.SUCCESS)

    @admin.action(description=_("Erase the chosen crops"), permissions=["view"])
    def erase(self, request: HttpRequest, chosen: QuerySet[Crop]) -> HttpResponse | None:
        count = chosen.count()
        if count > ERASE_MAX:
            text = gettext("Choose at most %(most)d crops, or let purge_gallery erase what is old.")
            self.message_user(request, text % {"most": ERASE_MAX}, messages.ERROR)
            return None
        if not request.POST.get("confirmed"):
            return self._asked(request, chosen, count)
        self._erased(request, chosen)
        return None

    def _asked(self, request: HttpRequest, chosen: QuerySet[Crop], count: int) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Erase crops"),
            "opts": self.model._meta,
            "count": count,
            "chosen": list(chosen.values_list("pk", flat=True)),
            "checkbox": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/gallery/crop_erase.html", context)

    def _erased(self, request: HttpRequest, chosen: QuerySet[Crop]) -> None:
        try:
            report = services.crops_erase(chosen)
        except ServiceError as error:
            self.message_user(request, error.message, messages.ERROR)
            return
        counts = sorted(report.erased.items())
        found = ", ".join(f"{ERASED.get(name, name)} {count} → {report.left.get(name, 0)}" for name, count in counts)
        level = messages.SUCCESS if report.is_complete else messages.ERROR
        self.message_user(request, gettext("Erased: %(found)s.") % {"found": found}, level)


class ImportLineInline(ReadOnly, admin.TabularInline):
    model = ImportLine
    fields = readonly_fields = ("line", "name", "reason", "message")
    max_num = 0

    @admin.display(description=_("error"))
    def reason(self, line: ImportLine) -> str:
        return str(REASONS.get(line.code, line.code))


@admin.register(GalleryImport)
class GalleryImportAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["created_at", "layout", "source", "user", "state", "total", "added", "known", "refused"]
    list_filter = ["state", "layout"]
    list_select_related = ["user"]
    inlines = [ImportLineInline]
    actions = ["index"]
    fields = readonly_fields = (
        "layout",
        "source",
        "user",
        "state",
        "total",
        "added",
        "known",
        "refused",
        "message",
        "created_at",
        "finished_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[GalleryImport]:
        return imports_of(request.user)

    @admin.action(description=_("Index now the cameras of the chosen imports"), permissions=["view"])
    def index(self, request: HttpRequest, chosen: QuerySet[GalleryImport]) -> None:
        crops = crops_of(request.user, Role.ADMINISTRATOR).filter(gallery_import__in=chosen)
        cameras = set(crops.order_by().values_list("camera_id", flat=True))
        services.index_request(cameras)
        text = ngettext("%(count)d camera is being indexed.", "%(count)d cameras are being indexed.", len(cameras))
        self.message_user(request, text % {"count": len(cameras)}, messages.SUCCESS)


@admin.register(Segment)
class SegmentAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["camera", "model_version", "rows", "start", "end", "created_at", "path"]
    list_filter = ["model_version"]
    list_select_related = ["camera", "model_version"]
    search_fields = ["=camera__code", "path"]
    fields = readonly_fields = ("camera", "model_version", "path", "rows", "sha256", "start", "end", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Segment]:
        return super().get_queryset(request).filter(camera__in=cameras_of(request.user, Role.ADMINISTRATOR).order_by())


def _picture(crop: Crop, height: int) -> str:
    return format_html('<img src="{}" height="{}" loading="lazy" alt="{}">', crop_url(crop), height, crop)
