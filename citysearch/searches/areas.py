"""Searches of a drawn area: the cameras whose place lies in it, as far as the user may search them.

Rights follow the unit tree, so such a search belongs to a unit as well: the smallest one that holds all these cameras.
"""

from __future__ import annotations

from typing import Any

import shapely
from django.utils.translation import gettext_lazy as _

from citysearch.searches.access import SEARCHERS, searchable_cameras
from citysearch.searches.refusals import SearchRefused
from units.access import User, units_of
from units.geo import BadPolygon, check_polygon, shape_of
from units.models import Unit
from units.queries import camera_ids
from units.tree import common_path

Area = dict[str, Any]

CORNERS_MAX = 1000


def area_checked(value: object) -> Area:
    """The area as a valid GeoJSON polygon; raises SearchRefused and says what is wrong with it."""
    try:
        area = check_polygon(value)
    except BadPolygon as error:
        raise _refused("bad_area", error.message) from error
    corners = shapely.get_num_coordinates(shape_of(area))
    if corners > CORNERS_MAX:
        message = _("The area has %(found)d corners; at most %(most)d are accepted. Draw it more coarsely.")
        raise _refused("bad_area", message % {"found": corners, "most": CORNERS_MAX})
    return area


def area_unit(user: User, area: Area) -> Unit:
    """The smallest unit that holds every camera in the area that the user may search; raises SearchRefused."""
    cameras = searchable_cameras(user)
    inside = camera_ids(cameras, area)
    paths = {path for pk, path in cameras.order_by().values_list("pk", "unit__path") if pk in inside}
    if not paths:
        raise _refused("no_camera", _("No camera that you may search lies in this area. Draw it around some."))
    unit = units_of(user, *SEARCHERS).filter(path=common_path(paths)).first()
    if unit is None:
        message = _("This area reaches into several units whose common unit you may not search. Draw it within one.")
        raise _refused("area_too_wide", message)
    return unit


def _refused(code: str, message: object) -> SearchRefused:
    return SearchRefused(code, message, {"area": message})
