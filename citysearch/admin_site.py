from typing import Any, cast

from django.contrib.admin import AdminSite
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

ORDER = ["units", "gallery", "research", "searches", "cases", "auth"]


class CitySearchAdminSite(AdminSite):
    site_header = _("CitySearch administration")
    site_title = _("CitySearch")
    index_title = _("Units, cameras, galleries, models")

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """What is worked with every day comes first."""
        apps = super().get_app_list(request, app_label)
        return sorted(apps, key=lambda app: ORDER.index(app["app_label"]) if app["app_label"] in ORDER else len(ORDER))

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        return cast(HttpResponse, FoundByName.as_view(admin_site=self)(request))


class FoundByName(AutocompleteJsonView):
    """What the fields find that are filled by typing. Streets of two districts may have one name: units say where."""

    def serialize_result(self, obj: Any, to_field_name: str) -> dict[str, str]:
        from units.models import Unit
        from units.tree import unit_path

        result = super().serialize_result(obj, to_field_name)
        return result | {"text": f"{unit_path(obj)} ({obj.code})"} if isinstance(obj, Unit) else result
