"""Addresses of crops and imports, below /api/v1/."""

from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from citysearch.gallery.api import CameraCropsView, CropImageView, CropThumbnailView, CropViewSet, ImportViewSet

router = SimpleRouter(use_regex_path=False)
router.register("crops", CropViewSet, basename="crop")
router.register("imports", ImportViewSet, basename="import")

urlpatterns: list[URLPattern | URLResolver] = [
    path("crops/<int:pk>/image/", CropImageView.as_view(), name="crop-image"),
    path("crops/<int:pk>/thumbnail/", CropThumbnailView.as_view(), name="crop-thumbnail"),
    path("cameras/<int:pk>/crops/", CameraCropsView.as_view(), name="camera-crops"),
    path("", include(router.urls)),
]
