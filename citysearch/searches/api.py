"""Searches over REST: start, follow, read hits and path, stop, judge, run again. Errors have errors.py's one shape."""

from __future__ import annotations

import io
from typing import Any, cast
from uuid import UUID

from django.contrib.auth import authenticate
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, PolymorphicProxySerializer, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from citysearch.errors import ServiceError
from citysearch.gallery.access import get_crop_or_404
from citysearch.gallery.api import PICTURE_SECONDS
from citysearch.searches import queries, services
from citysearch.searches.access import SEARCHERS, get_search_or_404, get_searchable_unit_or_404, searches_of, user_pk
from citysearch.searches.explanations import explanation
from citysearch.searches.gaps import gaps_of, reach_of_last
from citysearch.searches.models import Search
from citysearch.searches.photos import photo_file, photo_look, photo_part
from citysearch.searches.preview import Scope, search_preview
from citysearch.searches.refusals import SearchRefused
from citysearch.searches.serializers import (
    VERDICTS_AT_ONCE,
    ExplanationQuerySerializer,
    GapSerializer,
    HitsPageSerializer,
    HitsQuerySerializer,
    JudgedSerializer,
    PhotoLookSerializer,
    PhotoQuerySerializer,
    PhotoSeenSerializer,
    PreviewSerializer,
    ProblemSerializer,
    ReachQuerySerializer,
    ReachSerializer,
    ScopeSerializer,
    SearchFilterSerializer,
    SearchSerializer,
    SearchStartSerializer,
    TokenRequestSerializer,
    TokenSerializer,
    TrajectorySerializer,
    VerdictGivenSerializer,
    VerdictSerializer,
)
from citysearch.tokens import token_expiry, token_issue
from units.access import roles_of
from units.models import Unit

NOT_FOUND = OpenApiResponse(ProblemSerializer, description="No such search, or none of yours.")
REFUSED = OpenApiResponse(ProblemSerializer, description="What was wrong, by field.")
CONFLICT = OpenApiResponse(ProblemSerializer, description="The search is not in a state for this.")
UNAVAILABLE = OpenApiResponse(ProblemSerializer, description="Something this needs is not there just now.")

PAGE = OpenApiParameter("page", int, description="From 1.")
PAGE_SIZE = OpenApiParameter("page_size", int, description="At most 2000.")


