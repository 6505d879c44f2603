"""What goes into and comes out of the searches' API. The reading side only describes what `queries` returns."""

from __future__ import annotations

import json
import math
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from citysearch.searches.models import Search, Verdict
from citysearch.searches.photos import Taken
from citysearch.searches.queries import COLLAPSES, SORTS
from reid_engine.photo import Box

VERDICTS_AT_ONCE = 500
BOX_PIXELS = 1_000_000


class TextJSONField(serializers.JSONField):
    """JSON, also as text, for a form cannot carry anything else."""

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value or "null")
        except ValueError:
            self.fail("invalid")


class ConditionsField(TextJSONField):
    """A list of sensor conditions."""

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise serializers.ValidationError(_("A list of sensor conditions is needed, each {kind, op, value}."))
        return value


class BoxField(TextJSONField):
    """[left, top, right, bottom] in whole pixels of the upright photo."""

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        return None if value is None else box_checked(value)


class BoxesField(TextJSONField):
    """One box or null per photo, in the photos' order."""

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if not isinstance(value, list):
            raise serializers.ValidationError(_("A list is needed: a box or null for each photo."))
        return [None if box is None else box_checked(box) for box in value]


class TakenGivenSerializer(serializers.Serializer):
    """Where and when a photo was taken. `time` is ISO 8601; without an offset in the installation's time zone."""

    longitude = serializers.FloatField(min_value=-180, max_value=180)
    latitude = serializers.FloatField(min_value=-90, max_value=90)
    time = serializers.DateTimeField()

    def validate(self, attrs: Any) -> Taken:
        if not math.isfinite(attrs["longitude"] + attrs["latitude"]):
            raise serializers.ValidationError(_("The place of a photo needs a longitude and a latitude in degrees."))
        if attrs["time"] > timezone.now():
            raise serializers.ValidationError(_("The photo's time lies in the future."))
        return Taken(**attrs)


class TakenField(TextJSONField):
    """Place and time, or null, per photo, in the photos' order."""

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if not isinstance(value, list):
            raise serializers.ValidationError(_("A list is needed: place and time, or null, for each photo."))
        return [None if one is None else TakenGivenSerializer().run_validation(one) for one in value]


def box_checked(value: object) -> Box:
    """Four whole numbers that enclose something."""
    sides = value if isinstance(value, list) else []
    whole = len(sides) == 4 and all(type(side) is int and abs(side) <= BOX_PIXELS for side in sides)
    box = Box(*sides) if whole else Box(0, 0, 0, 0)
    if box.left >= box.right or box.top >= box.bottom:
        raise serializers.ValidationError(_("A box is [left, top, right, bottom] in whole pixels of the photo."))
    return box


class ScopeSerializer(serializers.Serializer):
    """Where and when to search. `from` and `to` are ISO 8601; without an offset in the installation's time zone."""

    unit = serializers.CharField(
        max_length=40, required=False, allow_null=True, default=None,
        help_text=_("Id or code of the unit; its whole subtree is searched."),
    )  # fmt: skip
    area = TextJSONField(
        required=False, default=None, help_text=_("Instead of a unit: GeoJSON polygon; its cameras are searched.")
    )
    conditions = ConditionsField(required=False)

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        fields["from"] = serializers.DateTimeField(source="period_from", required=False, allow_null=True, default=None)
        fields["to"] = serializers.DateTimeField(source="period_to", required=False, allow_null=True, default=None)
        return fields

    def to_internal_value(self, data: Any) -> Any:
        """A form leaves an empty text where nothing was chosen."""
        if hasattr(data, "dict"):
            blank = [name for name in ("unit", "area", "from", "to", "conditions") if data.get(name) == ""]
            if blank:
                data = data.copy()
                for name in blank:
                    del data[name]
        return super().to_internal_value(data)


