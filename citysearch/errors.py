"""Errors of the services, and the one JSON shape in which the API tells them.

{"error": {"code": "...", "message": "...", "fields": {...}}}: code is stable, message is for a person.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from reid_engine.errors import ReidError


class ServiceError(Exception):
    """What a service refuses. `status` is the HTTP status the API answers with; `fields` names the inputs at fault."""

    code = "refused"
    status = 400

    def __init__(self, message: object, fields: dict[str, object] | None = None, **data: object) -> None:
        super().__init__(message)
        self.fields = {name: str(text) for name, text in (fields or {}).items()}
        self.data = data

    @property
    def message(self) -> str:
        return str(self.args[0])


class Conflict(ServiceError):
    """The row is not in a state in which this can be done."""

    code = "conflict"
    status = 409


class Unavailable(ServiceError):
    """Something this needs is not there just now: the broker, the disk, the active model."""

    code = "unavailable"
    status = 503


def error_body(code: str, message: object, fields: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"error": {"code": code, "message": str(message), "fields": fields or {}}}


def api_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER: every error in the one shape, or None for what is a bug (a 500 with a traceback)."""
    if isinstance(error, ServiceError):
        return Response(error_body(error.code, error.message, error.fields), error.status)
    if isinstance(error, ReidError):
        return Response(error_body(error.code, error), 400)
    if isinstance(error, Http404 | PermissionDenied):
        error = exceptions.NotFound()
    response = exception_handler(error, context)
    if response is not None and isinstance(error, exceptions.APIException):
        response.data = _body_of(error)
    return response


def _body_of(error: exceptions.APIException) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        fields = error.detail if isinstance(error.detail, dict) else {"non_field_errors": error.detail}
        return error_body("invalid", exceptions.ValidationError.default_detail, dict(fields))
    return error_body(str(error.default_code), error.detail)