class SearchViewSet(viewsets.GenericViewSet):
    """A search from photo to path."""

    queryset = Search.objects.none()
    serializer_class = SearchSerializer
    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[Search]:
        return queries.with_state(searches_of(self.request.user))

    @extend_schema(
        summary="Searches, newest first",
        parameters=[SearchFilterSerializer],
        responses={200: SearchSerializer(many=True), 400: REFUSED, 404: NOT_FOUND},
    )
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(_narrowed(self.get_queryset(), request))
        return self.get_paginated_response(queries.search_list(page or []))

    @extend_schema(
        summary="Start a search",
        request={"multipart/form-data": SearchStartSerializer},
        responses={202: SearchSerializer, 400: REFUSED, 404: NOT_FOUND, 409: CONFLICT, 503: UNAVAILABLE},
    )
    def create(self, request: Request) -> Response:
        given = _checked(SearchStartSerializer, request.data)
        unit = _unit(request, given.pop("unit"))
        files = [photo.read() for photo in given.pop("photos")]
        return self._started(services.search_start(request.user, unit, files, **given))

    @extend_schema(
        summary="What a search would look at",
        description="Cameras, crops and the times in which the sensor conditions hold, before anything is started.",
        request=ScopeSerializer,
        responses={200: PreviewSerializer, 400: REFUSED, 404: NOT_FOUND},
    )
    def preview(self, request: Request) -> Response:
        given = _checked(ScopeSerializer, request.data)
        unit, area = services.scope_of(request.user, _unit(request, given["unit"]), given["area"])
        period = (given["period_from"], given["period_to"])
        services.check_period(*period)
        return Response(search_preview(Scope(unit, area, period, given.get("conditions", ()))))

    @extend_schema(summary="State, stage, counts, coverage, timings", responses={200: SearchSerializer, 404: NOT_FOUND})
    def retrieve(self, request: Request, pk: UUID) -> Response:
        return Response(queries.search_state(self._one(pk)))

    @extend_schema(
        summary="Hits",
        description="Hits of all finished parts, merged; while the search runs, more of them may come in between.",
        parameters=[HitsQuerySerializer, PAGE, PAGE_SIZE],
        responses={200: HitsPageSerializer, 400: REFUSED, 404: NOT_FOUND},
    )
    def hits(self, request: Request, pk: UUID) -> Response:
        search = get_search_or_404(request.user, pk)
        found = queries.hits(search, **_checked(HitsQuerySerializer, request.query_params))
        page = self.paginate_queryset(cast(Any, found))
        response = self.get_paginated_response(page)
        response.data |= {"state": search.state, "sightings": found.sightings, "crops": found.crops}
        return response

    @extend_schema(
        summary="The path as GeoJSON",
        responses={(200, "application/geo+json"): TrajectorySerializer, 404: NOT_FOUND},
    )
    def trajectory(self, request: Request, pk: UUID) -> JsonResponse:
        search = get_search_or_404(request.user, pk)
        return JsonResponse(queries.trajectory_geojson(search), content_type="application/geo+json")

    @extend_schema(
        summary="The gaps of the path",
        description="Per leg the cameras that could have been passed and were searched without a hit, nearest first.",
        responses={200: GapSerializer(many=True), 404: NOT_FOUND},
    )
    def gaps(self, request: Request, pk: UUID) -> Response:
        return Response(gaps_of(get_search_or_404(request.user, pk)))

    @extend_schema(
        summary="Where the path may lead",
        description="What can be reached from the last sighting in so many minutes, with the searched cameras inside.",
        parameters=[ReachQuerySerializer],
        responses={(200, "application/geo+json"): ReachSerializer, 400: REFUSED, 404: NOT_FOUND, 409: CONFLICT},
    )
    def reach(self, request: Request, pk: UUID) -> JsonResponse:
        search = get_search_or_404(request.user, pk)
        feature = reach_of_last(search, **_checked(ReachQuerySerializer, request.query_params))
        return JsonResponse(feature, content_type="application/geo+json")

    @extend_schema(
        summary="Stop; what was found stays",
        request=None,
        responses={202: SearchSerializer, 404: NOT_FOUND, 409: CONFLICT},
    )
    def cancel(self, request: Request, pk: UUID) -> Response:
        services.search_cancel(get_search_or_404(request.user, pk))
        return Response(queries.search_state(self._one(pk)), status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="Run the same search once more, over today's gallery and model",
        request=None,
        responses={202: SearchSerializer, 400: REFUSED, 404: NOT_FOUND, 409: CONFLICT, 503: UNAVAILABLE},
    )
    def rerun(self, request: Request, pk: UUID) -> Response:
        return self._started(services.search_rerun(get_search_or_404(request.user, pk), request.user))

    @extend_schema(summary="The verdicts that count", responses={200: VerdictSerializer(many=True), 404: NOT_FOUND})
    def verdicts(self, request: Request, pk: UUID) -> Response:
        return Response(queries.verdicts_latest(get_search_or_404(request.user, pk)))

    @extend_schema(
        summary="Confirm or reject crops; scores and draws again",
        description="One verdict, or a list of them. `rescoring` of the answer turns false once hits and path are new; "
        "`replaced` is what takes the verdicts back.",
        request=PolymorphicProxySerializer(
            "VerdictsGiven",
            [VerdictGivenSerializer, VerdictGivenSerializer(many=True)],
            resource_type_field_name=None,
            many=False,
        ),
        responses={202: JudgedSerializer, 400: REFUSED, 404: NOT_FOUND, 409: CONFLICT},
    )
    def verdicts_give(self, request: Request, pk: UUID) -> Response:
        search = get_search_or_404(request.user, pk)
        given = _verdicts(request.data)
        before = queries.verdicts_standing(search, [row["crop"] for row in given])
        services.verdicts_add(search, request.user, [(row["crop"], row["verdict"]) for row in given])
        state = queries.search_state(self._one(pk))
        return Response(state | {"replaced": before}, status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="A photo of the search, without metadata",
        parameters=[
            OpenApiParameter("position", {"type": "integer", "minimum": 0}, OpenApiParameter.PATH),
            OpenApiParameter("boxed", bool, description="Only the part that is compared."),
        ],
        responses={(200, "image/png"): OpenApiTypes.BINARY, (200, "image/jpeg"): OpenApiTypes.BINARY, 404: NOT_FOUND},
    )
    def photo(self, request: Request, pk: UUID, position: int) -> FileResponse:
        photo = get_search_or_404(request.user, pk).photos.filter(position=position).first()
        if photo is None or not photo_file(photo).is_file():
            raise Http404
        boxed = _checked(PhotoQuerySerializer, request.query_params)["boxed"] and photo.box
        response = FileResponse(io.BytesIO(photo_part(photo)) if boxed else photo_file(photo).open("rb"))
        response["Cache-Control"] = "private, max-age=3600"
        return response

    @extend_schema(
        summary="Which regions of photo and hit carried the distance between them, as an overlay",
        description="Photo, its map, the hit's map and the hit, side by side. Red drives apart, blue holds together. "
        "Drawn by a worker the first time; 503 says to try again.",
        parameters=[
            OpenApiParameter("crop", {"type": "integer", "minimum": 1}, OpenApiParameter.PATH),
            OpenApiParameter("photo", int, description="Position of the photo, from 0."),
        ],
        responses={(200, "image/png"): OpenApiTypes.BINARY, 400: REFUSED, 404: NOT_FOUND, 503: UNAVAILABLE},
    )
    def explanation(self, request: Request, pk: UUID, crop: int) -> HttpResponse:
        search, shown = get_search_or_404(request.user, pk), get_crop_or_404(request.user, crop)
        if not search.candidates.filter(crop=shown).exists():
            raise Http404
        position = _checked(ExplanationQuerySerializer, request.query_params)["photo"]
        response = HttpResponse(explanation(search, shown, position, request.user), content_type="image/png")
        response["X-Content-Type-Options"] = "nosniff"
        patch_cache_control(response, private=True, max_age=PICTURE_SECONDS)
        return response

    def _one(self, pk: UUID) -> Search:
        search = self.get_queryset().filter(pk=pk).first()
        if search is None:
            raise Http404(_("There is no such search."))
        return search

    def _started(self, search: Search) -> Response:
        headers = {"Location": reverse("search-detail", args=[search.pk])}
        return Response(queries.search_state(self._one(search.pk)), status.HTTP_202_ACCEPTED, headers=headers)


