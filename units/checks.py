"""What a camera must satisfy before it is saved; shared by the services and the imports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext_lazy as _

from citysearch.errors import ServiceError
from units.codes import check_camera_code
from units.geo import Point, check_place, to_wgs84
from units.models import Camera, CameraStatus, CoordinateSystem

CAMERA_FIELDS = (
    "code", "free_code", "name", "heading", "field_of_view", "view_radius_m", "clock_offset_s", "clock_uncertainty_s",
    "coordinate_system", "status",
)  # fmt: skip
RANGES = {
    "heading": (0.0, 360.0), "field_of_view": (1.0, 360.0), "view_radius_m": (1.0, 2000.0),
    "clock_offset_s": (-86400.0, 86400.0), "clock_uncertainty_s": (0.0, 3600.0),
}  # fmt: skip


def camera_from(fields: Mapping[str, Any]) -> Camera:
    """A camera that is not saved: code, ranges and choices checked, its place in WGS-84."""
    camera = Camera(**{name: fields[name] for name in CAMERA_FIELDS if name in fields})
    if not str(camera.name).strip():
        raise ServiceError(_("A camera needs a name."), {"name": _("A camera needs a name.")})
    check_camera_code(camera.code, camera.free_code)
    _check_choice(camera, "coordinate_system", CoordinateSystem.values)
    _check_choice(camera, "status", CameraStatus.values)
    for name, (low, high) in RANGES.items():
        setattr(camera, name, _number_within(name, getattr(camera, name), low, high))
    place = check_place(fields.get("longitude"), fields.get("latitude"))
    camera.longitude, camera.latitude = rounded(to_wgs84(*place, camera.coordinate_system))
    return camera


def rounded(place: Point) -> Point:
    """To seven decimals of a degree: a centimetre."""
    return round(place[0], 7), round(place[1], 7)


def _check_choice(camera: Camera, name: str, allowed: Sequence[str]) -> None:
    if getattr(camera, name) not in allowed:
        values = {"value": getattr(camera, name), "allowed": ", ".join(allowed)}
        message = _("%(value)s is not one of %(allowed)s.") % values
        raise ServiceError(message, {name: message})


def _number_within(name: str, value: object, low: float, high: float) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        message = _("%(name)s must be a number from %(low)g to %(high)g, not %(value)s.") % {
            "name": name, "low": low, "high": high, "value": value,
        }  # fmt: skip
        raise ServiceError(message, {name: message})
    return number