class SearchStartSerializer(ScopeSerializer):
    """A new search."""

    photos = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True),
        min_length=1,
        max_length=settings.PHOTOS_MAX,
        help_text=_("1 to 5 JPEG, PNG or WEBP pictures of the person."),
    )
    boxes = BoxesField(
        required=False,
        help_text=_("JSON list: for each photo [left, top, right, bottom] in pixels of the upright photo, or null; "
                    "only what is inside is compared."),
    )  # fmt: skip
    taken = TakenField(
        required=False,
        help_text=_('JSON list: for each photo {"longitude", "latitude", "time"} of where and when it was taken '
                    "(WGS-84), or null; the path passes there."),
    )  # fmt: skip
    purpose = serializers.CharField(max_length=300)
    case = serializers.CharField(max_length=80)

    def validate_photos(self, photos: list[Any]) -> list[Any]:
        for number, photo in enumerate(photos, start=1):
            if photo.size > settings.PHOTO_MAX_BYTES:
                raise serializers.ValidationError(
                    _("Photo %(number)s has %(size)s bytes; at most %(most)s are accepted.")
                    % {"number": number, "size": photo.size, "most": settings.PHOTO_MAX_BYTES}
                )
        return photos


class SearchFilterSerializer(serializers.Serializer):
    """How a list of searches is narrowed."""

    mine = serializers.BooleanField(required=False, default=False, help_text=_("Only those you started."))
    case = serializers.CharField(required=False, max_length=80)
    unit = serializers.CharField(
        required=False, max_length=40, help_text=_("Id or code; searches of exactly this unit.")
    )
    state = serializers.ChoiceField(Search.State.choices, required=False)


class HitsQuerySerializer(serializers.Serializer):
    """In which form hits are listed."""

    collapse = serializers.ChoiceField(
        COLLAPSES, required=False, default="burst", help_text=_("burst: one hit per sighting; none: every crop.")
    )
    sort = serializers.ChoiceField(SORTS, required=False, default="likelihood")


class ExplanationQuerySerializer(serializers.Serializer):
    """Which of the photos a hit is explained with."""

    photo = serializers.IntegerField(required=False, default=0, min_value=0, max_value=99)


class PhotoQuerySerializer(serializers.Serializer):
    """How much of a photo is shown."""

    boxed = serializers.BooleanField(required=False, default=False)


class PhotoLookSerializer(serializers.Serializer):
    """A photo to be looked at before a search."""

    photo = serializers.FileField(help_text=_("A JPEG, PNG or WEBP picture."))
    box = BoxField(required=False, default=None, help_text=_("[left, top, right, bottom]: the part to be compared."))


class PhotoSaysSerializer(serializers.Serializer):
    """Where and when a photo's file says it was taken; null where it does not."""

    longitude = serializers.FloatField(allow_null=True)
    latitude = serializers.FloatField(allow_null=True)
    time = serializers.DateTimeField(allow_null=True)


class PhotoSeenSerializer(serializers.Serializer):
    """What to know of a photo before searching with it."""

    width = serializers.IntegerField(help_text=_("Of the upright photo, in pixels."))
    height = serializers.IntegerField()
    quality = serializers.DictField(help_text=_("Of what is compared; warnings: small, blurred, dark, cut_off ..."))
    people = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField(), min_length=4, max_length=4),
        help_text=_("Proposed boxes, the surest first."),
    )
    says = PhotoSaysSerializer(help_text=_("Where and when its file says it was taken: a proposal for `taken`."))


class PhotoSerializer(serializers.Serializer):
    position = serializers.IntegerField()
    url = serializers.CharField()
    sha256 = serializers.CharField(help_text=_("Of the file as it was sent."))
    quality = serializers.DictField()
    box = serializers.ListField(
        child=serializers.IntegerField(), allow_null=True, help_text=_("The part that is compared; null: all of it.")
    )
    taken = TakenGivenSerializer(allow_null=True, help_text=_("Where and when it was taken; null: not known."))


class PeriodSerializer(serializers.Serializer):
    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        fields["from"] = serializers.DateTimeField(allow_null=True)
        fields["to"] = serializers.DateTimeField(allow_null=True)
        return fields


