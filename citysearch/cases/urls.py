"""Addresses of evidence and originals, below /api/v1/."""

from django.urls import URLPattern, URLResolver, path

from citysearch.cases.api import (
    CaseExportView,
    EvidencePieceView,
    EvidenceView,
    ExportDecisionView,
    ExportView,
    HoldView,
    OriginalView,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("cases/export/", CaseExportView.as_view(), name="case-export"),
    path("searches/<uuid:pk>/evidence/", EvidenceView.as_view(), name="search-evidence"),
    path("searches/<uuid:pk>/evidence/<int:crop>/", EvidencePieceView.as_view(), name="search-evidence-piece"),
    path("searches/<uuid:pk>/export/", ExportView.as_view(), name="search-export"),
    path("searches/<uuid:pk>/export/decision/", ExportDecisionView.as_view(), name="search-export-decision"),
    path("searches/<uuid:pk>/hold/", HoldView.as_view(), name="search-hold"),
    path("searches/<uuid:pk>/hits/<int:crop>/original/", OriginalView.as_view(), name="hit-original"),
]
