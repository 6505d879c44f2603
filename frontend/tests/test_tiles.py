"""A PMTiles base map: served in ranges to who is logged in, drawn by the page under its strict policy."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from frontend.tests.test_browser import until_true

pytestmark = [pytest.mark.django_db(transaction=True)]
SEA = (128, 222, 234)  # the water of the library's light flavour: #80deea


def varint(value: int) -> bytes:
    head = bytearray()
    while value > 0x7F:
        head.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*head, value])


def field(number: int, value: int | bytes) -> bytes:
    """A protobuf field: a number, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def water_tile() -> bytes:
    """A vector tile that is water all over: one layer, one square of 4096 (Mapbox Vector Tile 2.1)."""
    side = 4096 << 1
    commands = [9, 0, 0, 26, side, 0, 0, side, side - 1, 0, 15]
    feature = field(3, 3) + field(4, b"".join(map(varint, commands)))
    layer = field(1, b"water") + field(2, feature) + field(5, 4096) + field(15, 2)
    return field(3, layer)


@pytest.fixture
def archive(tmp_path: Path, settings: Any) -> bytes:
    """A PMTiles archive of version 3, uncompressed: one tile that stands for all five of zooms 0 and 1."""
    tile = water_tile()
    directory = b"".join(map(varint, [1, 0, 5, len(tile), 1]))
    meta = b"{}"
    tiles_at = 127 + len(directory) + len(meta)
    sections = (127, len(directory), 127 + len(directory), len(meta), tiles_at, 0, tiles_at, len(tile), 5, 1, 1)
    world = (-180_0000000, -85_0000000, 180_0000000, 85_0000000)
    header = b"PMTiles\x03" + struct.pack("<11Q", *sections) + bytes([1, 1, 1, 1, 0, 1])
    header += struct.pack("<4i", *world) + bytes([0]) + struct.pack("<2i", 0, 0)
    whole = header + directory + meta + tile
    (tmp_path / "city.pmtiles").write_bytes(whole)
    settings.PMTILES = tmp_path / "city.pmtiles"
    return whole


def test_ranges_of_the_archive_are_served_to_who_is_logged_in(archive: bytes, operator: Any) -> None:
    client = Client()
    assert client.get("/basemap.pmtiles").status_code == 302
    client.force_login(operator)
    whole = client.get("/basemap.pmtiles")
    assert (whole.status_code, whole.getvalue()) == (200, archive)
    part = client.get("/basemap.pmtiles", headers={"range": "bytes=7-20"})
    assert (part.status_code, part.getvalue()) == (206, archive[7:21])
    assert part["Content-Range"] == f"bytes 7-20/{len(archive)}"
    rest = client.get("/basemap.pmtiles", headers={"range": f"bytes={len(archive) - 5}-99999"})
    assert rest.getvalue() == archive[-5:]
    assert part["ETag"] == whole["ETag"] and not part["ETag"].startswith("W/")
    for wrong in (f"bytes={len(archive)}-", "bytes=-5", "lines=1-2", "bytes=9-3"):
        assert client.get("/basemap.pmtiles", headers={"range": wrong}).status_code == 416


def test_without_the_setting_there_is_nothing(operator: Any) -> None:
    client = Client()
    client.force_login(operator)
    assert client.get("/basemap.pmtiles").status_code == 404
    assert b"protomaps" not in client.get("/").content


def test_the_page_draws_the_archive(archive: bytes, gallery: Any, operator: Any, log_in: Any, screenshot: Any) -> None:
    page = log_in("operator")
    page.locator(".leaflet-base-pane canvas").first.wait_for()
    pixel = """() => {
        const tile = document.querySelector('.leaflet-base-pane canvas');
        const small = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
        small.drawImage(tile, tile.width / 2, tile.height / 2, 1, 1, 0, 0, 1, 1);
        return [...small.getImageData(0, 0, 1, 1).data].slice(0, 3);
    }"""
    until_true(page, lambda: tuple(page.evaluate(pixel)) == SEA, "the tile is water")
    screenshot("sea")
    assert page.get_by_text("© OpenStreetMap").is_visible()
