"""The sample photos, for those who are logged in."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest
from django.views.decorators.http import require_safe

from citysearch.demo.facts import facts_read, samples_folder


@require_safe
@login_required
def sample(request: HttpRequest, name: str) -> FileResponse:
    """One sample photo; only the files the demo city names exist here."""
    facts = facts_read()
    if facts is None or name not in {sample.file for sample in facts.samples}:
        raise Http404
    try:
        return FileResponse((samples_folder() / name).open("rb"), content_type="image/jpeg")
    except FileNotFoundError as error:
        raise Http404 from error
