"""The admin of units, cameras, their data, and who may do what."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from import_export import fields, resources
from import_export.admin import ImportExportModelAdmin
from import_export.results import Result
from import_export.widgets import ForeignKeyWidget
from treebeard.admin import TreeAdmin

from citysearch.admin_changes import ToldAdmin
from citysearch.changes import change_tell
from citysearch.errors import ServiceError
from units import services
from units.access import get_unit_or_404, units_of
from units.admin_rights import ServiceAdmin, SubtreeAdmin, administered_paths, administers
from units.files import layout_of
from units.forms import CameraForm, GridForm, ImportForm, MembershipForm, UnitForm
from units.imports import ImportReport
from units.kept import file_forget, file_keep, kept_file
from units.models import Camera, Indicator, Level, Membership, Role, SensorReading, Unit
from units.previews import preview, preview_media
from units.queries import camera_counts
from units.tree import below, children, parent_of, unit_path
from units.widgets import module


class ImportingAdmin(admin.ModelAdmin):
    """A page on which a file is looked at, then imported by a service, with what becomes of each line below it."""

    import_help: Any = ""

    def imported(self, name: str, file: Any, dry_run: bool, within: QuerySet[Unit] | None) -> ImportReport:
        """Import the file of this name through a service."""
        raise TypeError(f"{type(self).__name__} imports nothing")

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_import"
        return [path("import-file/", self.admin_site.admin_view(self.import_view), name=name), *super().get_urls()]

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Without a file: ask for one. With one: keep it, and show what it would do. With its token: do it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        token = request.POST.get("kept", "")
        form = ImportForm(request.POST or None, request.FILES or None)
        report = None
        try:
            if token:
                form, report = ImportForm(), self._done(request, token)
            elif form.is_valid():
                token, report = self._looked_at(request, form.cleaned_data["file"])
        except ServiceError as error:
            messages.error(request, error.message) if token else form.add_error("file", error.message)
        return self._import_page(request, form, report, token)

    def _looked_at(self, request: HttpRequest, file: Any) -> tuple[str, ImportReport]:
        report = self.imported(file.name, file, True, self._within(request))
        file.seek(0)
        return file_keep(file, request.user.pk), report

    def _done(self, request: HttpRequest, token: str) -> ImportReport:
        with kept_file(token, request.user.pk) as (name, file):
            report = self.imported(name, file, False, self._within(request))
        file_forget(token)
        count = report.added + report.changed
        words = ngettext("%(count)d line was imported.", "%(count)d lines were imported.", count)
        messages.success(request, words % {"count": count})
        return report

    def _import_page(
        self, request: HttpRequest, form: ImportForm, report: ImportReport | None, token: str
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "form": form, "kept": token,
            "title": _("Import %(rows)s") % {"rows": self.opts.verbose_name_plural}, "import_help": self.import_help,
            "media": self.media + preview_media(), "preview": report and preview(report, self.model),
        }  # fmt: skip
        return TemplateResponse(request, "units/admin/import.html", context)

    @staticmethod
    def _within(request: HttpRequest) -> QuerySet[Unit] | None:
        paths = administered_paths(request)
        return None if paths is None else Unit.objects.filter(below(paths))


@admin.register(Unit)
class UnitAdmin(ImportingAdmin, ServiceAdmin, TreeAdmin):
    """The tree: unfold, drag and drop, search; areas are drawn on a map."""

    form = UnitForm
    path_field = "path"
    change_list_template = "units/admin/unit_list.html"
    import_help = _(
        "GeoJSON features or CSV lines with code, name and level (city, district, street, region, grid); parent, "
        "free_code and, in a CSV, polygon may be given. Known codes are changed, others added."
    )
    list_display = ["name", "level_name", "code", "has_area", "camera_count", "add_below"]
    actions = ["lay_grid"]
    list_filter = ["level"]
    search_fields = ["name", "code"]
    search_help_text = _("Name or code")
    readonly_fields = ["level_name"]
    fieldsets = [
        (None, {"fields": ["parent", "level_name", "name", ("code", "free_code"), "retention_days"]}),
        (_("Area"), {"fields": ["polygon"], "classes": ["wide-field"]}),
    ]
    list_per_page = 1000
    empty_text = _("No units yet. Import them from GeoJSON or CSV; only a superuser adds a city by hand.")

    class Media:
        css = {"all": ["units/admin.css"]}
        js = [module("tree")]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Unit]:
        units = units_of(request.user, Role.ADMINISTRATOR)
        if not hasattr(request, "_treebeard_parent_id") or getattr(request, "_ignore_treebeard_filters", False):
            return units
        parent_id = None if self.is_filtered(request) else request._treebeard_parent_id
        parent = get_unit_or_404(request.user, parent_id, Role.ADMINISTRATOR) if parent_id else None
        request._treebeard_parent = parent  # type: ignore[attr-defined]
        if self.is_filtered(request):
            return units
        return children(parent) if parent else _topmost(request)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changes = super().get_changelist_instance(request)
        counts = camera_counts(changes.result_list)
        for unit in changes.result_list:
            unit.cameras_below = counts[unit.pk]
        return changes

    @admin.display(description=_("level"))
    def level_name(self, unit: Unit) -> str:
        return str(Level(unit.level).label) if unit.level else "-"

    @admin.display(description=_("area"), boolean=True)
    def has_area(self, unit: Unit) -> bool:
        return unit.west is not None

    @admin.display(description=_("cameras"))
    def camera_count(self, unit: Any) -> int:
        return int(unit.cameras_below)

    @admin.display(description="", empty_value="")
    def add_below(self, unit: Unit) -> str | None:
        if unit.level == Level.GRID:
            return None
        address = reverse("admin:units_unit_add") + f"?parent={unit.pk}"
        words = _("Add a %(level)s below %(unit)s") % {"level": Level(unit.level + 1).label, "unit": unit.name}
        return format_html('<a class="addlink" href="{}" title="{}" aria-label="{}"></a>', address, words, words)

    @admin.action(description=_("Lay a grid over the chosen regions"))
    def lay_grid(self, request: HttpRequest, chosen: QuerySet[Unit]) -> HttpResponse | None:
        form = GridForm(request.POST if "cell_m" in request.POST else None)
        if form.is_valid():
            for region in chosen:
                grids = services.grid_generate(region, form.cleaned_data["cell_m"])
                messages.success(request, _("%(count)d grids in %(unit)s.") % {"count": len(grids), "unit": region})
            return None
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "form": form, "chosen": chosen,
            "title": _("Lay a grid"), "media": self.media, "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }  # fmt: skip
        return TemplateResponse(request, "units/admin/grid.html", context)

    def imported(self, name: str, file: Any, dry_run: bool, within: QuerySet[Unit] | None) -> ImportReport:
        return services.units_import(file, layout_of(name), dry_run, within)

    def remove(self, obj: Unit) -> None:
        # A unit chosen together with one above it has gone with that one.
        if Unit.objects.filter(pk=obj.pk).exists():
            services.unit_delete(obj)

    def move_node(self, request: HttpRequest) -> HttpResponse:
        """Drop of a row on another: as its child, or before it. What the rules refuse is told after the reload."""
        try:
            ids = (request.POST.get("node"), request.POST.get("target"))
            node, target = (get_unit_or_404(request.user, pk, Role.ADMINISTRATOR) for pk in ids)
            as_child = request.POST.get("relation") == "child"
            parent = target if as_child else self._parent_to_move_to(request, target)
            services.unit_move(node, parent, before=None if as_child else target)
        except (Http404, ServiceError) as error:
            message = error.message if isinstance(error, ServiceError) else _("There is no such unit.")
            messages.error(request, _("Not moved. %(reason)s") % {"reason": message})
            return HttpResponseBadRequest(str(message))
        messages.success(request, _("%(unit)s is now at: %(path)s") % {"unit": node, "path": unit_path(node)})
        return HttpResponse("OK")

    @staticmethod
    def _parent_to_move_to(request: HttpRequest, target: Unit) -> Unit | None:
        parent = parent_of(target)
        if parent is None and request.user.is_superuser:
            return None
        return get_unit_or_404(request.user, parent.pk if parent else None, Role.ADMINISTRATOR)


def _topmost(request: HttpRequest) -> QuerySet[Unit]:
    paths = administered_paths(request)
    return Unit.objects.filter(depth=1) if paths is None else Unit.objects.filter(path__in=paths)


@admin.register(Camera)
class CameraAdmin(ImportingAdmin, ServiceAdmin):
    """Cameras: place and view cone on a map; the grid is computed."""

    form = CameraForm
    change_list_template = "units/admin/camera_list.html"
    import_help = _(
        "CSV lines with code, name, longitude and latitude; free_code, coordinate_system (wgs84, gcj02, bd09), "
        "heading, field_of_view, view_radius_m, clock_offset_s, clock_uncertainty_s and status may be given."
    )
    list_display = ["name", "code", "unit", "status", "clock_offset_s"]
    empty_text = _("No cameras yet. Add one on the map, or import a CSV. A camera needs a grid that holds its place.")
    list_filter = ["status", "coordinate_system"]
    list_select_related = ["unit"]
    search_fields = ["name", "code"]
    readonly_fields = ["unit_name"]
    fieldsets = [
        (None, {"fields": ["name", ("code", "free_code"), "status", "unit_name"]}),
        (
            _("Place and view"),
            {
                "fields": [
                    "place", ("longitude", "latitude", "coordinate_system"),
                    ("heading", "field_of_view", "view_radius_m"),
                ],
                "classes": ["wide-field"],
            },
        ),
        (_("Clock"), {"fields": [("clock_offset_s", "clock_uncertainty_s")]}),
    ]  # fmt: skip

    class Media:
        css = {"all": ["units/admin.css"]}

    @admin.display(description=_("grid"))
    def unit_name(self, camera: Camera) -> str:
        return unit_path(camera.unit) if camera.pk else str(_("computed from the place"))

    def imported(self, name: str, file: Any, dry_run: bool, within: QuerySet[Unit] | None) -> ImportReport:
        return services.cameras_import(file, dry_run, within)

    def remove(self, obj: Camera) -> None:
        services.camera_delete(obj)


class UnitDataResource(resources.ModelResource):
    """Rows that name their unit by its code; only units the user administers are found."""

    unit = fields.Field("unit", "unit", ForeignKeyWidget(Unit, "code"))

    def __init__(self, paths: list[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if paths is not None:
            self.fields["unit"].widget = _UnitBelow(paths)


class _UnitBelow(ForeignKeyWidget):
    def __init__(self, paths: list[str]) -> None:
        super().__init__(Unit, "code")
        self.paths = paths

    def get_queryset(self, value: Any, row: Any, *args: Any, **kwargs: Any) -> QuerySet[Unit]:
        return Unit.objects.filter(below(self.paths))


class ReadingResource(UnitDataResource):
    class Meta:
        model = SensorReading
        import_id_fields = ["unit", "kind", "time"]
        fields = ["unit", "kind", "time", "value"]
        skip_unchanged = True


class IndicatorResource(UnitDataResource):
    class Meta:
        model = Indicator
        import_id_fields = ["unit", "indicator", "year"]
        fields = ["unit", "indicator", "year", "value", "unit_of_measure", "source"]
        skip_unchanged = True


class UnitDataAdmin(ToldAdmin, SubtreeAdmin, ImportExportModelAdmin):
    """Data of units, with import and export of tables."""

    autocomplete_fields = ["unit"]
    list_select_related = ["unit"]

    def has_import_permission(self, request: HttpRequest) -> bool:
        return administers(request)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return administers(request)

    def name_of(self, obj: Any) -> str:
        return f"{obj.unit.code} {obj}"

    def process_import(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Rows and the line that tells of them, or neither."""
        with transaction.atomic():
            return super().process_import(request, **kwargs)

    def process_result(self, result: Result, request: HttpRequest) -> Any:
        change_tell(self.subject, "import", added=result.totals["new"], changed=result.totals["update"])
        return super().process_result(result, request)

    def get_resource_kwargs(self, request: HttpRequest, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_resource_kwargs(request, *args, **kwargs), "paths": administered_paths(request)}

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "unit":
            kwargs["queryset"] = units_of(request.user, Role.ADMINISTRATOR)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


