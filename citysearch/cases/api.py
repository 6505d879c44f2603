"""Evidence of a search over REST: what is kept, the originals, the export. All of it is logged."""

from __future__ import annotations

from typing import IO, Any
from uuid import UUID

from django.http import FileResponse
from django.http.response import HttpResponseBase
from django.utils.text import get_valid_filename
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from citysearch.cases import approving, holding, queries, services
from citysearch.cases.access import check_supervises
from citysearch.cases.serializers import (
    CaseSerializer,
    DecisionSerializer,
    EvidenceGivenSerializer,
    EvidenceSerializer,
    ExportStateSerializer,
    HoldSerializer,
    OriginalSerializer,
    ReasonSerializer,
)
from citysearch.gallery.api import AnyAccept
from citysearch.searches.access import get_search_or_404
from citysearch.searches.api import CONFLICT, NOT_FOUND, REFUSED
from citysearch.searches.models import Search

SUPERVISORS = OpenApiResponse(NOT_FOUND.response, description="You do not supervise the searched unit.")
CROP = OpenApiParameter("crop", {"type": "integer", "minimum": 1}, OpenApiParameter.PATH)


def package_sent(package: IO[bytes], name: str) -> FileResponse:
    """The file as a download that nobody keeps on the way."""
    return FileResponse(package, as_attachment=True, filename=name, headers={"Cache-Control": "no-store"})


def case_file_name(case: str) -> str:
    return get_valid_filename(f"case-{case}.zip")


class EvidenceView(APIView):
    """The hits of a search that are kept for the case."""

    @extend_schema(summary="The hits kept as evidence", responses={200: EvidenceSerializer(many=True), 404: NOT_FOUND})
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(queries.evidence_rows(get_search_or_404(request.user, pk)))

    @extend_schema(
        summary="Keep a hit as evidence",
        request=EvidenceGivenSerializer,
        responses={200: EvidenceSerializer(many=True), 400: REFUSED, 404: NOT_FOUND},
    )
    def post(self, request: Request, pk: UUID) -> Response:
        search = get_search_or_404(request.user, pk)
        given = EvidenceGivenSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        services.evidence_add(search, given.validated_data["crop"], request.user)
        return Response(queries.evidence_rows(search))


