"""Model versions over REST, to be read by researchers and administrators. Everybody else finds nothing there."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers, viewsets
from rest_framework.request import Request

from citysearch.research.access import may_read, versions_of
from citysearch.research.models import ModelVersion
from citysearch.research.queries import headline


class FiguresSerializer(serializers.Serializer):
    """Rank-1, mAP and mINP of the bundle's validation, 0..1."""

    rank1 = serializers.FloatField(required=False)
    mean_ap = serializers.FloatField(required=False)
    mean_inp = serializers.FloatField(required=False)


class ModelVersionSerializer(serializers.ModelSerializer):
    figures = serializers.SerializerMethodField()

    class Meta:
        model = ModelVersion
        fields = [
            "id",
            "name",
            "sha256",
            "dim",
            "backbone",
            "state",
            "figures",
            "metrics",
            "created_at",
            "activated_at",
        ]
        read_only_fields = fields

    @extend_schema_field(FiguresSerializer)
    def get_figures(self, version: ModelVersion) -> dict[str, float]:
        return headline(version)


@extend_schema_view(
    list=extend_schema(summary="Model versions, newest first"),
    retrieve=extend_schema(summary="One model version"),
)
class ModelVersionViewSet(viewsets.ReadOnlyModelViewSet):
    """Registered bundles: which backbone, how good, which one searches use."""

    queryset = ModelVersion.objects.all()
    serializer_class = ModelVersionSerializer
    filterset_fields = ["state", "backbone"]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not may_read(request.user):
            raise Http404(_("There are no model versions for you to see."))

    def get_queryset(self) -> QuerySet[ModelVersion]:
        return versions_of(self.request.user)