@admin.register(SensorReading)
class SensorReadingAdmin(UnitDataAdmin):
    subject = "reading"
    resource_classes = [ReadingResource]
    empty_text = _("No readings yet. Import a table, or send them over the API.")
    list_display = ["unit", "kind", "value", "time"]
    list_filter = ["kind"]
    date_hierarchy = "time"
    search_fields = ["unit__name", "unit__code"]


@admin.register(Indicator)
class IndicatorAdmin(UnitDataAdmin):
    subject = "indicator"
    resource_classes = [IndicatorResource]
    empty_text = _("No government data yet. Add a value, or import a table.")
    list_display = ["unit", "indicator", "value", "unit_of_measure", "year", "source"]
    list_filter = ["indicator", "year"]
    search_fields = ["unit__name", "unit__code", "indicator"]


@admin.register(Membership)
class MembershipAdmin(ServiceAdmin):
    """Who has which role where. A membership is given and taken back, never rewritten."""

    form = MembershipForm
    list_display = ["user", "role", "unit"]
    list_filter = ["role"]
    list_select_related = ["user", "unit"]
    search_fields = ["user__username", "unit__name"]
    autocomplete_fields = ["user", "unit"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def remove(self, obj: Membership) -> None:
        services.membership_remove(obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "unit":
            kwargs["queryset"] = units_of(request.user, Role.ADMINISTRATOR)
        if db_field.name == "user":
            kwargs["queryset"] = people_of(request)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


admin.site.unregister(User)


@admin.register(User)
class PersonAdmin(ToldAdmin, UserAdmin):
    """People. An administrator adds them and changes those who have roles in his units only; nobody is made more."""

    subject = "person"
    list_display = ["username", "first_name", "last_name", "is_active", "is_staff", "roles"]
    list_filter = ["is_active", "is_staff", "memberships__role"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return people_of(request).prefetch_related("memberships__unit")

    def name_of(self, obj: User) -> str:
        return str(obj.get_username())

    @admin.display(description=_("roles"))
    def roles(self, person: Any) -> str:
        return ", ".join(f"{row.get_role_display()}: {row.unit.name}" for row in person.memberships.all())

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None or request.user.is_superuser:
            return super().get_fieldsets(request, obj)
        person = {"fields": ["first_name", "last_name", "email", "is_active", "is_staff"]}
        return [(None, {"fields": ["username", "password"]}), (_("Person"), person)]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return administers(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return administers(request) and (obj is None or people_of(request).filter(pk=obj.pk).exists())

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return administers(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # What somebody did must stay his: people are deactivated.
        return False


def people_of(request: HttpRequest) -> QuerySet[User]:
    """Those whose roles all lie in the units the user administers; everybody for a superuser."""
    paths = administered_paths(request)
    if paths is None:
        return User.objects.order_by("username")
    elsewhere = Membership.objects.exclude(below(paths, "unit__path")).values("user")
    return User.objects.filter(is_superuser=False).exclude(pk__in=elsewhere).order_by("username")
