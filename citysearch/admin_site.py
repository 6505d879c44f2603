from django.contrib.admin import AdminSite
from django.utils.translation import gettext_lazy as _


class CitySearchAdminSite(AdminSite):
    site_header = _("CitySearch administration")
    site_title = _("CitySearch")
    index_title = _("Units, cameras, galleries, models")