class PhotoLookView(APIView):
    """A photo before it is searched with; nothing of it is kept."""

    parser_classes = [MultiPartParser]

    @extend_schema(
        summary="Look at a photo before a search: its quality, and boxes of the people on it",
        description="Nothing is kept. `people` are proposals of OpenCV's people detector.",
        request={"multipart/form-data": PhotoLookSerializer},
        responses={200: PhotoSeenSerializer, 400: REFUSED, 404: NOT_FOUND},
    )
    def post(self, request: Request) -> Response:
        if not roles_of(request.user) & set(SEARCHERS):
            raise Http404
        given = _checked(PhotoLookSerializer, request.data)
        return Response(photo_look(given["photo"].read(), given["box"]))


class TokenView(APIView):
    """A token for scripts: send it as `Authorization: Token ...`; it is refused after TOKEN_DAYS."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    parser_classes = [JSONParser, FormParser, MultiPartParser]

    @extend_schema(
        summary="A token for name and password",
        request=TokenRequestSerializer,
        responses={
            200: TokenSerializer,
            400: REFUSED,
            429: OpenApiResponse(ProblemSerializer, description="Locked out."),
        },
    )
    def post(self, request: Request) -> Response:
        given = _checked(TokenRequestSerializer, request.data)
        user = authenticate(request=request, **given)
        if user is None:
            raise _not_logged_in(request)
        token = token_issue(user)
        return Response({"expires_at": token_expiry(token).isoformat(), "token": token.key})


def _not_logged_in(request: Request) -> ServiceError:
    """After too many failures the address is locked out for a while, whatever the password."""
    if getattr(request, "axes_locked_out", False):
        return SearchRefused("locked_out", _("Too many failed attempts. Try again later."), status=429)
    return SearchRefused("bad_credentials", _("Name or password is wrong."))


def _unit(request: Request, key: str | None) -> Unit | None:
    return get_searchable_unit_or_404(request.user, key) if key else None


def _checked(kind: type[serializers.Serializer], data: Any) -> dict[str, Any]:
    serializer = kind(data=data)
    serializer.is_valid(raise_exception=True)
    return cast(dict[str, Any], serializer.validated_data)


def _verdicts(data: Any) -> list[dict[str, Any]]:
    """One verdict, a list of them, or such a list under the name `verdicts`."""
    if isinstance(data, dict) and isinstance(data.get("verdicts"), list):
        data = data["verdicts"]
    many = isinstance(data, list)
    options: dict[str, Any] = {"many": True, "min_length": 1, "max_length": VERDICTS_AT_ONCE} if many else {}
    serializer = VerdictGivenSerializer(data=data, **options)
    if not serializer.is_valid():
        errors = serializer.errors
        raise serializers.ValidationError({"verdicts": errors} if many else errors)
    return list(serializer.validated_data) if many else [serializer.validated_data]


def _narrowed(searches: QuerySet[Search], request: Request) -> QuerySet[Search]:
    wanted = _checked(SearchFilterSerializer, request.query_params)
    if wanted["mine"]:
        searches = searches.filter(user_id=user_pk(request.user))
    if "unit" in wanted:
        searches = searches.filter(unit=get_searchable_unit_or_404(request.user, wanted["unit"]))
    same = {name: wanted[name] for name in ("case", "state") if name in wanted}
    return searches.filter(**same)
