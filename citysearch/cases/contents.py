"""The files of an exported package: what is known of a search, as people and as programs read it.

report.html and the same for paper as report.pdf (with the path as map and table), sightings.csv and .json, search.json,
trajectory.geojson and .gpx, the original crops and query photos byte for byte, watermarked copies of them under the
same names, and custody.jsonl (the log's lines on this search). Of a case the same for each search below searches/, but
one searches.json for them all, and one custody.jsonl.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from citysearch.cases.log import entries_of
from citysearch.cases.mapping import path_map
from citysearch.cases.models import LogEntry
from citysearch.cases.queries import Piece
from citysearch.cases.report import Report, report_pdf
from citysearch.cases.watermark import watermark_lines, watermarked
from citysearch.cases.words import conflict_words
from citysearch.gallery.files import picture_read, suffix_of
from citysearch.searches.models import Search
from citysearch.searches.photos import photo_file
from citysearch.searches.queries import search_state, trajectory_geojson
from reid_engine.errors import BadPhoto

CREED = "Appearance match, not identification."
HIDDEN = ("image", "thumbnail")

File = tuple[str, bytes]
Exported = tuple[Search, Sequence[Piece], LogEntry]


def search_files(search: Search, pieces: Sequence[Piece], entry: LogEntry) -> Iterator[File]:
    """All files on one search: what is known of it, the pictures, its parameters and its log."""
    yield from evidence_files(search, pieces, entry)
    yield "search.json", as_json({"note": CREED, **search_state(search)})
    yield "custody.jsonl", b"".join(json_line(row) for row in entries_of(search.pk))


def case_files(case: str, exported: Sequence[Exported]) -> Iterator[File]:
    """All files on the searches of a case, each search in a folder of its own, and what they have in common."""
    folders = [f"searches/{name}" for name in short_names([search for search, _pieces, _entry in exported])]
    for folder, (search, pieces, entry) in zip(folders, exported, strict=True):
        for name, data in evidence_files(search, pieces, entry):
            yield f"{folder}/{name}", data
    states = [search_state(search) for search, _pieces, _entry in exported]
    named = [{"folder": folder, **state} for folder, state in zip(folders, states, strict=True)]
    yield "searches.json", as_json({"note": CREED, "case": case, "searches": named})
    lines = [line for search, _pieces, _entry in exported for line in entries_of(search.pk)]
    yield "custody.jsonl", b"".join(map(json_line, sorted(lines, key=itemgetter("time"))))


def short_names(searches: Sequence[Search]) -> list[str]:
    """The beginnings of the searches' ids, or whole ids where two begin alike."""
    short = [str(search.pk)[:8] for search in searches]
    return short if len(set(short)) == len(short) else [str(search.pk) for search in searches]


def evidence_files(search: Search, pieces: Sequence[Piece], entry: LogEntry) -> Iterator[File]:
    """Report, hits, path and pictures of one search, one after the other."""
    named = [piece | {"source": f"crops/{piece['crop']}{suffix_of(piece['image'])}"} for piece in pieces]
    photos = [(f"photos/{photo.position}{photo_file(photo).suffix}", photo.image) for photo in search.photos.all()]
    path = trajectory_geojson(search)
    context: dict[str, Any] = {
        "search": search_state(search),
        "pieces": named,
        "photos": [name for name, _i in photos],
        "entry": entry,
        "conflicts": conflict_words(path),
    }
    report = Report(context["search"], pieces, [image for _n, image in photos], path, entry, path_map(search, path))
    shown = [{name: value for name, value in piece.items() if name not in HIDDEN} for piece in named]
    yield "report.html", render_to_string("cases/report.html", context | {"style": _style()}).encode()
    yield "report.pdf", report_pdf(report)
    yield "sightings.json", as_json({"note": CREED, "sightings": shown})
    yield "sightings.csv", _csv(shown)
    yield "trajectory.geojson", as_json(path)
    yield "trajectory.gpx", _gpx(path)
    yield from _pictures([(piece["source"], piece["image"]) for piece in named] + photos, watermark_lines(entry))


def as_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str).encode()


def json_line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n"


def _style() -> SafeString:
    """The report's style sheet, for the file must stand alone."""
    return mark_safe(Path(str(finders.find("cases/report.css"))).read_text())  # noqa: S308  our own file


def _pictures(pictures: Sequence[tuple[str, str]], words: Sequence[str]) -> Iterator[File]:
    """Each original and its watermarked copy; without the erased ones, and without a copy of what no longer opens."""
    for name, image in pictures:
        try:
            data = picture_read(image)
            yield name, data
            yield f"watermarked/{name}", watermarked(data, suffix_of(name), words)
        except (FileNotFoundError, BadPhoto):
            continue


def _csv(rows: Sequence[dict[str, Any]]) -> bytes:
    """With a byte order mark: spreadsheets take Chinese names for Latin without one."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula is quoted."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _gpx(path: dict[str, Any]) -> bytes:
    """The stops as GPX 1.1 way points, in the order of the path."""
    root = ElementTree.Element("gpx", version="1.1", creator="CitySearch", xmlns="http://www.topografix.com/GPX/1/1")
    stops = [one for one in path["features"] if one["properties"]["kind"] == "stop"]
    for stop in sorted(stops, key=lambda one: one["properties"]["number"]):
        longitude, latitude = stop["geometry"]["coordinates"]
        point = ElementTree.SubElement(root, "wpt", lat=str(latitude), lon=str(longitude))
        seen = stop["properties"]
        name = seen["camera"]["name"] if seen["camera"] else f"Query photo {seen['photo'] + 1}"
        for tag, text in (("time", seen["start"]), ("name", name), ("desc", CREED)):
            ElementTree.SubElement(point, tag).text = text
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
