"""The evidence of a search as a PDF for a file on paper: what report.html says, and the path as map and table.

The same input gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Image, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table

from citysearch.cases.mapping import PathMap, map_parts
from citysearch.cases.models import LogEntry
from citysearch.cases.paper import (
    CODE,
    CREED,
    FOOT,
    HEAD,
    INK,
    LINE,
    MARGIN,
    NAME,
    NOTE,
    PAD,
    SECTION,
    TITLE,
    WIDTH,
    paragraph,
)
from citysearch.cases.queries import Piece
from citysearch.cases.words import (
    clock,
    conflict_words,
    likelihood_number,
    likelihood_words,
    reason_words,
    seen_by,
    seen_from_to,
    verdict_words,
)
from citysearch.gallery.files import picture_read
from reid_engine.errors import BadPhoto
from reid_engine.photo import encode_jpeg, load_crop

LABEL, PICTURE = 92.0, (84.0, 150.0)
# Pixels of a picture on paper; the originals lie beside the report.
PRINTED = (350, 625)

Fact = tuple[str, Sequence[Paragraph]]


@dataclass(frozen=True)
class Report:
    """What is said: the search's state, its evidence, the files of its photos, its path, the log's line on all that.

    `map` is that of the path, None where there is none to draw.
    """

    search: dict[str, Any]
    pieces: Sequence[Piece]
    photos: Sequence[str]
    path: dict[str, Any]
    entry: LogEntry
    map: PathMap | None = None


def report_pdf(report: Report) -> bytes:
    """The report in the language in use. A picture that was erased meanwhile is said to be."""
    buffer = io.BytesIO()
    frame = {"leftMargin": MARGIN, "rightMargin": MARGIN, "topMargin": HEAD, "bottomMargin": FOOT, "pagesize": A4}
    title = f"{_('Evidence')}: {report.search['case']}"
    paper = SimpleDocTemplate(buffer, title=title, author="CitySearch", invariant=1, **frame)
    paper.build(list(_story(report, title)), canvasmaker=partial(_Numbered, report=report))
    return buffer.getvalue()


class _Numbered(Canvas):
    """Pages that say what all this is, and which of how many they are: known once the last one is laid out."""

    def __init__(self, *args: Any, report: Report, **options: Any) -> None:
        super().__init__(*args, **options)
        self._report, self._laid_out = report, list[dict[str, Any]]()

    def showPage(self) -> None:  # noqa: N802  reportlab's name
        self._laid_out.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        pages = self._laid_out
        for number, page in enumerate(pages, start=1):
            self.__dict__.update(page)
            self._edges(number, len(pages))
            super().showPage()
        super().save()

    def _edges(self, number: int, pages: int) -> None:
        creed = paragraph(_("Appearance match, not identification."), CREED)
        foot = _("Search %(search)s, log entry %(line)s · page %(number)s of %(pages)s") % {
            "search": self._report.search["id"], "line": self._report.entry.pk, "number": number, "pages": pages,
        }  # fmt: skip
        box = Table([[creed]], colWidths=[WIDTH], style=[("BOX", (0, 0), (-1, -1), 1.2, INK)], hAlign="LEFT")
        for part, top in ((box, A4[1] - 12 * mm), (paragraph(foot, NAME), 15 * mm)):
            _width, height = part.wrapOn(self, WIDTH, HEAD)
            part.drawOn(self, MARGIN + PAD, top - height)


def _story(report: Report, title: str) -> Iterator[Flowable]:
    yield paragraph(title, TITLE)
    yield _facts(_search_facts(report))
    yield from _photos(report)
    yield paragraph(_("Hits"), SECTION)
    for piece in report.pieces:
        yield _piece(piece)
    yield from _path(report)
    yield from _conflicts(report.path)
    yield Spacer(1, 12)
    yield paragraph(
        _(
            "A likelihood of 0.86 means: of 100 pairs of pictures as alike as these, 86 show the same person. It is a "
            "lead to be checked by a person, never a proof of identity."
        ),
        NAME,
    )


def _search_facts(report: Report) -> list[Fact]:
    search, entry = report.search, report.entry
    started = f"{clock(search['created_at'])}, {search['user']}"
    logged = f"{entry.pk}, {clock(timezone.localtime(entry.time, timezone.get_default_timezone()))}, {entry.user}"
    area = f" ({_('drawn area')})" if search["area"] else ""
    return [
        (_("Case"), [paragraph(search["case"])]),
        (_("Purpose"), [paragraph(search["purpose"])]),
        (_("Search"), [paragraph(search["id"], CODE), paragraph(started)]),
        (_("Unit"), [paragraph(search["unit_path"] + area)]),
        (_("Period"), [paragraph(_period(search["period"]))]),
        (_("Looked at"), _looked_at(search)),
        (_("Model version"), [paragraph(search["model"] or "\u2013")]),
        (_("Log entry"), [paragraph(logged), paragraph(entry.digest, CODE)]),
    ]


def _period(period: dict[str, Any]) -> str:
    if not any(period.values()):
        return _("Everything")
    return " \u2013 ".join(clock(period[end]) if period[end] else "\u2026" for end in ("from", "to"))


def _looked_at(search: dict[str, Any]) -> list[Paragraph]:
    """How much was compared, and which cameras were not, by reason."""
    counts = {name: search["counts"].get(name, 0) for name in ("crops", "cameras")}
    skipped = search["coverage"].get("reasons", {})
    lines = [_("%(crops)s crops of %(cameras)s cameras") % counts]
    lines += [
        _("Cameras left out (%(why)s): %(count)s") % {"count": n, "why": reason_words(why)}
        for why, n in skipped.items()
    ]
    return [paragraph(line) for line in lines]


def _photos(report: Report) -> Iterator[Flowable]:
    """Each query photo with the hash of the file that was sent, and where and when it was taken."""
    yield paragraph(_("Query photos"), SECTION)
    for image, photo in zip(report.photos, report.search["photos"], strict=True):
        said = [paragraph(photo["sha256"], CODE)]
        if photo["taken"]:
            words = _("taken %(time)s at %(longitude)s, %(latitude)s (WGS-84, as the operator said)")
            said.append(paragraph(words % (photo["taken"] | {"time": clock(photo["taken"]["time"])})))
        yield _beside(image, _facts([("SHA-256", said)], PICTURE[0] + 10))


def _piece(piece: Piece) -> Flowable:
    likelihood = _likelihood(piece["likelihood"])
    verdict = verdict_words(piece["verdict"]) + (f" ({piece['verdict_by']})" if piece["verdict_by"] else "")
    own = f"{clock(piece['camera_time'])} ({_('offset %(seconds)s s') % {'seconds': piece['clock_offset_s']}})"
    facts: list[Fact] = [
        (_("Crop"), [paragraph(str(piece["crop"]))]),
        (_("Camera"), [paragraph(f"{piece['camera_name']} \u2013 {piece['camera']}"), paragraph(piece["unit_path"])]),
        (_("Time"), [paragraph(f"{clock(piece['time'])} ± {piece['clock_uncertainty_s']} s")]),
        (_("The camera's own clock"), [paragraph(own)]),
        (_("Likelihood"), [paragraph(likelihood)]),
        (_("Verdict"), [paragraph(verdict)]),
        (_("Added by"), [paragraph(piece["added_by"] or "\u2013")]),
        ("SHA-256", [paragraph(piece["sha256"], CODE)]),
    ]
    return _beside(piece["image"], _facts(facts, PICTURE[0] + 10))


def _path(report: Report) -> Iterator[Flowable]:
    stops = [one["properties"] for one in report.path["features"] if one["properties"]["kind"] == "stop"]
    if stops:
        parts = map_parts(report.map) if report.map else []
        yield KeepTogether([paragraph(_("Path"), SECTION), *parts])
        yield _stops(sorted(stops, key=lambda stop: int(stop["number"])))


def _conflicts(path: dict[str, Any]) -> Iterator[Flowable]:
    """Which confirmed sightings exclude each other, why, and which of them the path keeps."""
    said = conflict_words(path)
    if not said:
        return
    yield paragraph(_("Confirmed sightings that exclude each other"), SECTION)
    yield paragraph(said["note"], NOTE)
    rows = [[paragraph(str(n)), [paragraph(line) for line in pair]] for n, pair in enumerate(said["pairs"], start=1)]
    yield _ruled(rows, [24.0, WIDTH - 24])
    yield paragraph(said["more"], NAME)


def _stops(stops: Sequence[dict[str, Any]]) -> Table:
    names = ("", _("Camera"), _("Time"), _("Likelihood"), _("Verdict"))
    rows = [[paragraph(name, CREED) for name in names]]
    rows += [[paragraph(cell) for cell in _stop(stop)] for stop in stops]
    widths = [24.0, WIDTH - 24 - 160 - 90 - 70, 160.0, 90.0, 70.0]
    return _ruled(rows, widths, repeatRows=1)


def _ruled(rows: list[list[Any]], widths: list[float], **options: Any) -> Table:
    """A line below each row."""
    lines = [("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    return Table(rows, colWidths=widths, style=lines, hAlign="LEFT", **options)


def _stop(stop: dict[str, Any]) -> list[str]:
    """A line of the path: its number, who saw the person, from when to when, how sure, and what people said."""
    seen = stop["camera"]
    likelihood = _likelihood(stop["likelihood"]) if seen else "\u2013"
    verdict = verdict_words(stop["verdict"]) if seen else "\u2013"
    return [str(stop["number"]), seen_by(stop), seen_from_to(stop), likelihood, verdict]


def _facts(facts: Sequence[Fact], taken: float = 0.0) -> Table:
    """Names and what they are, in two columns; `taken` is the width (points) that something beside it needs."""
    rows = [[paragraph(name, NAME), list(said)] for name, said in facts]
    style = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 1),
        ("LEFTPADDING", (0, 0), (0, -1), 0),
    ]
    style.append(("BOTTOMPADDING", (0, 0), (-1, -1), 2))
    return Table(rows, colWidths=[LABEL, WIDTH - LABEL - taken], style=style, hAlign="LEFT")


def _beside(image: str, facts: Table) -> Flowable:
    """A picture with its facts on the right, never torn between two pages."""
    style: list[tuple[Any, ...]] = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
    style += [
        ("RIGHTPADDING", (0, 0), (0, -1), 10),
        ("RIGHTPADDING", (1, 0), (1, -1), 0),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
    ]
    row = [_picture(image), facts]
    return KeepTogether(Table([row], colWidths=[PICTURE[0] + 10, WIDTH - PICTURE[0] - 10], style=style, hAlign="LEFT"))


def _picture(image: str) -> Flowable:
    """A picture of the media folder as it is printed, read and let go at once; words where it is gone or damaged."""
    try:
        shown = load_crop(picture_read(image))
    except (FileNotFoundError, BadPhoto):
        return paragraph(_("The picture is not there any more."), NAME)
    shown.thumbnail(PRINTED)
    scale = min(PICTURE[0] / shown.width, PICTURE[1] / shown.height)
    return Image(io.BytesIO(encode_jpeg(shown, 88)), shown.width * scale, shown.height * scale)


def _likelihood(likelihood: float) -> str:
    return f"{likelihood_words(likelihood)} ({likelihood_number(likelihood)})"
