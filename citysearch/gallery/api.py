"""Crops and imports over REST. Whatever a user has no right to see is a 404."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser, FormParser, MultiPartParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from citysearch.errors import Conflict, ServiceError
from citysearch.gallery import files, queries, services
from citysearch.gallery.access import crops_of, get_crop_or_404, imports_of, is_administrator
from citysearch.gallery.layouts import camera_map_read
from citysearch.gallery.models import Crop, GalleryImport
from citysearch.gallery.originals import original_check
from citysearch.gallery.serializers import (
    CropQuerySerializer,
    CropSerializer,
    CropUploadSerializer,
    ErasureSerializer,
    GalleryProblemSerializer,
    ImportDetailSerializer,
    ImportSerializer,
    ImportUploadSerializer,
    UploadReportSerializer,
)
from units.access import cameras_of, get_camera_or_404, get_unit_or_404
from units.models import Role
from units.tree import below

NOT_FOUND = OpenApiResponse(GalleryProblemSerializer, description="No such thing, or none of yours.")
REFUSED = OpenApiResponse(GalleryProblemSerializer, description="What was wrong, by field.")
CONFLICT = OpenApiResponse(GalleryProblemSerializer, description="It is not in a state for this.")
ON_HOLD = OpenApiResponse(GalleryProblemSerializer, description="A case holds it as evidence.")
DISK_FULL = OpenApiResponse(GalleryProblemSerializer, description="The disk is full; what was committed is kept.")
PICTURES: dict[Any, Any] = {
    (200, "image/jpeg"): OpenApiTypes.BINARY,
    (200, "image/png"): OpenApiTypes.BINARY,
    (200, "image/webp"): OpenApiTypes.BINARY,
    304: OpenApiResponse(description="The caller has it already (If-None-Match)."),
    404: NOT_FOUND,
}
# Long enough for a page that redraws itself, short enough that an erased picture is soon gone from a browser.
PICTURE_SECONDS = 300


class PictureMissing(ServiceError):
    """The row is there, its file is not."""

    code = "picture_missing"
    status = 404


class AnyAccept(BaseContentNegotiation):
    """An <img> accepts pictures only; an error is told as JSON all the same."""

    def select_parser(self, request: Request, parsers: Any) -> BaseParser:
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


@extend_schema_view(
    retrieve=extend_schema(summary="One crop", responses={200: CropSerializer, 404: NOT_FOUND}),
)
class CropViewSet(mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Crops of the cameras the user works with, oldest first."""

    queryset = Crop.objects.none()
    serializer_class = CropSerializer
    filter_backends: list[Any] = []
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[Crop]:
        return crops_of(self.request.user)

    def get_object(self) -> Crop:
        return get_crop_or_404(self.request.user, self.kwargs["pk"])

    @extend_schema(
        summary="Crops by camera, unit and period",
        parameters=[CropQuerySerializer],
        responses={200: CropSerializer(many=True), 400: REFUSED, 404: NOT_FOUND},
    )
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self._narrowed(request))
        return self.get_paginated_response(CropSerializer(page, many=True).data)

    @extend_schema(
        summary="Erase a crop: picture, features of every model version, candidates",
        responses={200: ErasureSerializer, 404: NOT_FOUND, 409: ON_HOLD, 507: DISK_FULL},
    )
    def destroy(self, request: Request, pk: int) -> Response:
        crop = get_crop_or_404(request.user, pk, Role.ADMINISTRATOR)
        report = services.crops_erase([crop])
        if report.holds:
            raise Conflict(report.holds[crop.pk])
        return Response(report.as_dict())

    def _narrowed(self, request: Request) -> QuerySet[Crop]:
        wanted = _checked(CropQuerySerializer, request.query_params)
        crops = self.get_queryset()
        if "camera" in wanted:
            crops = crops.filter(camera=get_camera_or_404(request.user, wanted["camera"]))
        if "unit" in wanted:
            unit = get_unit_or_404(request.user, wanted["unit"])
            crops = crops.filter(below([unit.path], "camera__unit__path"))
        return queries.crops_between(crops, wanted.get("from"), wanted.get("to"))


class CropImageView(APIView):
    """The picture of a crop, byte for byte as it came in, by a signed address (gallery.originals)."""

    content_negotiation_class = AnyAccept

    @extend_schema(
        summary="The original picture of a crop, by a signed address that expires",
        description="`POST /api/v1/searches/{id}/hits/{crop}/original/` gives the address.",
        parameters=[OpenApiParameter("signature", str, description="Bound to crop and reader.")],
        responses=PICTURES | {403: OpenApiResponse(GalleryProblemSerializer, description="The address has expired.")},
    )
    def get(self, request: Request, pk: int) -> HttpResponseBase:
        crop = get_crop_or_404(request.user, pk)
        original_check(crop, request.user, request.query_params.get("signature", ""))
        return _picture_response(request, crop, "original", lambda: _picture(crop))