class EvidencePieceView(APIView):
    """One hit that is kept."""

    @extend_schema(summary="Keep a hit no longer", parameters=[CROP], responses={204: None, 404: NOT_FOUND})
    def delete(self, request: Request, pk: UUID, crop: int) -> Response:
        services.evidence_remove(get_search_or_404(request.user, pk), crop, request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ExportView(APIView):
    """The evidence as one file."""

    content_negotiation_class = AnyAccept

    @extend_schema(
        summary="Whether you may export the evidence, and which exports wait for your approval",
        responses={(200, "application/json"): ExportStateSerializer, 404: NOT_FOUND},
    )
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(_export_state(request, get_search_or_404(request.user, pk)))

    @extend_schema(
        summary="Export the evidence as a signed ZIP",
        description="Added and confirmed hits with their originals, path, parameters, log lines, a manifest of hashes "
        "and its Ed25519 signature; `manage.py verify_export` checks it. An operator needs a supervisor's approval of "
        "exactly this evidence: without it the answer is 202, and the export is asked for.",
        request=None,
        responses={
            (200, "application/zip"): OpenApiTypes.BINARY,
            (202, "application/json"): ExportStateSerializer,
            404: NOT_FOUND,
            409: CONFLICT,
        },
    )
    def post(self, request: Request, pk: UUID) -> HttpResponseBase:
        search = get_search_or_404(request.user, pk)
        if services.evidence_ask(search, request.user):
            return Response(_export_state(request, search), status.HTTP_202_ACCEPTED)
        return package_sent(services.evidence_export(search, request.user), f"evidence-{str(search.pk)[:8]}.zip")


class CaseExportView(APIView):
    """The evidence of a whole case as one file."""

    content_negotiation_class = AnyAccept

    @extend_schema(
        summary="Export the evidence of a whole case as a signed ZIP",
        description="All searches of the case that you may see and that have evidence, each below "
        "`searches/<short id>/` as in the export of one; their parameters and coverage in `searches.json`, their log "
        "lines in `custody.jsonl`. 409 where there is no evidence, or where a supervisor has yet to approve an "
        "operator's export: he is asked.",
        request=CaseSerializer,
        responses={(200, "application/zip"): OpenApiTypes.BINARY, 400: REFUSED, 409: CONFLICT},
    )
    def post(self, request: Request) -> HttpResponseBase:
        given = CaseSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        case = given.validated_data["case"]
        return package_sent(services.case_export(case, request.user), case_file_name(case))


class OriginalView(APIView):
    """The way to the original picture of a hit."""

    @extend_schema(
        summary="An address of a hit's original picture, for you and a few minutes; the viewing is logged",
        parameters=[CROP],
        request=None,
        responses={
            200: OriginalSerializer,
            404: OpenApiResponse(NOT_FOUND.response, description="No such hit, or none of yours."),
        },
    )
    def post(self, request: Request, pk: UUID, crop: int) -> Response:
        search = get_search_or_404(request.user, pk)
        url, expires_at = services.original_open(search, crop, request.user)
        return Response(OriginalSerializer({"url": url, "expires_at": expires_at}).data)


class HoldView(APIView):
    """The legal hold of a search: while it lasts, evidence and photos outlive retention and erasure."""

    @extend_schema(
        summary="Whether a search is on hold, since when, by whom and why",
        responses={200: HoldSerializer, 404: NOT_FOUND},
    )
    def get(self, request: Request, pk: UUID) -> Response:
        return _held(request, get_search_or_404(request.user, pk))

    @extend_schema(
        summary="Put a search on hold; for supervisors of its unit",
        request=ReasonSerializer,
        responses={200: HoldSerializer, 400: REFUSED, 403: SUPERVISORS, 404: NOT_FOUND, 409: CONFLICT},
    )
    def post(self, request: Request, pk: UUID) -> Response:
        search = get_search_or_404(request.user, pk)
        check_supervises(request.user, search)
        holding.hold_place(search, request.user, _reason(request))
        return _held(request, search)

    @extend_schema(
        summary="Lift the hold of a search; for supervisors of its unit",
        description="The body names the reason, as that of the POST does.",
        request=ReasonSerializer,
        responses={200: HoldSerializer, 400: REFUSED, 403: SUPERVISORS, 404: NOT_FOUND, 409: CONFLICT},
    )
    def delete(self, request: Request, pk: UUID) -> Response:
        search = get_search_or_404(request.user, pk)
        check_supervises(request.user, search)
        holding.hold_lift(search, request.user, _reason(request))
        return _held(request, search)


def _held(request: Request, search: Search) -> Response:
    return Response(HoldSerializer(holding.hold_state(search, request.user)).data)


def _reason(request: Request) -> str:
    given = ReasonSerializer(data=request.data)
    given.is_valid(raise_exception=True)
    return str(given.validated_data["reason"])


class ExportDecisionView(APIView):
    """What a supervisor says to an export that an operator asks for."""

    @extend_schema(
        summary="Approve or refuse an export; for supervisors of the searched unit",
        request=DecisionSerializer,
        responses={200: ExportStateSerializer, 400: REFUSED, 403: SUPERVISORS, 404: NOT_FOUND, 409: CONFLICT},
    )
    def post(self, request: Request, pk: UUID) -> Response:
        search = get_search_or_404(request.user, pk)
        check_supervises(request.user, search)
        given = DecisionSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        said = given.validated_data
        approving.export_decide(search, said["request"], request.user, said["approved"], said["reason"])
        return Response(_export_state(request, search))


def _export_state(request: Request, search: Search) -> dict[str, Any]:
    return dict(ExportStateSerializer(approving.export_state(search, request.user)).data)
