"""The PMTiles base map, served in the ranges that its reader asks for (RFC 9110, one range at a time)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

RANGE = re.compile(r"bytes=(\d+)-(\d*)")
CHUNK = 256 * 1024


@login_required
@require_safe
def basemap_tiles(request: HttpRequest) -> HttpResponseBase:
    """The archive that `PMTILES` names, whole or the range asked for; 404 where none is set."""
    path = settings.PMTILES
    if path is None:
        raise Http404
    facts = path.stat()
    first, last = _range(request, facts.st_size)
    if first > last:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{facts.st_size}"})
    response = StreamingHttpResponse(_bytes(path, first, last), content_type="application/vnd.pmtiles")
    response["Content-Length"] = str(last - first + 1)
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
    response["Cache-Control"] = "private, max-age=3600"
    if "Range" in request.headers:
        response.status_code = 206
        response["Content-Range"] = f"bytes {first}-{last}/{facts.st_size}"
    return response


def _range(request: HttpRequest, size: int) -> tuple[int, int]:
    """First and last byte asked for; the first lies behind the last where nothing of it is there."""
    if "Range" not in request.headers:
        return 0, size - 1
    asked = RANGE.fullmatch(request.headers["Range"])
    if asked is None:
        return size, size - 1
    return int(asked[1]), min(int(asked[2] or size), size - 1)


def _bytes(path: Path, first: int, last: int) -> Iterator[bytes]:
    with path.open("rb") as archive:
        archive.seek(first)
        yield from _chunks(archive, last - first + 1)


def _chunks(archive: BinaryIO, left: int) -> Iterator[bytes]:
    while left > 0 and (chunk := archive.read(min(CHUNK, left))):
        left -= len(chunk)
        yield chunk
