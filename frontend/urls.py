"""The addresses of the pages and of the pieces that htmx swaps into them."""

from django.contrib.auth.views import LogoutView
from django.urls import URLPattern, URLResolver, path
from django.views.i18n import JavaScriptCatalog, set_language

from frontend import tiles, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("login/", views.Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("language/", set_language, name="set_language"),
    # The admin's and the API's pages name no icon; browsers then ask here.
    path("favicon.ico", views.favicon, name="favicon"),
    path("strings.js", JavaScriptCatalog.as_view(), name="javascript-catalog"),
    path("search/<uuid:pk>", views.search, name="search"),
    path("search/<uuid:pk>/status", views.search_status, name="search-status"),
    path("search/<uuid:pk>/evidence", views.evidence, name="search-report"),
    path("search/<uuid:pk>/again", views.search_again, name="search-again"),
    path("searches/compare", views.compare, name="compare"),
    path("searches/export", views.case_export, name="searches-export"),
    path("searches/", views.searches, name="searches"),
    path("log/", views.log, name="log"),
    path("basemap.pmtiles", tiles.basemap_tiles, name="basemap-tiles"),
    path("units/<int:pk>/", views.unit, name="unit"),
    path("units/<int:pk>/panel", views.unit_panel, name="unit-panel"),
    path("units/tree", views.unit_tree, name="unit-tree"),
]
