from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.utils.translation import gettext_lazy as _


class CitySearchConfig(AppConfig):
    name = "citysearch"
    label = "citysearch"
    verbose_name = _("CitySearch")

    def ready(self) -> None:
        from django.utils.translation import gettext

        from citysearch import checks  # noqa: F401  registers the system checks
        from reid_engine import messages

        messages.install(gettext)


class CitySearchAdminConfig(AdminConfig):
    """The admin without leaflet's own admin module, which imports GDAL and fails where there is none."""

    default_site = "citysearch.admin_site.CitySearchAdminSite"

    def ready(self) -> None:
        from django.apps import apps
        from django.contrib import admin

        for config in apps.get_app_configs():
            if config.name != "leaflet":
                _discover(config.name, admin.site)


def _discover(package: str, site: object) -> None:
    import importlib
    from importlib.util import find_spec

    if find_spec(f"{package}.admin"):
        importlib.import_module(f"{package}.admin")
