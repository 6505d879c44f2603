"""The evidence of a search as one ZIP that proves its own integrity, and the proof.

report.html, sightings.csv and .json, search.json, trajectory.geojson and .gpx, the original crops and query photos,
custody.jsonl (the log's lines on this search), manifest.json (path, bytes, sha256) and manifest.sig, its Ed25519
signature by this installation's key.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from citysearch.cases.log import entries_of
from citysearch.cases.models import LogEntry
from citysearch.cases.queries import Piece
from citysearch.gallery.files import picture_read, suffix_of
from citysearch.searches.models import Search
from citysearch.searches.photos import photo_file
from citysearch.searches.queries import search_state, trajectory_geojson

CREED = "Appearance match, not identification."
MANIFEST, SIGNATURE, PUBLIC_KEY = "manifest.json", "manifest.sig", "signer.pem"
HIDDEN = ("image", "thumbnail")


def package_zip(search: Search, pieces: Sequence[Piece], entry: LogEntry) -> bytes:
    """The whole package. Files that were erased meanwhile are left out, and the manifest names what is there."""
    files = dict(_files(search, pieces, entry))
    manifest = _manifest(files)
    key = signing_key()
    files |= {MANIFEST: manifest, SIGNATURE: key.sign(manifest), PUBLIC_KEY: public_key_of(key)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for name, data in files.items():
            package.writestr(name, data)
    return buffer.getvalue()


def package_faults(path: Path, public_key: bytes | None = None) -> Iterator[str]:
    """What is wrong with an exported package: altered, missing, extra, cut short, or signed by another key."""
    try:
        with zipfile.ZipFile(path) as package:
            files = {name: package.read(name) for name in package.namelist()}
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        yield f"{path}: {error}"
        return
    yield from _signature_faults(files, public_key or public_key_of(signing_key()))
    yield from _content_faults(files)


def signing_key() -> Ed25519PrivateKey:
    """This installation's key, made at its first use and kept readable for its owner alone."""
    path = Path(settings.VAR_DIR) / "export_key.pem"
    if not path.exists():
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        partial = path.with_suffix(".part")
        partial.touch(mode=0o600)
        partial.write_bytes(Ed25519PrivateKey.generate().private_bytes(*form))
        partial.replace(path)
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} is no Ed25519 key")
    return key


def public_key_of(key: Ed25519PrivateKey) -> bytes:
    """The public half as PEM, for whoever is to check packages elsewhere."""
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(*form)


def _files(search: Search, pieces: Sequence[Piece], entry: LogEntry) -> Iterator[tuple[str, bytes]]:
    named = [piece | {"source": f"crops/{piece['crop']}{suffix_of(piece['image'])}"} for piece in pieces]
    photos = [(f"photos/{photo.position}{photo_file(photo).suffix}", photo) for photo in search.photos.all()]
    state, path = search_state(search), trajectory_geojson(search)
    context = {"search": state, "pieces": named, "photos": [name for name, _photo in photos], "entry": entry}
    shown = [{name: value for name, value in piece.items() if name not in HIDDEN} for piece in named]
    yield "report.html", render_to_string("cases/report.html", context | {"style": _style()}).encode()
    yield "sightings.json", _json({"note": CREED, "sightings": shown})
    yield "sightings.csv", _csv(shown)
    yield "search.json", _json({"note": CREED, **state})
    yield "trajectory.geojson", _json(path)
    yield "trajectory.gpx", _gpx(path)
    yield "custody.jsonl", b"".join(_line(row) for row in entries_of(search.pk))
    for piece in named:
        yield from _picture(piece["source"], piece["image"])
    for name, photo in photos:
        yield from _picture(name, photo.image)


def _style() -> SafeString:
    """The report's style sheet, for the file must stand alone."""
    return mark_safe(Path(str(finders.find("cases/report.css"))).read_text())  # noqa: S308  our own file


def _picture(name: str, image: str) -> Iterator[tuple[str, bytes]]:
    try:
        yield name, picture_read(image)
    except FileNotFoundError:
        return


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str).encode()


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n"


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


def _manifest(files: dict[str, bytes]) -> bytes:
    rows = [{"path": name, "bytes": len(data), "sha256": _sha(data)} for name, data in sorted(files.items())]
    return _json({"note": CREED, "files": rows})


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _signature_faults(files: dict[str, bytes], public_key: bytes) -> Iterator[str]:
    key = serialization.load_pem_public_key(public_key)
    assert isinstance(key, Ed25519PublicKey)
    try:
        key.verify(files.get(SIGNATURE, b""), files.get(MANIFEST, b""))
    except InvalidSignature:
        yield f"{MANIFEST}: not signed by this key"


def _content_faults(files: dict[str, bytes]) -> Iterator[str]:
    try:
        named = {row["path"]: row["sha256"] for row in json.loads(files.get(MANIFEST, b"{}"))["files"]}
    except (ValueError, KeyError, TypeError):
        yield f"{MANIFEST}: missing or unreadable"
        return
    for name, sha256 in named.items():
        if name not in files:
            yield f"{name}: missing"
        elif _sha(files[name]) != sha256:
            yield f"{name}: altered"
    for name in files.keys() - named.keys() - {MANIFEST, SIGNATURE, PUBLIC_KEY}:
        yield f"{name}: not in the manifest"
