"""The administrator's pages of crops, imports and segments: everything to look at, little to change."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from citysearch.errors import ServiceError
from citysearch.gallery import services
from citysearch.gallery.access import crops_of, imports_of, is_administrator
from citysearch.gallery.comparing import SHOWN, comparison_start
from citysearch.gallery.comparisons import figures, pairs_of
from citysearch.gallery.layouts import camera_map_read
from citysearch.gallery.models import Crop, GalleryImport, ModelComparison, Segment
from citysearch.gallery.queries import crop_url, true_time
from citysearch.gallery.reasons import ERASED, REASONS
from citysearch.gallery.serializers import UPLOADED
from citysearch.gallery.spool import spool_path
from citysearch.gallery.work import comparison_work, import_work, refusals_by_reason, version_work
from citysearch.research.access import may_activate, may_read
from citysearch.research.models import ModelVersion
from units.access import cameras_of
from units.admin_rights import ReadOnly
from units.models import Role

ERASE_MAX = 2000
LINES_SHOWN = 200


class LookedAt(ReadOnly):
    """Administrators look, nobody types: what may change has an action or an API of its own."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_administrator(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_administrator(request.user)


@admin.register(Crop)
class CropAdmin(LookedAt, admin.ModelAdmin):
    list_display = ["thumbnail", "time", "of_camera", "size", "source_name"]
    list_select_related = ["camera"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["=camera__code", "=source_name", "=sha256"]
    search_help_text = _("Code of a camera, source name or SHA-256, in full")
    empty_text = _("No crops yet. They come by gallery imports, or camera by camera over the API.")
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
    def time(self, crop: Crop) -> str:
        return f"{timezone.localtime(true_time(crop)):%Y-%m-%d %H:%M:%S}"

    @admin.display(description=_("camera"), ordering="camera__code")
    def of_camera(self, crop: Crop) -> str:
        """A city has more cameras than a list of filters may hold: the code leads to the crops of this one."""
        return format_html('{}<br><a href="?q={}">{}</a>', crop.camera.name, crop.camera.code, crop.camera.code)

    @admin.display(description=_("size"))
    def size(self, crop: Crop) -> str:
        return f"{crop.width}×{crop.height}"

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
        self._held(request, report)

    def _held(self, request: HttpRequest, report: services.ErasureReport) -> None:
        for words in report.hold_words:
            self.message_user(request, words, messages.ERROR)
        if count := len(report.holds):
            text = ngettext("%(count)d crop was not erased.", "%(count)d crops were not erased.", count)
            self.message_user(request, text % {"count": count}, messages.ERROR)


class UploadForm(forms.Form):
    """An archive to import, and what its cameras are called."""

    file = forms.FileField(label=_("file"))
    layout = forms.ChoiceField(label=_("layout"), choices=UPLOADED, initial=GalleryImport.Layout.ZIP)
    cameras = forms.CharField(
        label=_("cameras"), required=False, widget=forms.Textarea({"rows": 2, "cols": 60}),
        help_text=_(
            "Only where the file has other names for them: CODE,CODE,... for the cameras 1, 2, ... of a research set "
            "(the first by code unless given), or NAME=CODE,..."
        ),
    )  # fmt: skip

    def __init__(self, codes: Collection[str], *args: Any) -> None:
        super().__init__(*args)
        self.codes = codes

    def clean_cameras(self) -> dict[str, str]:
        try:
            return camera_map_read(self.cleaned_data["cameras"], self.codes)
        except ServiceError as error:
            raise forms.ValidationError(error.message) from error


@admin.register(GalleryImport)
class GalleryImportAdmin(LookedAt, admin.ModelAdmin):
    """Imports: one is added by uploading a file; its page shows how far it is, and what was refused."""

    change_form_template = "admin/gallery/import.html"
    list_display = ["created_at", "layout", "source", "user", "state", "total", "added", "known", "refused"]
    list_filter = ["state", "layout"]
    list_select_related = ["user"]
    actions = ["index"]
    empty_text = _("No imports yet. Add one: a ZIP with a folder of pictures for each camera code is enough.")
    fields = readonly_fields = ("layout", "source", "user", "created_at", "finished_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[GalleryImport]:
        return imports_of(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_administrator(request.user)

    def get_urls(self) -> list[Any]:
        pages = {
            "progress": self.progress_view, "refused": self.refused_view,
            "again": self.again_view, "stop": self.stop_view,
        }  # fmt: skip
        guarded = self.admin_site.admin_view
        return [
            path(f"<int:pk>/{word}/", guarded(view), name=f"gallery_galleryimport_{word}")
            for word, view in pages.items()
        ] + super().get_urls()

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        codes = cameras_of(request.user, Role.ADMINISTRATOR).values_list("code", flat=True)
        form = UploadForm(codes, request.POST or None, request.FILES or None)
        if form.is_valid() and (row := self._uploaded(request, form)) is not None:
            return redirect("admin:gallery_galleryimport_change", row.pk)
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "form": form, "title": _("Import crops"),
            "media": self.media,
        }  # fmt: skip
        return TemplateResponse(request, "admin/gallery/upload.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        extra = {} if row is None else _import_context(row)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def progress_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The bars alone, for the page that is open."""
        row = get_object_or_404(self.get_queryset(request), pk=pk)
        return TemplateResponse(request, "admin/work.html", {"works": import_work(row)})

    def refused_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Every refused picture as CSV."""
        row = get_object_or_404(self.get_queryset(request), pk=pk)
        answer = HttpResponse(content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="import-{row.pk}-refused.csv"'
        table = csv.writer(answer)
        table.writerow(["line", "name", "reason", "message"])
        for line in row.lines.iterator():
            name, message = (spreadsheet_safe(text) for text in (line.name, line.message))
            table.writerow([line.line, name, line.code, message])
        return answer

    def again_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Run an import again that failed, was stopped or killed."""
        return self._done(request, pk, services.import_rerun)

    def stop_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Stop an import that waits or runs."""
        return self._done(request, pk, services.import_stop)

    def _done(self, request: HttpRequest, pk: int, service: Callable[[GalleryImport], object]) -> HttpResponse:
        row = get_object_or_404(self.get_queryset(request), pk=pk)
        if request.method == "POST":
            try:
                service(row)
            except ServiceError as error:
                self.message_user(request, error.message, messages.ERROR)
        return redirect("admin:gallery_galleryimport_change", row.pk)

    def _uploaded(self, request: HttpRequest, form: UploadForm) -> GalleryImport | None:
        given = form.cleaned_data
        file = given["file"]
        try:
            return services.import_upload(file.name, file.chunks(), request.user, given["layout"], given["cameras"])
        except ServiceError as error:
            form.add_error("file", error.message)
            return None

    @admin.action(description=_("Index now the cameras of the chosen imports"), permissions=["view"])
    def index(self, request: HttpRequest, chosen: QuerySet[GalleryImport]) -> None:
        crops = crops_of(request.user, Role.ADMINISTRATOR).filter(gallery_import__in=chosen)
        cameras = set(crops.order_by().values_list("camera_id", flat=True))
        services.index_request(cameras)
        text = ngettext("%(count)d camera is being indexed.", "%(count)d cameras are being indexed.", len(cameras))
        self.message_user(request, text % {"count": len(cameras)}, messages.SUCCESS)


@admin.register(Segment)
class SegmentAdmin(LookedAt, admin.ModelAdmin):
    list_display = ["camera", "model_version", "rows", "start", "end", "created_at", "path"]
    empty_text = _(
        "No features yet. They are extracted in the background as soon as crops and an active model are there."
    )
    list_filter = ["model_version"]
    list_select_related = ["camera", "model_version"]
    search_fields = ["=camera__code", "path"]
    fields = readonly_fields = ("camera", "model_version", "path", "rows", "sha256", "start", "end", "created_at")

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.version_view)
        return [path("version/<int:pk>/", view, name="gallery_version_progress"), *super().get_urls()]

    def version_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """How far the indexing with a model version is; the page of model versions shows it."""
        if not may_read(request.user):
            raise PermissionDenied
        version = get_object_or_404(ModelVersion, pk=pk)
        return TemplateResponse(request, "admin/work.html", {"works": [version_work(version)]})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Segment]:
        return super().get_queryset(request).filter(camera__in=cameras_of(request.user, Role.ADMINISTRATOR).order_by())


class ComparisonForm(forms.Form):
    first = forms.ModelChoiceField(ModelVersion.objects.all(), label=_("first version"))
    second = forms.ModelChoiceField(ModelVersion.objects.all(), label=_("second version"))
    queries = forms.IntegerField(label=_("queries"), initial=8, min_value=1, max_value=40)


@admin.register(ModelComparison)
class ModelComparisonAdmin(LookedAt, admin.ModelAdmin):
    """Two versions side by side. Only who may choose the version of all may compare them over the whole gallery."""

    change_form_template = "admin/gallery/comparison.html"
    list_display = ["created_at", "first", "second", "queries", "state", "user"]
    empty_text = _("No comparisons yet. Two model versions with which the gallery is indexed can be set side by side.")
    list_select_related = ["first", "second", "user"]
    fields = readonly_fields = ("first", "second", "user", "created_at", "finished_at")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_activate(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_activate(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_activate(request.user)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.progress_view)
        return [path("<int:pk>/progress/", view, name="gallery_modelcomparison_progress"), *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ComparisonForm(request.POST or None, initial=request.GET.dict())
        if form.is_valid():
            try:
                row = comparison_start(**form.cleaned_data, user=request.user)
                return redirect("admin:gallery_modelcomparison_change", row.pk)
            except ServiceError as error:
                form.add_error(None, error.message)
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "form": form, "media": self.media,
            "title": _("Compare two model versions"),
        }  # fmt: skip
        return TemplateResponse(request, "admin/gallery/compare.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        extra = {} if row is None else _comparison_context(row)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def progress_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The bar alone, for the page that is open."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = get_object_or_404(ModelComparison, pk=pk)
        return TemplateResponse(request, "admin/work.html", {"works": [comparison_work(row)]})


def _comparison_context(row: ModelComparison) -> dict[str, Any]:
    pairs = pairs_of(row) if row.finished_at else []
    return {
        "works": [comparison_work(row)], "unfinished": row.finished_at is None, "pairs": pairs, "shown": SHOWN,
        "figures": figures(row.first, row.second), "same_best": sum(pair.same_best for pair in pairs),
        "shared": sum(pair.shared for pair in pairs) / max(1, len(pairs)),
    }  # fmt: skip


def _import_context(row: GalleryImport) -> dict[str, Any]:
    State = GalleryImport.State
    lines = [(line, REASONS.get(line.code, line.code)) for line in row.lines.all()[:LINES_SHOWN]]
    return {
        "works": import_work(row), "lines": lines, "reasons": refusals_by_reason(row),
        "hidden": max(0, row.refused - len(lines)), "unfinished": row.finished_at is None,
        "may_run_again": row.state in (State.FAILED, State.STOPPED) and spool_path(row.pk).exists(),
        "may_stop": row.state in (State.QUEUED, State.RUNNING) and spool_path(row.pk).exists(),
    }  # fmt: skip


def spreadsheet_safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _picture(crop: Crop, height: int) -> str:
    return format_html('<img src="{}" height="{}" loading="lazy" alt="{}">', crop_url(crop), height, crop)
