"""Addresses of units and cameras, below /api/v1/."""

from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from units import api

router = SimpleRouter()
router.register("units", api.UnitViewSet, basename="unit")
router.register("cameras", api.CameraViewSet, basename="camera")
router.register("readings", api.ReadingViewSet, basename="reading")
router.register("indicators", api.IndicatorViewSet, basename="indicator")
router.register("memberships", api.MembershipViewSet, basename="membership")

urlpatterns: list[URLPattern | URLResolver] = [
    path("basemap.geojson", api.BasemapView.as_view(), name="basemap"),
    path("", include(router.urls)),
]
