"""All addresses. /api/v1 is for programs, /admin for administrators, everything else is a page."""

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

api_v1 = [
    path("", include("units.urls")),
    path("", include("citysearch.research.urls")),
    path("", include("citysearch.gallery.urls")),
    path("", include("citysearch.searches.urls")),
    path("", include("citysearch.cases.urls")),
]

urlpatterns = [
    path("api/v1/", include(api_v1)),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    # Swagger's page brings style elements of its own; scripts stay ours.
    path(
        "api/docs/",
        csp_update({"style-src": [SELF, UNSAFE_INLINE]})(SpectacularSwaggerSplitView.as_view(url_name="schema")),
        name="api-docs",
    ),
    path("admin/", admin.site.urls),
    path("", include("citysearch.demo.urls")),
    path("", include("frontend.urls")),
]
