from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SearchesConfig(AppConfig):
    name = "citysearch.searches"
    label = "searches"
    verbose_name = _("Searches")

    def ready(self) -> None:
        from citysearch.searches.receivers import connect

        connect()
