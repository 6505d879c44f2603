from django.urls import URLPattern, URLResolver, path

from citysearch.gallery.api import AnyAccept
from citysearch.searches.api import PhotoLookView, SearchViewSet, TokenView

urlpatterns: list[URLPattern | URLResolver] = [
    path("searches/", SearchViewSet.as_view({"get": "list", "post": "create"}), name="search-list"),
    path("searches/preview/", SearchViewSet.as_view({"post": "preview"}, pagination_class=None), name="search-preview"),
    path("searches/<uuid:pk>/", SearchViewSet.as_view({"get": "retrieve"}), name="search-detail"),
    path("searches/<uuid:pk>/hits/", SearchViewSet.as_view({"get": "hits"}), name="search-hits"),
    path(
        "searches/<uuid:pk>/trajectory.geojson",
        SearchViewSet.as_view({"get": "trajectory"}, content_negotiation_class=AnyAccept),
        name="search-trajectory",
    ),
    path("searches/<uuid:pk>/gaps/", SearchViewSet.as_view({"get": "gaps"}, pagination_class=None), name="search-gaps"),
    path(
        "searches/<uuid:pk>/reach.geojson",
        SearchViewSet.as_view({"get": "reach"}, content_negotiation_class=AnyAccept),
        name="search-reach",
    ),
    path("searches/<uuid:pk>/cancel/", SearchViewSet.as_view({"post": "cancel"}), name="search-cancel"),
    path("searches/<uuid:pk>/rerun/", SearchViewSet.as_view({"post": "rerun"}), name="search-rerun"),
    path(
        "searches/<uuid:pk>/verdicts/",
        SearchViewSet.as_view({"get": "verdicts", "post": "verdicts_give"}, pagination_class=None),
        name="search-verdicts",
    ),
    path(
        "searches/<uuid:pk>/photos/<int:position>/",
        SearchViewSet.as_view({"get": "photo"}, content_negotiation_class=AnyAccept),
        name="search-photo",
    ),
    path(
        "searches/<uuid:pk>/hits/<int:crop>/explanation/",
        SearchViewSet.as_view({"get": "explanation"}, content_negotiation_class=AnyAccept),
        name="search-explanation",
    ),
    path("photos/look/", PhotoLookView.as_view(), name="photo-look"),
    path("token/", TokenView.as_view(), name="token"),
]
