"""Copies of pictures with what they are written across them, so that nobody takes one for a proof of identity.

Nothing is fetched: the words are drawn with a Chinese font of this machine where it has one of `CHINESE`, else with the
one inside Pillow, which has no Chinese. Then the labels are English, and a line that the font lacks (a case or a name
in Chinese) is left out: number of search and log line, time and, where it is ASCII, user remain and lead to the rest.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from django.utils import timezone, translation
from django.utils.translation import gettext as _
from PIL import Image, ImageDraw, ImageFont

from citysearch.cases.models import LogEntry
from citysearch.cases.words import clock
from reid_engine.photo import load_crop

# File and face of what Linux, Windows and macOS come with; Pillow looks for them where the system keeps its fonts.
CHINESE = (
    ("NotoSansCJK-Regular.ttc", 2), ("NotoSansSC-Regular.otf", 0), ("wqy-microhei.ttc", 0), ("wqy-zenhei.ttc", 0),
    ("DroidSansFallbackFull.ttf", 0), ("msyh.ttc", 0), ("PingFang.ttc", 0),
)  # fmt: skip
FORMATS = {".png": "PNG", ".webp": "WEBP"}
# Pixels: narrower pictures are scaled up to this width, as far as this many pixels in all.
WIDTH, PIXELS = 480, 4_000_000
MISSING = "\U0010ffff"
OPAQUE = 190

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def watermark_lines(entry: LogEntry) -> list[str]:
    """What is drawn across the pictures of an export: what they are, case, who exported them, when, and log line."""
    lines = _lines(entry)
    if all(map(drawable, lines)):
        return lines
    with translation.override("en"):
        return [line for line in _lines(entry) if drawable(line)]


def watermarked(data: bytes, suffix: str, lines: Sequence[str]) -> bytes:
    """The picture with these lines across it again and again, in its own format. Raises BadPhoto for a damaged one."""
    image = _enlarged(load_crop(data))
    block = _block(lines, image.width, min(image.width // 20, image.height // (2 * len(lines) + 4)))
    times = max(1, 2 * image.height // (3 * block.height))
    for n in range(times):
        top = round((n + 0.5) * image.height / times - block.height / 2)
        image.paste(block, (0, top), block)
    buffer = io.BytesIO()
    image.save(buffer, FORMATS.get(suffix, "JPEG"), quality=90)
    return buffer.getvalue()


def drawable(text: str) -> bool:
    """Whether the font at hand has every character: what it lacks looks like any other that it lacks."""
    font = _font(24)
    missing = bytes(font.getmask(MISSING))
    return all(char.isspace() or bytes(font.getmask(char)) != missing for char in text)


def _lines(entry: LogEntry) -> list[str]:
    exported = {"user": entry.user, "time": clock(timezone.localtime(entry.time, timezone.get_default_timezone()))}
    return [
        _("Appearance match, not identification."),
        _("Case %(case)s") % {"case": entry.case},
        _("Exported by %(user)s") % exported,
        exported["time"],
        _("Search %(search)s, log entry %(line)s") % {"search": str(entry.search)[:8], "line": entry.pk},
    ]


@lru_cache(maxsize=16)
def _font(size: int) -> Font:
    for name, face in CHINESE:
        try:
            return ImageFont.truetype(name, size, face)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _enlarged(image: Image.Image) -> Image.Image:
    """The picture, wide enough for words that can be read."""
    scale = min(WIDTH / image.width, (PIXELS / (image.width * image.height)) ** 0.5)
    if scale <= 1:
        return image
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def _block(lines: Sequence[str], width: int, size: int) -> Image.Image:
    """The lines, white with a black edge: to be read on light and on dark; the picture shows through a little."""
    font, room = _font(max(10, size)), width - size
    text = "\n".join(part for line in lines for part in _wrapped(line, font, room))
    style: dict[str, Any] = {"font": font, "spacing": size // 4, "stroke_width": max(2, size // 8), "align": "center"}
    _left, _top, _right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text, **style)
    block = Image.new("RGBA", (width, int(bottom) + size // 2))
    place, fill, edge = (width / 2, size / 4), (255, 255, 255, OPAQUE), (0, 0, 0, OPAQUE)
    ImageDraw.Draw(block).multiline_text(place, text, fill=fill, stroke_fill=edge, anchor="ma", **style)
    return block


def _wrapped(line: str, font: Font, width: int) -> Iterator[str]:
    """The line in parts that are no wider, at a space where that leaves no half of a line empty."""
    while len(line) > 1 and font.getlength(line) > width:
        fits = [n for n in range(1, len(line)) if font.getlength(line[:n]) <= width]
        cut = max(fits, default=1)
        cut = max(line.rfind(" ", cut // 2, cut + 1), 0) or cut
        yield line[:cut].rstrip()
        line = line[cut:].lstrip()
    yield line
