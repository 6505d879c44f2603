"""The unit tree (city > district > street > region > grid), its cameras, data, roads, and who may see what."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from treebeard.mp_tree import MP_Node


class Level(models.IntegerChoices):
    CITY = 1, _("city")
    DISTRICT = 2, _("district")
    STREET = 3, _("street")
    REGION = 4, _("region")
    GRID = 5, _("grid")


class BoundingBox(models.Model):
    """West, south, east, north in degrees: what a query narrows by before shapely looks at the polygon."""

    west = models.FloatField(null=True, editable=False)
    south = models.FloatField(null=True, editable=False)
    east = models.FloatField(null=True, editable=False)
    north = models.FloatField(null=True, editable=False)

    class Meta:
        abstract = True


class Unit(MP_Node, BoundingBox):  # type: ignore[django-manager-missing]
    """One urban information unit. Written only through units.services; the tree only through units.tree."""

    node_order_by: list[str] = []

    name = models.CharField(_("name"), max_length=120)
    level = models.PositiveSmallIntegerField(_("level"), choices=Level.choices)
    code = models.CharField(_("code"), max_length=40, unique=True)
    free_code = models.BooleanField(_("free code"), default=False, help_text=_("The code does not follow GB/T 2260."))
    polygon = models.JSONField(
        _("area"), null=True, blank=True, help_text=_("GeoJSON Polygon or MultiPolygon, WGS-84.")
    )
    retention_days = models.PositiveIntegerField(_("retention in days"), null=True, blank=True)

    class Meta:
        verbose_name = _("unit")
        verbose_name_plural = _("units")
        ordering = ["path"]
        indexes = [models.Index(fields=["level", "path"]), models.Index(fields=["west", "east"])]

    def __str__(self) -> str:
        return self.name


class Indicator(models.Model):
    """One line of government data about a unit: population, land use, ..."""

    unit = models.ForeignKey(Unit, models.CASCADE, related_name="indicators", verbose_name=_("unit"))
    indicator = models.CharField(_("indicator"), max_length=80)
    value = models.FloatField(_("value"))
    unit_of_measure = models.CharField(_("unit of measure"), max_length=40, blank=True)
    year = models.PositiveSmallIntegerField(_("year"))
    source = models.CharField(_("source"), max_length=200)

    class Meta:
        verbose_name = _("government datum")
        verbose_name_plural = _("government data")
        ordering = ["indicator", "-year"]
        constraints = [models.UniqueConstraint(fields=["unit", "indicator", "year"], name="one_value_per_year")]

    def __str__(self) -> str:
        return f"{self.indicator} {self.year}"


class SensorKind(models.TextChoices):
    WEATHER = "weather", _("weather (rain, mm/h)")
    TEMPERATURE = "temperature", _("temperature (°C)")
    FOOTFALL = "footfall", _("footfall (people/h)")
    TRAFFIC = "traffic", _("traffic (vehicles/h)")
    WATER_QUALITY = "water_quality", _("water quality (index)")


class SensorReading(models.Model):
    """A reading holds from `time` until the next reading of the same kind and unit, at most an hour."""

    unit = models.ForeignKey(Unit, models.CASCADE, related_name="readings", verbose_name=_("unit"))
    kind = models.CharField(_("kind"), max_length=20, choices=SensorKind.choices)
    value = models.FloatField(_("value"))
    time = models.DateTimeField(_("time"))

    class Meta:
        verbose_name = _("sensor reading")
        verbose_name_plural = _("sensor readings")
        ordering = ["time"]
        constraints = [models.UniqueConstraint(fields=["unit", "kind", "time"], name="one_reading_per_time")]

    def __str__(self) -> str:
        return f"{self.kind} {self.time:%Y-%m-%d %H:%M}"


class CameraStatus(models.TextChoices):
    ONLINE = "online", _("online")
    OFFLINE = "offline", _("offline")
    MAINTENANCE = "maintenance", _("in maintenance")


class CoordinateSystem(models.TextChoices):
    WGS84 = "wgs84", "WGS-84"
    GCJ02 = "gcj02", "GCJ-02"
    BD09 = "bd09", "BD-09"


class Camera(models.Model):
    """A camera. Place is stored in WGS-84; `coordinate_system` says in which system it was given."""

    unit = models.ForeignKey(
        Unit,
        models.PROTECT,
        related_name="cameras",
        verbose_name=_("unit"),
        help_text=_("The grid that holds it; computed."),
    )
    code = models.CharField(_("code"), max_length=40, unique=True)
    free_code = models.BooleanField(_("free code"), default=False, help_text=_("The code does not follow GB/T 28181."))
    name = models.CharField(_("name"), max_length=120)
    longitude = models.FloatField(_("longitude"))
    latitude = models.FloatField(_("latitude"))
    heading = models.FloatField(_("heading"), default=0.0, help_text=_("Degrees clockwise from north."))
    field_of_view = models.FloatField(_("field of view"), default=90.0, help_text=_("Degrees."))
    view_radius_m = models.FloatField(_("view radius (m)"), default=30.0)
    clock_offset_s = models.FloatField(_("clock offset (s)"), default=0.0, help_text=_("How far its clock is ahead."))
    clock_uncertainty_s = models.FloatField(_("clock uncertainty (s)"), default=1.0)
    coordinate_system = models.CharField(
        _("coordinate system"), max_length=8, choices=CoordinateSystem.choices, default=CoordinateSystem.WGS84
    )
    status = models.CharField(_("status"), max_length=12, choices=CameraStatus.choices, default=CameraStatus.ONLINE)

    class Meta:
        verbose_name = _("camera")
        verbose_name_plural = _("cameras")
        ordering = ["code"]
        indexes = [models.Index(fields=["longitude", "latitude"])]

    def __str__(self) -> str:
        return self.name


class Road(BoundingBox):
    """One edge of the street graph: roads meet where their end points are equal."""

    name = models.CharField(_("name"), max_length=120, blank=True)
    kind = models.CharField(_("kind"), max_length=20, default="street")
    line = models.JSONField(_("line"), help_text=_("List of [longitude, latitude], WGS-84."))
    length_m = models.FloatField(_("length (m)"))

    class Meta:
        verbose_name = _("road")
        verbose_name_plural = _("roads")

    def __str__(self) -> str:
        return self.name or str(self.pk)


class Landmark(BoundingBox):
    """An area of the base map that is no unit: water, park, square."""

    name = models.CharField(_("name"), max_length=120, blank=True)
    kind = models.CharField(_("kind"), max_length=20)
    polygon = models.JSONField(_("area"))

    class Meta:
        verbose_name = _("landmark")
        verbose_name_plural = _("landmarks")

    def __str__(self) -> str:
        return self.name or self.kind


class Role(models.TextChoices):
    OPERATOR = "operator", _("operator")
    SUPERVISOR = "supervisor", _("supervisor")
    ADMINISTRATOR = "administrator", _("administrator")
    AUDITOR = "auditor", _("auditor")
    RESEARCHER = "researcher", _("researcher")


class Membership(models.Model):
    """A user has a role in a unit and everything below it."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships", verbose_name=_("user")
    )
    role = models.CharField(_("role"), max_length=16, choices=Role.choices)
    unit = models.ForeignKey(Unit, models.CASCADE, related_name="memberships", verbose_name=_("unit"))

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [models.UniqueConstraint(fields=["user", "role", "unit"], name="one_membership")]

    def __str__(self) -> str:
        return f"{self.user} {self.role} {self.unit}"
