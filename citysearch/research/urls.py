from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from citysearch.research.api import ModelVersionViewSet

router = SimpleRouter()
router.register("models", ModelVersionViewSet, basename="model")

urlpatterns: list[URLPattern | URLResolver] = [path("", include(router.urls))]
