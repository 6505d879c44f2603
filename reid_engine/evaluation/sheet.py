"""The contact sheet: the queries that went worst, each with its nearest crops, right ones framed green, others red."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..data.loaders import crop_of
from ..data.records import Record
from ..messages import gettext as _
from .drawing import chinese_font, drawable
from .evaluate import Study
from .names import DIFF_ATTENTION

WORST = 20
COLUMNS = 2
CROP = (64, 128)
GAP, FRAME, LINE, MARGIN = 6, 3, 22, 28
INK, SOFT, GREEN, RED, PAPER = "#1f2933", "#66727f", "#2a8f6a", "#c8553d", "#ffffff"


def write_sheet(path: Path, study: Study, count: int = WORST) -> Path:
    """Draws the `count` queries of the lowest average precision under diff attention, worst first."""
    with drawable():
        strips = [_strip(study, query, ap, rank) for query, ap, rank in worst(study, count)]
        _pasted(strips, study).save(path, format="PNG", optimize=True)
    return path


def worst(study: Study, count: int = WORST) -> list[tuple[int, float, int]]:
    """(number of the query, average precision, rank of its first right crop), lowest precision first."""
    found = study.observed[DIFF_ATTENTION]
    numbers = np.flatnonzero(found.valid)
    order = np.argsort(found.scores.ap, kind="stable")[:count]
    return [(int(numbers[at]), float(found.scores.ap[at]), int(found.scores.first_rank[at])) for at in order]


def _strip(study: Study, query: int, ap: float, rank: int) -> Image.Image:
    """One query: a line of words, then its picture and its nearest crops."""
    found, record = study.observed[DIFF_ATTENTION], study.dataset.query[query]
    rows = [int(row) for row in found.nearest[query] if row >= 0]
    wide, tall = CROP[0] + GAP, CROP[1] + 2 * FRAME
    strip = Image.new("RGB", (wide * (found.nearest.shape[1] + 1) + 3 * GAP, tall + LINE), PAPER)
    said = _("person %(person_id)s, camera %(camera_id)s: first right crop at rank %(rank)s, AP %(ap).1f %%") % {
        "person_id": record.person_id,
        "camera_id": record.camera_id,
        "rank": rank,
        "ap": 100 * ap,
    }
    _write(ImageDraw.Draw(strip), (FRAME, 2), said, INK, 13)
    _paste(strip, record, 0, None)
    for place, row in enumerate(rows):
        crop = study.dataset.gallery[row]
        _paste(strip, crop, 3 * GAP + wide * (place + 1), crop.person_id == record.person_id)
    return strip


def _paste(strip: Image.Image, record: Record, left: int, right: bool | None) -> None:
    """The record's crop at this column, framed by whether it is right (None: the query itself)."""
    colour = INK if right is None else GREEN if right else RED
    box = (left, LINE, left + CROP[0] + 2 * FRAME - 1, LINE + CROP[1] + 2 * FRAME - 1)
    ImageDraw.Draw(strip).rectangle(box, fill=colour)
    strip.paste(crop_of(record).resize(CROP, Image.Resampling.BICUBIC), (left + FRAME, LINE + FRAME))


def _pasted(strips: list[Image.Image], study: Study) -> Image.Image:
    """All strips below a heading, in COLUMNS columns, read downwards."""
    head, rows = 64, -(-len(strips) // COLUMNS)
    wide, tall = (max((strip.size[at] for strip in strips), default=400) + MARGIN for at in (0, 1))
    tall += GAP - MARGIN + 8
    sheet = Image.new("RGB", (wide * min(COLUMNS, max(1, len(strips))) + MARGIN, head + tall * rows + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    title = _("The %(strips)s worst queries of %(dataset)s")
    _write(draw, (MARGIN, 18), title % {"strips": len(strips), "dataset": study.report.dataset}, INK, 20)
    note = _("left the query, then its nearest crops by diff attention: green the same person, red another one")
    _write(draw, (MARGIN, 44), note, SOFT, 12)
    for at, strip in enumerate(strips):
        sheet.paste(strip, (MARGIN + wide * (at // rows), head + 12 + tall * (at % rows)))
    return sheet


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], words: str, colour: str, size: int) -> None:
    """Pillow's own font has Latin letters only."""
    chinese = None if words.isascii() else chinese_font()
    draw.text(place, words, colour, ImageFont.truetype(chinese, size) if chinese else ImageFont.load_default(size))