class CountsSerializer(serializers.Serializer):
    parts = serializers.IntegerField(required=False)
    parts_done = serializers.IntegerField(required=False)
    cameras = serializers.IntegerField(required=False, help_text=_("Cameras of the finished parts."))
    crops = serializers.IntegerField(required=False, help_text=_("Crops compared so far."))
    candidates = serializers.IntegerField(required=False)
    sightings = serializers.IntegerField(required=False)
    exact = serializers.BooleanField(required=False, help_text=_("Every crop was scored by diff attention."))


class CoverageLineSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    code = serializers.CharField()
    name = serializers.CharField()
    reason = serializers.CharField(required=False, help_text=_("Why the camera was skipped."))
    mark = serializers.CharField(required=False, help_text=_("What to know of a camera that was searched."))


class CoverageSerializer(serializers.Serializer):
    cameras = serializers.IntegerField(required=False)
    searched = serializers.IntegerField(required=False)
    skipped = serializers.IntegerField(required=False)
    crops = serializers.IntegerField(required=False)
    reasons = serializers.DictField(child=serializers.IntegerField(), required=False)
    marked = serializers.DictField(child=serializers.IntegerField(), required=False)
    list = CoverageLineSerializer(many=True, required=False)


class SearchErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    stage = serializers.CharField()
    message = serializers.CharField()
    kept = serializers.IntegerField(required=False, help_text=_("Finished parts whose hits are kept."))
    detail = serializers.CharField(required=False)


class NoticeSerializer(serializers.Serializer):
    code = serializers.CharField()
    message = serializers.CharField()


class SearchUnitSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    code = serializers.CharField()
    name = serializers.CharField()
    level = serializers.IntegerField()


