"""What units and cameras look like over REST. Rules live in the services; here are only shapes and types."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from units.access import units_of
from units.models import (
    Camera,
    Indicator,
    Level,
    Membership,
    Role,
    SensorKind,
    SensorReading,
    Unit,
)


@extend_schema_field(OpenApiTypes.OBJECT)
class GeometryField(serializers.JSONField):
    """A GeoJSON geometry."""


class BoundingBoxField(serializers.ListField):
    """[west, south, east, north] in degrees."""

    child = serializers.FloatField()


class UnitSummarySerializer(serializers.Serializer):
    id = serializers.IntegerField()
    code = serializers.CharField()
    name = serializers.CharField()
    level = serializers.IntegerField(min_value=Level.CITY, max_value=Level.GRID)
    level_name = serializers.CharField()
    bbox = BoundingBoxField(allow_null=True)


class UnitSerializer(UnitSummarySerializer):
    """A unit with its place in the tree and the number of cameras at and below it."""

    parent = serializers.IntegerField(allow_null=True)  # type: ignore[assignment]
    path = serializers.CharField(help_text=gettext_lazy("City / District / Street ..."))
    ancestors = UnitSummarySerializer(many=True)
    cameras = serializers.IntegerField()
    free_code = serializers.BooleanField()
    retention_days = serializers.IntegerField(allow_null=True)


class UnitDetailSerializer(UnitSerializer):
    polygon = GeometryField(allow_null=True)


class UnitNodeSerializer(UnitSummarySerializer):
    cameras = serializers.IntegerField()
    children = serializers.ListField(child=serializers.DictField())


class UnitWriteSerializer(serializers.Serializer):
    """`parent` decides the level; only a superuser adds a unit without one."""

    name = serializers.CharField(max_length=120)
    code = serializers.CharField(max_length=40)
    free_code = serializers.BooleanField(required=False)
    parent = serializers.IntegerField(required=False, allow_null=True)  # type: ignore[assignment]
    polygon = GeometryField(required=False, allow_null=True)
    retention_days = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=36500)


class FeatureSerializer(serializers.Serializer):
    type = serializers.CharField(default="Feature")
    id = serializers.IntegerField(required=False)
    bbox = BoundingBoxField(required=False)
    geometry = GeometryField(allow_null=True)
    properties = serializers.DictField()


class FeatureCollectionSerializer(serializers.Serializer):
    """RFC 7946, WGS-84."""

    type = serializers.CharField(default="FeatureCollection")
    features = FeatureSerializer(many=True)


class CameraSerializer(serializers.ModelSerializer):
    """`longitude` and `latitude` are read in `coordinate_system` and answered in WGS-84; `unit` is computed."""

    unit_path = serializers.SerializerMethodField()
    longitude = serializers.FloatField(min_value=-180, max_value=180)
    latitude = serializers.FloatField(min_value=-90, max_value=90)

    class Meta:
        model = Camera
        fields = [
            "id", "code", "free_code", "name", "unit", "unit_path", "longitude", "latitude", "coordinate_system",
            "heading", "field_of_view", "view_radius_m", "clock_offset_s", "clock_uncertainty_s", "status",
        ]  # fmt: skip
        read_only_fields = ["unit"]
        # A code that is taken is the services' error, in the same words everywhere.
        extra_kwargs: dict[str, Any] = {"code": {"validators": []}}

    def get_unit_path(self, camera: Camera) -> str:
        paths: dict[int, str] = self.context.get("unit_paths", {})
        return paths.get(camera.unit_id, camera.unit.name)


class OwnUnitField(serializers.PrimaryKeyRelatedField):
    """A unit the user administers; any other is a 404, whether it exists or not."""

    def get_queryset(self) -> QuerySet[Unit]:
        return units_of(self.context["request"].user, Role.ADMINISTRATOR)

    def to_internal_value(self, data: Any) -> Unit:
        try:
            return cast(Unit, super().to_internal_value(data))
        except serializers.ValidationError as error:
            if error.get_codes() == ["does_not_exist"]:
                raise Http404(_("There is no such unit.")) from error
            raise


class ReadingSerializer(serializers.ModelSerializer):
    unit = OwnUnitField(queryset=Unit.objects.none())

    class Meta:
        model = SensorReading
        fields = ["id", "unit", "kind", "value", "time"]
        validators: list[Any] = []


class ReadingRowSerializer(serializers.Serializer):
    """A reading among many: units are looked up together."""

    unit = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    kind = serializers.ChoiceField(SensorKind.choices)
    value = serializers.FloatField()
    time = serializers.DateTimeField()


class ReadingsSerializer(serializers.Serializer):
    readings = ReadingRowSerializer(many=True)


class CountSerializer(serializers.Serializer):
    count = serializers.IntegerField()


class IndicatorSerializer(serializers.ModelSerializer):
    unit = OwnUnitField(queryset=Unit.objects.none())

    class Meta:
        model = Indicator
        fields = ["id", "unit", "indicator", "value", "unit_of_measure", "year", "source"]
        validators: list[Any] = []


class MembershipSerializer(serializers.ModelSerializer):
    username = serializers.CharField(source="user.get_username", read_only=True)
    unit_name = serializers.CharField(source="unit.name", read_only=True)

    class Meta:
        model = Membership
        fields = ["id", "user", "username", "role", "unit", "unit_name"]
        read_only_fields = fields


class IndicatorRowSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    indicator = serializers.CharField()
    value = serializers.FloatField()
    unit_of_measure = serializers.CharField()
    year = serializers.IntegerField()
    source = serializers.CharField()  # type: ignore[assignment]


class SeriesSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(SensorKind.choices)
    label = serializers.CharField()  # type: ignore[assignment]
    unit = serializers.IntegerField(help_text=gettext_lazy("The unit that measured"))
    unit_name = serializers.CharField()
    mean = serializers.BooleanField(help_text=gettext_lazy("The mean of several units below"))
    points = serializers.ListField(child=serializers.ListField(), help_text=gettext_lazy("[time, value], oldest first"))


class ContextSerializer(serializers.Serializer):
    """What is known about a unit beside its cameras."""

    unit = UnitSerializer()
    children = UnitSummarySerializer(many=True)
    cameras = serializers.DictField(
        child=serializers.IntegerField(), help_text=gettext_lazy("total and one count per status")
    )
    indicators = IndicatorRowSerializer(many=True)
    series = SeriesSerializer(many=True)


class ImportRequestSerializer(serializers.Serializer):
    file = serializers.FileField()
    dry_run = serializers.BooleanField(default=False)


class ImportLineSerializer(serializers.Serializer):
    """What was refused, and why."""

    line = serializers.IntegerField()
    name = serializers.CharField()
    message = serializers.CharField()


class ImportReportSerializer(serializers.Serializer):
    dry_run = serializers.BooleanField()
    total = serializers.IntegerField()
    added = serializers.IntegerField()
    changed = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    refused = serializers.IntegerField()
    lines = ImportLineSerializer(many=True)


class GridRequestSerializer(serializers.Serializer):
    cell_m = serializers.FloatField(default=200.0, help_text=gettext_lazy("Side of a cell in metres"))
    dry_run = serializers.BooleanField(default=False)