class CropThumbnailView(APIView):
    """The picture of a crop, small; drawn anew each time, for a copy on the server would have to be erased too."""

    content_negotiation_class = AnyAccept

    @extend_schema(summary="A small picture of a crop", responses=PICTURES)
    def get(self, request: Request, pk: int) -> HttpResponseBase:
        crop = get_crop_or_404(request.user, pk)
        return _picture_response(request, crop, "small", lambda: files.thumbnail_of(_picture(crop)))


def _picture_response(request: Request, crop: Crop, form: str, read: Callable[[], bytes]) -> HttpResponseBase:
    """A picture the browser may keep for a while, or 304 where it has it already."""
    etag = f'"{crop.sha256}-{form}"'
    response: HttpResponseBase | None = get_conditional_response(request._request, etag=etag)
    if response is None:
        data = read()
        response = HttpResponse(data, content_type=files.picture_type(f"x{files.suffix_by(data)}"))
    response["ETag"] = etag
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Disposition"] = f'inline; filename="crop-{crop.pk}{files.suffix_of(crop.image)}"'
    patch_cache_control(response, private=True, max_age=PICTURE_SECONDS)
    return response


class CameraCropsView(APIView):
    """Pictures into the gallery of one camera."""

    parser_classes = [MultiPartParser]

    @extend_schema(
        summary="Add pictures to a camera",
        description="Up to 100 files. Each gets a result of its own: a broken picture does not stop the others, one "
        "that this camera has already is known. For administrators.",
        request={"multipart/form-data": CropUploadSerializer},
        responses={
            200: UploadReportSerializer,
            201: UploadReportSerializer,
            400: REFUSED,
            404: NOT_FOUND,
            507: DISK_FULL,
        },
    )
    def post(self, request: Request, pk: int) -> Response:
        camera = get_camera_or_404(request.user, pk, Role.ADMINISTRATOR)
        given = _checked(CropUploadSerializer, request.data)
        row, report = services.crops_upload(camera, given["files"], request.user, given.get("captured_at"))
        body = {"gallery_import": row.pk, "added": row.added, "known": row.known, "refused": row.refused}
        made = status.HTTP_201_CREATED if row.added else status.HTTP_200_OK
        return Response(UploadReportSerializer({**body, "results": report.outcomes}).data, made)


@extend_schema_view(
    list=extend_schema(summary="Imports, newest first", responses={200: ImportSerializer(many=True), 404: NOT_FOUND}),
    retrieve=extend_schema(
        summary="One import with its refused pictures", responses={200: ImportDetailSerializer, 404: NOT_FOUND}
    ),
)
class ImportViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Imports that brought crops to the cameras an administrator looks after, and those he started."""

    queryset = GalleryImport.objects.none()
    filter_backends: list[Any] = []
    parser_classes = [MultiPartParser, FormParser]
    lookup_value_converter = "int"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not is_administrator(request.user):
            raise Http404(_("There are no imports for you to see."))

    def get_queryset(self) -> QuerySet[GalleryImport]:
        return imports_of(self.request.user)

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return ImportDetailSerializer if self.action == "retrieve" else ImportSerializer

    @extend_schema(
        summary="Import a ZIP",
        description="Folders named by camera code, or a manifest.csv (path,camera_code,captured_at[,person_id]); with "
        "another layout the pictures of a research set or GA/T 1400 JSON.",
        request={"multipart/form-data": ImportUploadSerializer},
        responses={202: ImportSerializer, 400: REFUSED, 404: NOT_FOUND, 507: DISK_FULL},
    )
    def create(self, request: Request) -> Response:
        given = _checked(ImportUploadSerializer, request.data)
        file, codes = given["file"], cameras_of(request.user, Role.ADMINISTRATOR).values_list("code", flat=True)
        names = camera_map_read(given.get("cameras", ""), codes)
        row = services.import_upload(file.name, file.chunks(), request.user, given["layout"], names)
        return Response(ImportSerializer(row).data, status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="Run an import again that failed, was stopped or killed; it goes on where it stopped",
        request=None,
        responses={202: ImportSerializer, 404: NOT_FOUND, 409: CONFLICT},
    )
    @action(detail=True, methods=["post"])
    def run(self, request: Request, pk: int) -> Response:
        row = services.import_rerun(self.get_object())
        return Response(ImportSerializer(row).data, status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="Stop an import that waits or runs; what was imported so far is kept",
        request=None,
        responses={202: ImportSerializer, 404: NOT_FOUND, 409: CONFLICT},
    )
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: int) -> Response:
        row = services.import_stop(self.get_object())
        return Response(ImportSerializer(row).data, status.HTTP_202_ACCEPTED)


def _checked(serializer: type[BaseSerializer[Any]], data: Any) -> dict[str, Any]:
    checked = serializer(data=data)
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)


def _picture(crop: Crop) -> bytes:
    try:
        return files.picture_read(crop.image)
    except OSError as error:
        raise PictureMissing(_("The picture of this crop is missing on the disk; run verify_store.")) from error
