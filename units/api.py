"""Units, cameras and their data over REST. Every query starts in access.py: what is outside one's rights is a 404."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from django.db.models import Q, QuerySet
from django.http import Http404, HttpResponse
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import conditional_page
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from units import services
from units.access import cameras_of, get_camera_or_404, get_unit_or_404, granted_paths, roles_of, units_of
from units.files import layout_of
from units.filters import CameraFilter, IndicatorFilter, MembershipFilter, ReadingFilter, UnitFilter
from units.models import Camera, Indicator, Membership, Role, SensorReading, Unit
from units.queries import (
    basemap,
    cameras_geojson,
    check_bbox,
    unit_context,
    unit_details,
    unit_feature_collection,
    unit_tree,
)
from units.serializers import (
    CameraSerializer,
    ContextSerializer,
    CountSerializer,
    FeatureCollectionSerializer,
    GridRequestSerializer,
    ImportReportSerializer,
    ImportRequestSerializer,
    IndicatorSerializer,
    MembershipSerializer,
    ReadingSerializer,
    ReadingsSerializer,
    UnitDetailSerializer,
    UnitNodeSerializer,
    UnitSerializer,
    UnitWriteSerializer,
)
from units.tree import below, unit_paths

ADMINISTRATOR = Role.ADMINISTRATOR


def _checked(kind: type[serializers.Serializer], request: Request, **options: Any) -> dict[str, Any]:
    serializer = kind(data=request.data, **options)
    serializer.is_valid(raise_exception=True)
    return cast(dict[str, Any], serializer.validated_data)


def _sent_once(request: Request, response: HttpResponse) -> HttpResponse:
    """Compressed, with an ETag: whoever has it already is told so instead."""
    patch_cache_control(response, private=True, no_cache=True)
    return gzip_page(conditional_page(lambda _request: response))(request._request)


def _administered(request: Request) -> QuerySet[Unit] | None:
    """The units the user administers; None means all. Http404 for who administers nothing."""
    if ADMINISTRATOR not in roles_of(request.user):
        raise Http404(_("There is nothing here for you to change."))
    return None if request.user.is_superuser else units_of(request.user, ADMINISTRATOR)


def _topmost(request: Request) -> Q:
    paths = granted_paths(request.user)
    return Q(depth=1) if paths is None else Q(path__in=paths)


@extend_schema_view(
    list=extend_schema(summary="Units", responses=UnitSerializer(many=True)),
    retrieve=extend_schema(summary="One unit with its area", responses=UnitDetailSerializer),
    destroy=extend_schema(summary="Delete a unit and all below it"),
)
class UnitViewSet(viewsets.GenericViewSet):
    """The tree: city, district, street, region, grid."""

    queryset = Unit.objects.none()
    serializer_class = UnitSerializer
    filterset_class = UnitFilter
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> QuerySet[Unit]:
        return units_of(self.request.user)

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset().defer("polygon")))
        return self.get_paginated_response(UnitSerializer(unit_details(page or []), many=True).data)

    def retrieve(self, request: Request, pk: str) -> Response:
        return self._detail(get_unit_or_404(request.user, pk))

    @extend_schema(summary="Add a unit", request=UnitWriteSerializer, responses={201: UnitDetailSerializer})
    def create(self, request: Request) -> Response:
        fields = _checked(UnitWriteSerializer, request)
        parent = self._parent(fields.pop("parent", None))
        return self._detail(services.unit_create(parent, **fields), status.HTTP_201_CREATED)

    @extend_schema(summary="Change a unit", request=UnitWriteSerializer, responses=UnitDetailSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        unit = get_unit_or_404(request.user, pk, ADMINISTRATOR)
        fields = _checked(UnitWriteSerializer, request, partial=True)
        if fields.get("parent") is not None:
            fields["parent"] = get_unit_or_404(request.user, fields["parent"], ADMINISTRATOR)
        return self._detail(services.unit_update(unit, **fields))

    def destroy(self, request: Request, pk: str) -> Response:
        services.unit_delete(get_unit_or_404(request.user, pk, ADMINISTRATOR))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(summary="The whole tree, nested", responses=UnitNodeSerializer(many=True), filters=False)
    @action(detail=False, pagination_class=None)
    def tree(self, request: Request) -> Response:
        return Response(unit_tree(request.user))

    @extend_schema(summary="The units directly below", responses=UnitSerializer(many=True), filters=False)
    @action(detail=True, pagination_class=None)
    def children(self, request: Request, pk: str) -> Response:
        unit = get_unit_or_404(request.user, pk)
        below_it = Unit.objects.filter(below([unit.path]), depth=unit.depth + 1).order_by("path").defer("polygon")
        return Response(UnitSerializer(unit_details(below_it), many=True).data)

    @extend_schema(summary="Government data and sensor series of a unit", responses=ContextSerializer, filters=False)
    @action(detail=True)
    def context(self, request: Request, pk: str) -> Response:
        return Response(unit_context(get_unit_or_404(request.user, pk)))

    @extend_schema(
        summary="Areas for the map",
        description="Without any filter: the topmost units the user may see.",
        responses=FeatureCollectionSerializer,
        filters=True,
    )
    @action(detail=False, pagination_class=None)
    def geojson(self, request: Request) -> Response:
        units = self.filter_queryset(self.get_queryset())
        if not any(request.query_params.get(name) for name in UnitFilter.base_filters):
            units = units.filter(_topmost(request))
        return Response(unit_feature_collection(units))

    @extend_schema(
        summary="Import units from GeoJSON or CSV", request=ImportRequestSerializer, responses=ImportReportSerializer
    )
    @action(detail=False, methods=["post"], url_path="import", parser_classes=[MultiPartParser, FormParser])
    def import_file(self, request: Request) -> Response:
        within = _administered(request)
        fields = _checked(ImportRequestSerializer, request)
        layout = layout_of(fields["file"].name)
        return Response(services.units_import(fields["file"], layout, fields["dry_run"], within).as_dict())

    @extend_schema(summary="Lay a grid over a region", request=GridRequestSerializer, responses={201: CountSerializer})
    @action(detail=True, methods=["post"])
    def grid(self, request: Request, pk: str) -> Response:
        region = get_unit_or_404(request.user, pk, ADMINISTRATOR)
        fields = _checked(GridRequestSerializer, request)
        grids = services.grid_generate(region, fields["cell_m"], fields["dry_run"])
        return Response({"count": len(grids)}, status.HTTP_200_OK if fields["dry_run"] else status.HTTP_201_CREATED)

    def _parent(self, pk: int | None) -> Unit | None:
        if pk is None and self.request.user.is_superuser:
            return None
        return get_unit_or_404(self.request.user, pk or 0, ADMINISTRATOR)

    def _detail(self, unit: Unit, code: int = status.HTTP_200_OK) -> Response:
        data = {**unit_details([unit])[0], "polygon": unit.polygon}
        return Response(UnitDetailSerializer(data).data, code)


@extend_schema_view(
    list=extend_schema(summary="Cameras"),
    retrieve=extend_schema(summary="One camera"),
    create=extend_schema(summary="Add a camera; its grid is computed"),
    partial_update=extend_schema(summary="Change a camera"),
    update=extend_schema(summary="Replace what is known of a camera"),
    destroy=extend_schema(summary="Delete a camera"),
)
class CameraViewSet(viewsets.ModelViewSet):
    """Cameras: place and view cone, clock, status."""

    queryset = Camera.objects.none()
    serializer_class = CameraSerializer
    filterset_class = CameraFilter
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> QuerySet[Camera]:
        return cameras_of(self.request.user).select_related("unit")

    def get_object(self) -> Camera:
        roles = () if self.request.method in ("GET", "HEAD") else (ADMINISTRATOR,)
        return get_camera_or_404(self.request.user, self.kwargs["pk"], *roles)

    def get_serializer(self, *args: Any, **kwargs: Any) -> serializers.BaseSerializer[Any]:
        if args and args[0] is not None:
            rows = args[0] if kwargs.get("many") else [args[0]]
            kwargs["context"] = {**self.get_serializer_context(), "unit_paths": unit_paths(row.unit for row in rows)}
        return super().get_serializer(*args, **kwargs)

    def perform_create(self, serializer: serializers.BaseSerializer[Camera]) -> None:
        within = _administered(self.request)
        self._answer_with(serializer, services.camera_create(within, **serializer.validated_data))

    def perform_update(self, serializer: serializers.BaseSerializer[Camera]) -> None:
        within = _administered(self.request)
        camera = cast(Camera, serializer.instance)
        self._answer_with(serializer, services.camera_update(camera, within, **serializer.validated_data))

    @staticmethod
    def _answer_with(serializer: serializers.BaseSerializer[Camera], camera: Camera) -> None:
        serializer.instance = camera
        cast(dict[str, Any], serializer.context)["unit_paths"] = unit_paths([camera.unit])

    def perform_destroy(self, instance: Camera) -> None:
        services.camera_delete(instance)

    @extend_schema(summary="Cameras for the map", responses=FeatureCollectionSerializer, filters=True)
    @action(detail=False, pagination_class=None)
    def geojson(self, request: Request) -> HttpResponse:
        cameras = cameras_geojson(self.filter_queryset(cameras_of(request.user)))
        return _sent_once(request, HttpResponse(cameras, content_type="application/json"))

    @extend_schema(summary="Import cameras from CSV", request=ImportRequestSerializer, responses=ImportReportSerializer)
    @action(detail=False, methods=["post"], url_path="import", parser_classes=[MultiPartParser, FormParser])
    def import_file(self, request: Request) -> Response:
        within = _administered(request)
        fields = _checked(ImportRequestSerializer, request)
        return Response(services.cameras_import(fields["file"], fields["dry_run"], within).as_dict())


class _UnitDataViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet,
):
    """Rows that hang on a unit: read by who may see the unit, written by its administrators.

    One that is added with the `key` of another takes its place, by the service `add_bulk`.
    """

    lookup_value_regex = r"\d+"
    model: type[SensorReading] | type[Indicator]
    key: tuple[str, ...]
    add_bulk: Callable[[Iterable[dict[str, Any]]], int]

    def get_queryset(self) -> QuerySet[Any]:
        reading = self.request.method in ("GET", "HEAD")
        paths = granted_paths(self.request.user, *(() if reading else (ADMINISTRATOR,)))
        rows = self.model._default_manager.all()
        return rows if paths is None else rows.filter(below(paths, "unit__path"))

    def perform_create(self, serializer: serializers.BaseSerializer[Any]) -> None:
        row = serializer.validated_data
        type(self).add_bulk([row])
        serializer.instance = self.model._default_manager.get(**{name: row[name] for name in self.key})


@extend_schema_view(
    list=extend_schema(summary="Sensor readings"),
    retrieve=extend_schema(summary="One sensor reading"),
    create=extend_schema(summary="Add a reading; one that is there takes the new value"),
    destroy=extend_schema(summary="Delete a reading"),
)
class ReadingViewSet(_UnitDataViewSet):
    """Weather, temperature, footfall, traffic and water quality of units."""

    queryset = SensorReading.objects.none()
    model = SensorReading
    key = ("unit", "kind", "time")
    add_bulk = staticmethod(services.readings_add_bulk)
    serializer_class = ReadingSerializer
    filterset_class = ReadingFilter

    @extend_schema(summary="Add many readings", request=ReadingsSerializer, responses={201: CountSerializer})
    @action(detail=False, methods=["post"])
    def bulk(self, request: Request) -> Response:
        rows = _checked(ReadingsSerializer, request)["readings"]
        wanted = {row["unit"] for row in rows}
        units = units_of(request.user, ADMINISTRATOR).defer("polygon").in_bulk(wanted)
        if len(units) != len(wanted):
            raise Http404(_("There is no such unit."))
        added = services.readings_add_bulk({**row, "unit": units[row["unit"]]} for row in rows)
        return Response({"count": added}, status.HTTP_201_CREATED)


@extend_schema_view(
    list=extend_schema(summary="Government data"),
    retrieve=extend_schema(summary="One government datum"),
    create=extend_schema(summary="Add a government datum; the same indicator and year takes the new value"),
    destroy=extend_schema(summary="Delete a government datum"),
)
class IndicatorViewSet(_UnitDataViewSet):
    """Population, land use and the like of units, by year and source."""

    queryset = Indicator.objects.none()
    model = Indicator
    key = ("unit", "indicator", "year")
    add_bulk = staticmethod(services.indicators_add_bulk)
    serializer_class = IndicatorSerializer
    filterset_class = IndicatorFilter


@extend_schema_view(
    list=extend_schema(summary="Who has which role in the units you administer"),
    retrieve=extend_schema(summary="One membership"),
)
class MembershipViewSet(viewsets.ReadOnlyModelViewSet):
    """Memberships, to be read by administrators of the unit."""

    queryset = Membership.objects.none()
    serializer_class = MembershipSerializer
    filterset_class = MembershipFilter
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> QuerySet[Membership]:
        paths = granted_paths(self.request.user, ADMINISTRATOR)
        rows = Membership.objects.select_related("user", "unit").order_by("unit__path", "role", "user__username")
        return rows if paths is None else rows.filter(below(paths, "unit__path"))


class BasemapView(APIView):
    """Landmarks (areas) and roads (lines) that the map is drawn on."""

    @extend_schema(
        operation_id="basemap",
        summary="Base map",
        parameters=[OpenApiParameter("bbox", OpenApiTypes.STR, description="west,south,east,north in degrees")],
        responses=FeatureCollectionSerializer,
    )
    def get(self, request: Request) -> Response:
        box = request.query_params.get("bbox")
        response = Response(basemap(check_bbox(box) if box else None))
        patch_cache_control(response, private=True, max_age=60)
        return response
