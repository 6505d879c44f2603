"""How much of a request is read at all."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _

from citysearch.errors import error_body

UPLOAD = "multipart/form-data"


class BodyLimit:
    """Refuses a body that would be held in memory and is longer than DATA_UPLOAD_MAX_MEMORY_SIZE, before it is read.

    Django asks this of its own forms only; the API's parsers would read on, for anybody, login or not. Uploads are
    not held in memory and have limits of their own.
    """

    def __init__(self, answer: Callable[[HttpRequest], HttpResponse]) -> None:
        self.answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponse:
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if request.content_type == UPLOAD or _length(request) <= most:
            return self.answer(request)
        return JsonResponse(error_body("too_large", _("More than %(most)d bytes.") % {"most": most}), status=413)


def _length(request: HttpRequest) -> int:
    """The length that is stated; without one the server reads nothing."""
    text = request.META.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isdecimal() else 0
