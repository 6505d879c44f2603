"""What the gallery says over REST, and what it understands."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from citysearch.gallery.models import Crop, GalleryImport, ImportLine
from citysearch.gallery.queries import crop_url, true_time
from citysearch.gallery.reasons import REASONS
from units.models import Camera

FILES_MAX = 100
# What fits into one uploaded file.
UPLOADED = [
    (layout.value, layout.label)
    for layout in GalleryImport.Layout
    if layout not in (GalleryImport.Layout.FOLDER, GalleryImport.Layout.MANIFEST, GalleryImport.Layout.API)
]


class CropCameraSerializer(serializers.ModelSerializer):
    class Meta:
        model = Camera
        fields = ["id", "code", "name", "longitude", "latitude", "unit"]
        read_only_fields = fields


class CropSerializer(serializers.ModelSerializer):
    """A crop. `time` is true time, `camera_time` what the camera's own clock said."""

    camera = CropCameraSerializer(read_only=True)
    time = serializers.SerializerMethodField()
    camera_time = serializers.DateTimeField(source="captured_at", read_only=True)
    image = serializers.SerializerMethodField()

    class Meta:
        model = Crop
        fields = [
            "id",
            "camera",
            "time",
            "camera_time",
            "image",
            "width",
            "height",
            "source_name",
            "sha256",
            "gallery_import",
        ]
        read_only_fields = fields

    @extend_schema_field(serializers.DateTimeField())
    def get_time(self, crop: Crop) -> str:
        return timezone.localtime(true_time(crop)).isoformat()

    @extend_schema_field(serializers.CharField())
    def get_image(self, crop: Crop) -> str:
        return crop_url(crop)


class CropQuerySerializer(serializers.Serializer):
    """Which crops to list. `from` and `to` are true time; `unit` takes everything below it."""

    camera = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    unit = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    to = serializers.DateTimeField(required=False)

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "from": serializers.DateTimeField(required=False)}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "from" in attrs and "to" in attrs and attrs["to"] < attrs["from"]:
            raise serializers.ValidationError({"to": _("The period ends before it starts.")})
        return attrs


class ErasureSerializer(serializers.Serializer):
    """What was removed, what a recount still finds: zeros, and how many crops were kept by a hold."""

    erased = serializers.DictField(child=serializers.IntegerField())
    left = serializers.DictField(child=serializers.IntegerField())
    held = serializers.IntegerField()


class CropUploadSerializer(serializers.Serializer):
    """Pictures of one camera. `captured_at` holds for all of them; without it each name, EXIF or the clock decides."""

    files = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True, max_length=300), min_length=1, max_length=FILES_MAX
    )
    captured_at = serializers.DateTimeField(required=False)


class UploadResultSerializer(serializers.Serializer):
    """What became of one file; where refused, `code` says why, `reason` in the reader's words, `message` in detail."""

    name = serializers.CharField()
    state = serializers.ChoiceField(["added", "known", "refused"])
    code = serializers.CharField()
    reason = serializers.SerializerMethodField()
    message = serializers.CharField()
    crop = serializers.IntegerField(source="crop_id", allow_null=True)

    def get_reason(self, result: Any) -> str:
        return str(REASONS.get(result.code, ""))


class UploadReportSerializer(serializers.Serializer):
    gallery_import = serializers.IntegerField()
    added = serializers.IntegerField()
    known = serializers.IntegerField()
    refused = serializers.IntegerField()
    results = UploadResultSerializer(many=True)


class GalleryImportLineSerializer(serializers.ModelSerializer):
    """A picture that was refused: `reason` in the reader's language, `message` the detail."""

    reason = serializers.SerializerMethodField()

    class Meta:
        model = ImportLine
        fields = ["line", "name", "code", "reason", "message"]
        read_only_fields = fields

    def get_reason(self, line: ImportLine) -> str:
        return str(REASONS.get(line.code, line.code))


class ImportSerializer(serializers.ModelSerializer):
    user = serializers.CharField(source="user.username", default=None, read_only=True)

    class Meta:
        model = GalleryImport
        fields = [
            "id",
            "layout",
            "source",
            "user",
            "state",
            "total",
            "added",
            "known",
            "refused",
            "message",
            "created_at",
            "finished_at",
        ]
        read_only_fields = fields


class ImportDetailSerializer(ImportSerializer):
    """`lines` holds the first 1,000 refused pictures; `refused` says how many there are."""

    lines = serializers.SerializerMethodField()

    class Meta(ImportSerializer.Meta):
        fields = [*ImportSerializer.Meta.fields, "lines"]

    @extend_schema_field(GalleryImportLineSerializer(many=True))
    def get_lines(self, row: GalleryImport) -> list[dict[str, Any]]:
        return list(GalleryImportLineSerializer(row.lines.all()[:1000], many=True).data)


class ImportUploadSerializer(serializers.Serializer):
    """`cameras`: CODE,CODE,... for cameras 1, 2, ... of a research set, or NAME=CODE,... for other names."""

    file = serializers.FileField(max_length=300)
    layout = serializers.ChoiceField(UPLOADED, default=GalleryImport.Layout.ZIP)
    cameras = serializers.CharField(required=False, allow_blank=True, max_length=20_000)


class GalleryProblemSerializer(serializers.Serializer):
    """The one shape of every error: {"error": {code, message, fields}}."""

    error = serializers.DictField()