class SearchSerializer(serializers.Serializer):
    """The state of a search."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(Search.State.choices)
    state_name = serializers.CharField()
    stage = serializers.ChoiceField(Search.Stage.choices)
    stage_name = serializers.CharField()
    cancel_requested = serializers.BooleanField()
    counts = CountsSerializer()
    coverage = CoverageSerializer()
    timings = serializers.DictField(child=serializers.FloatField(), help_text=_("Seconds per stage."))
    unit = SearchUnitSerializer()
    unit_path = serializers.CharField()
    area = serializers.DictField(allow_null=True, help_text=_("GeoJSON of the drawn area, if one was searched."))
    purpose = serializers.CharField()
    case = serializers.CharField()
    period = PeriodSerializer()
    conditions = serializers.ListField(child=serializers.DictField())
    model = serializers.CharField(allow_null=True)
    user = serializers.CharField()
    photos = PhotoSerializer(many=True)
    error = SearchErrorSerializer(allow_null=True)
    notice = NoticeSerializer(allow_null=True)
    rescoring = serializers.BooleanField(help_text=_("Verdicts are still to be taken into account."))
    revision = serializers.IntegerField(help_text=_("Changes whenever hits and path were scored again."))
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    stale = serializers.BooleanField(help_text=_("Gallery or model have changed since."))


class ReplacedSerializer(serializers.Serializer):
    """What counted for a crop before; `undecided` where nobody had said anything."""

    crop = serializers.IntegerField()
    verdict = serializers.ChoiceField(Verdict.Value.choices)


class JudgedSerializer(SearchSerializer):
    """A search that has just been given verdicts."""

    replaced = ReplacedSerializer(many=True, help_text=_("The verdicts that counted for these crops before."))


class PreviewSerializer(serializers.Serializer):
    """What a search would look at."""

    unit = SearchUnitSerializer(help_text=_("Of an area: the smallest unit that holds its cameras."))
    unit_path = serializers.CharField()
    cameras = serializers.IntegerField()
    crops = serializers.IntegerField(help_text=_("Crops of these cameras at any time."))
    crops_left = serializers.IntegerField(help_text=_("Crops in the chosen times."))
    windows_total = serializers.IntegerField()
    windows = PeriodSerializer(
        many=True, allow_null=True, help_text=_("The times in which all conditions hold, the first 200; null: any.")
    )


class HitCameraSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    code = serializers.CharField()
    name = serializers.CharField()
    longitude = serializers.FloatField()
    latitude = serializers.FloatField()


class HitSerializer(serializers.Serializer):
    """A crop of the hit list; the best one of its burst when bursts are collapsed."""

    rank = serializers.IntegerField(help_text=_("Place by distance, whatever the order of the list."))
    crop = serializers.IntegerField()
    image = serializers.CharField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    camera = HitCameraSerializer()
    unit_path = serializers.CharField()
    time = serializers.DateTimeField(help_text=_("Corrected for the camera's clock."))
    camera_time = serializers.DateTimeField(help_text=_("As the camera's clock said."))
    distance = serializers.FloatField()
    cosine = serializers.FloatField()
    likelihood = serializers.FloatField(help_text=_("Share of pairs like this that are the same person, 0 to 1."))
    sighting = serializers.IntegerField()
    burst = serializers.ListField(child=serializers.IntegerField(), help_text=_("Crops of the sighting, best first."))
    burst_count = serializers.IntegerField()
    verdict = serializers.ChoiceField(Verdict.Value.choices, allow_null=True)
    source_name = serializers.CharField()


class HitsPageSerializer(serializers.Serializer):
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    state = serializers.ChoiceField(Search.State.choices)
    sightings = serializers.IntegerField()
    crops = serializers.IntegerField()
    results = HitSerializer(many=True)


class VerdictGivenSerializer(serializers.Serializer):
    """`value` is read as `verdict` too."""

    crop = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    verdict = serializers.ChoiceField(Verdict.Value.choices)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and "verdict" not in data and "value" in data:
            data = {"crop": data.get("crop"), "verdict": data["value"]}
        return super().to_internal_value(data)


class VerdictSerializer(VerdictGivenSerializer):
    """The verdict that counts: the latest one on its crop."""

    user = serializers.CharField()
    time = serializers.DateTimeField()
    given = serializers.IntegerField(help_text=_("How many verdicts were given on this crop."))


class TokenRequestSerializer(serializers.Serializer):
    username = serializers.CharField()
    password = serializers.CharField(trim_whitespace=False, style={"input_type": "password"})


class TokenSerializer(serializers.Serializer):
    expires_at = serializers.DateTimeField()
    token = serializers.CharField()


class TrajectorySerializer(serializers.Serializer):
    """An RFC 7946 FeatureCollection: stops are points, legs are lines."""

    type = serializers.CharField(default="FeatureCollection")
    features = serializers.ListField(child=serializers.DictField())
    conflicts = serializers.ListField(child=serializers.DictField())


class CameraPlaceSerializer(HitCameraSerializer):
    """A camera of a gap."""

    detour_m = serializers.IntegerField(help_text=_("How much longer the way over it is, as the crow flies."))
    on_way = serializers.BooleanField(help_text=_("The way along the streets comes into its view."))


class GapSerializer(serializers.Serializer):
    """What lies between two stops."""

    to = serializers.IntegerField(help_text=_("Number of the stop after the gap."))
    passable = serializers.IntegerField(help_text=_("Cameras that there was time to pass, without a hit."))
    on_way = serializers.IntegerField(help_text=_("How many of them the way along the streets passes."))
    cameras = CameraPlaceSerializer(many=True, help_text=_("The first 20, those on the way before the others."))

    def get_fields(self) -> dict[str, serializers.Field]:
        before = serializers.IntegerField(help_text=_("Number of the stop before the gap."))
        return {"from": before, **super().get_fields()}


class ReachQuerySerializer(serializers.Serializer):
    """How far to look ahead."""

    minutes = serializers.FloatField(required=False, default=10.0, min_value=1.0, max_value=180.0)
    speed = serializers.FloatField(
        required=False, default=1.5, min_value=0.3, max_value=30.0, help_text=_("Metres per second.")
    )


class ReachSerializer(serializers.Serializer):
    """A GeoJSON feature: the area, with since, until, metres, on_streets and cameras by their time of arrival."""

    type = serializers.CharField(default="Feature")
    geometry = serializers.DictField()
    properties = serializers.DictField()


class ProblemSerializer(serializers.Serializer):
    """The one shape of every error."""

    error = serializers.DictField()
