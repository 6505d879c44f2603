"""Plain JPEG files are accepted without Pillow, and only what Pillow accepts."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reid_engine.errors import BadPhoto
from reid_engine.photo import MAX_PIXELS, load_crop
from reid_engine.plain_jpeg import plain_jpeg_size

PLAIN: list[dict[str, object]] = [
    {},
    {"subsampling": 0},
    {"subsampling": "4:2:2"},
    {"progressive": True},
    {"restart_marker_blocks": 2},
    {"optimize": True, "quality": 30},
    {"comment": b"camera 7"},
]
EXIF = Image.Exif()
EXIF[0x0112] = 6
MORE: list[dict[str, object]] = [{"exif": EXIF}, {"xmp": b"<x/>"}, {"icc_profile": b"profile"}, {"keep_rgb": True}]


def made(mode: str = "RGB", **form: object) -> bytes:
    pixels = np.random.default_rng(3).integers(0, 256, (61, 33, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", **form)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("form", PLAIN)
def test_a_plain_jpeg_is_accepted(form: dict[str, object], mode: str) -> None:
    assert plain_jpeg_size(made(mode, **form), MAX_PIXELS) == (33, 61)


@pytest.mark.parametrize("data", [made(**form) for form in MORE] + [made("CMYK"), b"", b"\xff\xd8\xff", b"no picture"])
def test_what_holds_more_than_pixels_is_left_to_pillow(data: bytes) -> None:
    assert plain_jpeg_size(data, MAX_PIXELS) is None


@pytest.mark.parametrize("form", PLAIN)
def test_a_jpeg_that_is_cut_short_is_left_to_pillow(form: dict[str, object]) -> None:
    data = made(**form)
    assert {plain_jpeg_size(data[:end], MAX_PIXELS) for end in range(0, len(data) - 1, 7)} == {None}


def test_a_jpeg_of_too_many_pixels_is_left_to_pillow() -> None:
    assert plain_jpeg_size(made(), 33 * 61) == (33, 61)
    assert plain_jpeg_size(made(), 33 * 61 - 1) is None


HEADER = 640  # bytes in which every form above has its whole header
BYTES = st.one_of(st.integers(0, 255), st.integers(0xC0, 0xFF), st.sampled_from([0, 1, 2, 8, 12, 16, 255]))


@given(
    form=st.sampled_from(PLAIN),
    changes=st.lists(st.tuples(st.integers(2, HEADER), BYTES), min_size=1, max_size=3),
    added=st.lists(st.tuples(st.integers(2, HEADER), st.binary(max_size=20)), max_size=1),
)
@settings(max_examples=400, deadline=None)
def test_what_is_accepted_pillow_reads_as_well(
    form: dict[str, object], changes: list[tuple[int, int]], added: list[tuple[int, bytes]]
) -> None:
    data = bytearray(made(**form))
    for at, byte in changes:
        data[at] = byte
    for at, more in added:
        data[at:at] = more
    size = plain_jpeg_size(bytes(data), MAX_PIXELS)
    if size is None or size[0] < 16 or size[1] < 32:
        return
    try:
        assert load_crop(bytes(data)).size == size
    except BadPhoto as error:
        pytest.fail(f"Pillow refuses it: {error}")


def test_a_marker_that_only_pillow_refuses_is_left_to_it() -> None:
    """Found by chance among a million altered files: TEM, a marker without a length, which libjpeg steps over."""
    whole = made()
    at = whole.index(b"\xff\xdb")
    assert plain_jpeg_size(whole[:at] + b"\xff\x01" + whole[at:], MAX_PIXELS) is None
