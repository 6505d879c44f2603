"""All addresses. /api/v1 is for programs, /admin for administrators, everything else is a page."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerView

api_v1 = [
    path("", include("units.urls")),
    path("", include("citysearch.research.urls")),
    path("", include("citysearch.gallery.urls")),
    path("", include("citysearch.searches.urls")),
]

urlpatterns = [
    path("api/v1/", include(api_v1)),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(), name="api-docs"),
    path("api/redoc/", SpectacularRedocView.as_view(), name="api-redoc"),
    path("admin/", admin.site.urls),
    path("", include("frontend.urls")),
]
