from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GalleryConfig(AppConfig):
    name = "citysearch.gallery"
    label = "gallery"
    verbose_name = _("Gallery")

    def ready(self) -> None:
        from citysearch.gallery.receivers import connect

        connect()
