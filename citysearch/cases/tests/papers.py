"""What a PDF says and draws, read back by another library than the one that wrote it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any, NamedTuple

import pypdfium2
from pypdfium2 import raw


class Stroke(NamedTuple):
    """A drawn path: grey or colour, width (points), number of dashes, and the points it runs through."""

    colour: tuple[int, int, int]
    width: float
    dashes: int
    points: list[tuple[float, float]]


def pdf_pages(data: bytes) -> list[str]:
    """The text of each page, without its line breaks."""
    with pypdfium2.PdfDocument(data) as paper:
        texts = [page.get_textpage().get_text_range() for page in paper]
    return ["".join(text.splitlines()) for text in texts]


def pdf_text(data: bytes) -> str:
    return "".join(pdf_pages(data))


def pdf_strokes(data: bytes) -> list[Stroke]:
    """Every path of all pages, in the order in which it was drawn."""
    with pypdfium2.PdfDocument(data) as paper:
        return [_stroke(one.raw) for page in paper for one in page.get_objects(filter=[raw.FPDF_PAGEOBJ_PATH])]


def _stroke(drawn: Any) -> Stroke:
    red, green, blue, opaque = (ctypes.c_uint() for _ in range(4))
    raw.FPDFPageObj_GetStrokeColor(drawn, red, green, blue, opaque)
    width = ctypes.c_float()
    raw.FPDFPageObj_GetStrokeWidth(drawn, width)
    colour = (red.value, green.value, blue.value)
    return Stroke(colour, round(width.value, 2), raw.FPDFPageObj_GetDashCount(drawn), list(_points(drawn)))


def _points(drawn: Any) -> Iterator[tuple[float, float]]:
    for number in range(raw.FPDFPath_CountSegments(drawn)):
        x, y = ctypes.c_float(), ctypes.c_float()
        raw.FPDFPathSegment_GetPoint(raw.FPDFPath_GetPathSegment(drawn, number), x, y)
        yield x.value, y.value
