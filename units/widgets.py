"""Map editors of the admin. No inline script, no tiles: an ES module draws our own GeoJSON under what is edited."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.forms.widgets import Script
from django.urls import reverse
from django.utils.translation import gettext as _

from units.models import Membership

MAP_CSS = ["leaflet/leaflet.css", "leaflet/draw/leaflet.draw.css", "units/map.css"]
MAP_JS = ["leaflet/leaflet.js", "leaflet/draw/leaflet.draw.js"]


def module(name: str) -> Any:
    """An ES module of this app as a form asset."""
    return Script(f"units/{name}.js", type="module")


def map_addresses() -> dict[str, str]:
    """Where the editors read the base map, the areas of units and the cameras."""
    return {"basemap": reverse("basemap"), "units": reverse("unit-geojson"), "cameras": reverse("camera-geojson")}


class UnitSelect(AutocompleteSelect):
    """One unit, found by typing its name or code: a city has more of them than a list may hold."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(Membership._meta.get_field("unit"), admin.site, attrs)


class AreaWidget(forms.Textarea):
    """A polygon drawn on a map; its GeoJSON stands in a text area below and can be pasted there."""

    template_name = "units/admin/area.html"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"rows": 4, "class": "vLargeTextField area-text", "spellcheck": "false", **(attrs or {})})

    @property
    def media(self) -> forms.Media:
        return forms.Media(css={"all": MAP_CSS}, js=[*MAP_JS, module("area")])

    def format_value(self, value: Any) -> str:
        if value in (None, "", "null"):
            return ""
        return value if isinstance(value, str) else json.dumps(value)

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["editor"] = {**map_addresses(), "words": _drawing_words()}
        return context


class PlaceWidget(forms.Widget):
    """A camera's point and view cone on a map; reads and writes the number fields of the same form."""

    template_name = "units/admin/place.html"

    @property
    def media(self) -> forms.Media:
        return forms.Media(css={"all": MAP_CSS}, js=[MAP_JS[0], module("place")])

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["editor"] = {**map_addresses(), "words": _placing_words()}
        return context

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return False


def _placing_words() -> dict[str, str]:
    """What the map of a camera says, in the user's language."""
    return {
        "camera": _("This camera"), "turn": _("Turn the camera"), "widen": _("How wide it sees"),
        "converted": _("Read as %(system)s: stored and drawn at %(longitude)s, %(latitude)s in WGS-84."),
    }  # fmt: skip


def _drawing_words() -> dict[str, str]:
    """What the drawing tools say, in the user's language."""
    return {
        "polygon": _("Draw an area"), "rectangle": _("Draw a rectangle"), "edit": _("Change the area"),
        "remove": _("Remove areas"), "save": _("Done"), "cancel": _("Cancel"), "clear": _("Remove all"),
        "finish": _("Close the area"), "undo": _("Remove the last corner"),
        "start": _("Click to set the first corner."),
        "next": _("Click to set the next corner."), "close": _("Click the first corner to close the area."),
        "drag": _("Press, drag and release to draw a rectangle."), "corners": _("Drag corners; then press Done."),
        "pick": _("Click an area to remove it."), "crossing": _("The sides of an area must not cross."),
        "bad": _("This is not a GeoJSON Polygon or MultiPolygon."),
        "corner": _("Corner"),
        "crossed": _("Sides of this area cross each other. Move the corners or undo before you save."),
    }  # fmt: skip
