"""Rights in the admin: a member of staff with the administrator's role sees and changes his subtree, nothing else.

No Django permissions are consulted; memberships decide, as everywhere.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.options import BaseModelAdmin
from django.db import models, transaction
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _

from citysearch.errors import ServiceError
from units.access import granted_paths, roles_of
from units.models import Role
from units.tree import below


def administers(request: HttpRequest) -> bool:
    """Whether the user has the administrator's role anywhere; asked once per request."""
    kept: dict[str, Any] = request.__dict__
    if "_administers" not in kept:
        kept["_administers"] = Role.ADMINISTRATOR in roles_of(request.user)
    return bool(kept["_administers"])


def administered_paths(request: HttpRequest) -> list[str] | None:
    """The tree paths the user administers (None: all); asked once per request."""
    kept: dict[str, Any] = request.__dict__
    if "_administered_paths" not in kept:
        kept["_administered_paths"] = granted_paths(request.user, Role.ADMINISTRATOR)
    return cast("list[str] | None", kept["_administered_paths"])


class ReadOnly(BaseModelAdmin):
    """No adding, changing or deleting, for nobody."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class SubtreeAdmin(admin.ModelAdmin):
    """An admin whose rows hang on units: `path_field` leads from a row to its unit's path."""

    path_field = "unit__path"

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        paths = administered_paths(request)
        rows = super().get_queryset(request)
        return rows if paths is None else rows.filter(below(paths, self.path_field))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return administers(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return administers(request) and self._is_below(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return administers(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request, obj)

    def _is_below(self, request: HttpRequest, obj: Any) -> bool:
        paths = administered_paths(request)
        if obj is None or paths is None:
            return True
        for name in self.path_field.split("__"):
            obj = getattr(obj, name)
        return any(obj.startswith(path) for path in paths)


class ServiceAdmin(SubtreeAdmin):
    """An admin that writes through services: its form is a ServiceForm, its deletions call `remove`."""

    def remove(self, obj: Any) -> None:
        """Delete one row through its service."""
        obj.delete()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> type[ModelForm]:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"request": request})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        saved = form.write()
        obj.__dict__.update(saved.__dict__)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.remove(obj)

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        with transaction.atomic():
            for row in queryset:
                self.remove(row)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return self._refusing(request, super().changelist_view, extra_context)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:  # fmt: skip
        return self._refusing(request, super().changeform_view, object_id, form_url, extra_context)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return self._refusing(request, super().delete_view, object_id, extra_context)

    @staticmethod
    def _refusing(request: HttpRequest, view: Any, *args: Any) -> HttpResponse:
        """The view's answer; what a service refuses is told on the page the request came from."""
        try:
            response: HttpResponse = view(request, *args)
        except ServiceError as error:
            messages.error(request, error.message)
            response = HttpResponseRedirect(request.get_full_path())
        return response


class Rehearsed(Exception):
    """Undoes a rehearsal."""


class ServiceForm(ModelForm):
    """A form whose `write` calls a service. Checking it rehearses the write, so refusals stand beside their fields."""

    request: HttpRequest

    def write(self) -> models.Model:
        """Write `cleaned_data` through a service and return the row; `self.instance` must not be changed."""
        raise TypeError(_("A form that writes through a service says which."))

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if not self.errors:
            self._rehearse()

    def _rehearse(self) -> None:
        try:
            with transaction.atomic():
                self.write()
                raise Rehearsed
        except Rehearsed:
            return
        except ServiceError as error:
            self._tell(error)

    def _tell(self, error: ServiceError) -> None:
        known = {name: text for name, text in error.fields.items() if name in self.fields}
        for name, text in known.items():
            self.add_error(name, text)
        if not known:
            self.add_error(None, error.message)
