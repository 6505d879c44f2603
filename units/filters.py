"""What the lists of the API can be narrowed by. `unit` always means the unit and everything below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import django_filters
from django.core.validators import MaxValueValidator
from django.db.models import BigIntegerField, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from units.access import get_unit_or_404
from units.models import Camera, CameraStatus, Indicator, Level, Membership, Role, SensorKind, SensorReading, Unit
from units.queries import check_bbox
from units.tree import below


class SubtreeFilter(django_filters.NumberFilter):
    """Rows whose unit lies in the subtree of the unit with this id; a unit outside the user's rights is a 404."""

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        if value is None:
            return qs
        unit = get_unit_or_404(self.parent.request.user, int(value))
        return qs.filter(below([unit.path], self.field_name))


class IdFilter(django_filters.NumberFilter):
    """An id; what no database could hold is refused before it is asked."""

    def get_max_validator(self) -> MaxValueValidator:
        return MaxValueValidator(BigIntegerField.MAX_BIGINT)


class IdsFilter(django_filters.BaseInFilter, IdFilter):
    """Ids, separated by commas."""


class BoxFilter(django_filters.CharFilter):
    """Rows that touch a box of degrees; `columns` are the row's west, south, east and north."""

    def __init__(self, columns: Sequence[str], **kwargs: Any) -> None:
        super().__init__(label=_("west,south,east,north in degrees"), **kwargs)
        self.columns = columns

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        if not value:
            return qs
        box = check_bbox(value)
        west, south, east, north = self.columns
        sides = {f"{west}__lte": box[2], f"{south}__lte": box[3], f"{east}__gte": box[0], f"{north}__gte": box[1]}
        return qs.filter(**sides)


class UnitFilter(django_filters.FilterSet):
    under = SubtreeFilter("path", label=_("Units in the subtree of this unit, itself included"))
    parent = django_filters.NumberFilter(method="children", label=_("Units directly below this unit"))
    level = django_filters.MultipleChoiceFilter(choices=Level.choices)
    ids = IdsFilter(field_name="id", lookup_expr="in", label=_("Ids, separated by commas"))
    bbox = BoxFilter(["west", "south", "east", "north"])
    q = django_filters.CharFilter(method="words", label=_("Part of a name or code"))

    class Meta:
        model = Unit
        fields = ["under", "parent", "level", "ids", "bbox", "code", "q"]

    def children(self, units: QuerySet[Unit], name: str, value: Any) -> QuerySet[Unit]:
        parent = get_unit_or_404(self.request.user, int(value))
        return units.filter(below([parent.path]), depth=parent.depth + 1)

    def words(self, units: QuerySet[Unit], name: str, value: str) -> QuerySet[Unit]:
        return units.filter(Q(name__icontains=value) | Q(code__startswith=value))


class CameraFilter(django_filters.FilterSet):
    unit = SubtreeFilter("unit__path", label=_("Cameras in the subtree of this unit"))
    status = django_filters.MultipleChoiceFilter(choices=CameraStatus.choices)
    bbox = BoxFilter(["longitude", "latitude", "longitude", "latitude"])
    q = django_filters.CharFilter(method="words", label=_("Part of a name or code"))

    class Meta:
        model = Camera
        fields = ["unit", "status", "bbox", "code", "q"]

    def words(self, cameras: QuerySet[Camera], name: str, value: str) -> QuerySet[Camera]:
        return cameras.filter(Q(name__icontains=value) | Q(code__icontains=value))


class ReadingFilter(django_filters.FilterSet):
    unit = SubtreeFilter("unit__path", label=_("Readings in the subtree of this unit"))
    kind = django_filters.MultipleChoiceFilter(choices=SensorKind.choices)
    time_from = django_filters.IsoDateTimeFilter(field_name="time", lookup_expr="gte")
    time_to = django_filters.IsoDateTimeFilter(field_name="time", lookup_expr="lt")

    class Meta:
        model = SensorReading
        fields = ["unit", "kind", "time_from", "time_to"]


class IndicatorFilter(django_filters.FilterSet):
    unit = SubtreeFilter("unit__path", label=_("Data in the subtree of this unit"))

    class Meta:
        model = Indicator
        fields = ["unit", "indicator", "year"]


class MembershipFilter(django_filters.FilterSet):
    unit = SubtreeFilter("unit__path", label=_("Memberships in the subtree of this unit"))
    user = IdFilter(field_name="user_id")
    role = django_filters.MultipleChoiceFilter(choices=Role.choices)

    class Meta:
        model = Membership
        fields = ["unit", "user", "role"]
