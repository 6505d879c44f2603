"""Photos and crops as they really arrive: turned, dark, cut short, enormous, or not pictures at all."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from reid_engine.errors import BadPhoto
from reid_engine.photo import (
    GROUND,
    MAX_BYTES,
    Box,
    brightness_of,
    crop_size,
    cut_out,
    encode_jpeg,
    enhance,
    load_crop,
    load_photo,
    quality_of,
    views_of,
)


def person(width: int = 96, height: int = 192, light: float = 1.0) -> Image.Image:
    """A drawn pedestrian with texture, so that it is neither dark nor blurred at full light."""
    rng = np.random.default_rng(7)
    ground = rng.integers(90, 200, (height, width, 3))
    image = Image.fromarray(ground.astype(np.uint8))
    pen = ImageDraw.Draw(image)
    pen.ellipse((width * 0.4, height * 0.05, width * 0.6, height * 0.2), fill=(220, 180, 150))
    pen.rectangle((width * 0.3, height * 0.2, width * 0.7, height * 0.55), fill=(200, 30, 30))
    pen.rectangle((width * 0.35, height * 0.55, width * 0.65, height * 0.95), fill=(30, 40, 160))
    return image.point(lambda value: int(value * light))


def saved(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def reason_of(data: bytes) -> object:
    with pytest.raises(BadPhoto) as caught:
        load_photo(data)
    return caught.value.data["reason"]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def huge_png(side: int) -> bytes:
    """A valid PNG header of side x side pixels over a few kilobytes of compressed zeros."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_each_accepted_format_becomes_an_rgb_picture(kind: str) -> None:
    image = load_photo(saved(person(), kind))
    assert (image.mode, image.size) == ("RGB", (96, 192))


@pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1.7 ...", b"GIF89a" + bytes(200), bytes(5000)])
def test_something_else_than_a_picture_is_refused(data: bytes) -> None:
    assert reason_of(data) == "not_a_picture"


def test_a_gif_is_refused_even_though_pillow_could_read_it() -> None:
    assert reason_of(saved(person(), "GIF")) == "not_a_picture"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [5_001, 7_500, 30_000])
def test_a_900_megapixel_png_and_smaller_bombs_are_refused_before_they_are_decoded(side: int) -> None:
    data = huge_png(side)
    begun = time.process_time()
    assert reason_of(data) == "too_large"
    assert time.process_time() - begun < 0.5


def test_a_file_of_too_many_bytes_is_refused_unread() -> None:
    assert reason_of(bytes(MAX_BYTES + 1)) == "too_large"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_picture_cut_short_is_refused_as_truncated(kind: str, share: float) -> None:
    data = saved(person(), kind)
    assert reason_of(data[: int(len(data) * share)]) == "truncated"


def test_a_photo_below_32x64_is_refused_and_a_crop_only_below_16x32() -> None:
    assert reason_of(saved(person(31, 64), "PNG")) == "too_small"
    assert reason_of(saved(person(32, 63), "PNG")) == "too_small"
    assert load_photo(saved(person(32, 64), "PNG")).size == (32, 64)
    assert load_crop(saved(person(16, 32), "PNG")).size == (16, 32)
    with pytest.raises(BadPhoto) as caught:
        load_crop(saved(person(15, 32), "PNG"))
    data = caught.value.data
    assert (data["reason"], data["width"], data["height"], data["smallest"]) == ("too_small", 15, 32, (16, 32))


def test_a_photo_that_lies_on_its_side_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = person()
    lying = saved(upright.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    assert np.array_equal(np.asarray(load_photo(lying)), np.asarray(upright))


def test_size_is_judged_after_turning() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    assert load_photo(saved(person(64, 32), "PNG", exif=exif)).size == (32, 64)


def test_no_metadata_survives_loading_and_saving() -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCameraMaker"
    exif.get_ifd(0x8825)[1] = "N"
    data = saved(person(), "JPEG", exif=exif, comment=b"SecretComment", icc_profile=b"SecretProfile")
    assert b"Secret" in data
    image = load_photo(data)
    assert not image.info and not image.getexif()
    for clean in (encode_jpeg(image), saved(image, "PNG"), saved(image, "WEBP")):
        assert b"Secret" not in clean and b"Exif" not in clean


def test_transparent_pixels_do_not_uncover_what_lies_beneath() -> None:
    hidden = Image.new("RGBA", (64, 128), (255, 0, 0, 0))
    assert load_photo(saved(hidden, "PNG")).getpixel((5, 5)) == GROUND


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "CMYK", "I;16"])
def test_every_colour_mode_is_brought_to_rgb(mode: str) -> None:
    grey = np.linspace(0, 65535, 64 * 128).reshape(128, 64).astype(np.uint16)
    image = Image.fromarray(grey) if mode == "I;16" else person(64, 128).convert(mode)
    loaded = load_photo(saved(image, "JPEG" if mode == "CMYK" else "PNG"))
    assert loaded.mode == "RGB"
    assert 60 < brightness_of(loaded) < 200


def test_a_good_photo_has_no_warnings() -> None:
    quality = quality_of(load_photo(saved(person())))
    assert (quality.width, quality.height, quality.warnings) == (96, 192, ())


def test_each_weakness_of_a_photo_is_named() -> None:
    assert quality_of(load_photo(saved(person(40, 80), "PNG"))).warnings == ("small",)
    assert "dark" in quality_of(load_photo(saved(person(light=0.2)))).warnings
    assert "whole_scene" in quality_of(load_photo(saved(person(400, 300)))).warnings
    soft = person().resize((8, 16)).resize((96, 192), Image.Resampling.BICUBIC)
    assert quality_of(load_photo(saved(soft))).warnings == ("blurred",)
    assert quality_of(person(200, 230)).warnings == ("cut_off",)


def test_the_boxed_part_of_a_photo_is_cut_out_and_never_reaches_beyond_it() -> None:
    photo = person(300, 200)
    assert cut_out(photo, None) is photo
    assert cut_out(photo, Box(10, 20, 90, 180)).size == (80, 160)
    assert cut_out(photo, Box(-50, -50, 60, 900)).tobytes() == photo.crop((0, 0, 60, 200)).tobytes()
    for nothing in (Box(0, 0, 20, 200), Box(500, 0, 600, 200), Box(0, -90, 100, -10)):
        with pytest.raises(BadPhoto) as refused:
            cut_out(photo, nothing)
        assert refused.value.data["reason"] == "too_small"


@pytest.mark.parametrize("scale", [1, 2, 6])
def test_blur_is_judged_on_the_person_not_on_the_number_of_pixels(scale: int) -> None:
    size = (64 * scale, 128 * scale)
    sharp = person(64, 128).resize(size, Image.Resampling.BICUBIC)
    soft = person(64, 128).resize((8, 16)).resize(size, Image.Resampling.BICUBIC)
    assert "blurred" not in quality_of(sharp).warnings
    assert "blurred" in quality_of(soft).warnings


def test_only_a_dark_photo_is_stretched_and_its_colours_keep_their_order() -> None:
    bright, dark = person(), person(light=0.2)
    assert enhance(bright) is bright
    stretched = enhance(dark)
    assert brightness_of(stretched) > 2 * brightness_of(dark)
    red, green, blue = stretched.getpixel((48, 76))
    assert red > 2 * green and red > 2 * blue


@given(width=st.integers(32, 300), height=st.integers(64, 300))
@settings(max_examples=60, deadline=None)
def test_enhancing_pads_to_two_to_one_keeps_every_pixel_and_is_done_once(width: int, height: int) -> None:
    image = person(width, height)
    padded = enhance(image)
    assert 1.38 <= padded.height / padded.width <= 3.22
    left, top = (padded.width - width) // 2, (padded.height - height) // 2
    assert np.array_equal(np.asarray(padded.crop((left, top, left + width, top + height))), np.asarray(image))
    assert enhance(padded).size == padded.size


def test_padding_repeats_the_border_on_both_sides() -> None:
    half = person(64, 72)
    padded = np.asarray(enhance(half))
    assert padded.shape == (128, 64, 3)
    assert (padded[:28] == np.asarray(half)[0]).all() and (padded[100:] == np.asarray(half)[-1]).all()


def test_a_wide_photo_is_also_looked_at_in_its_middle_column() -> None:
    wide = person(200, 100)
    padded, middle = views_of(wide)
    assert padded.size == (200, 400) and middle.size == (50, 100)
    assert np.array_equal(np.asarray(middle), np.asarray(wide)[:, 75:125])
    assert [view.size for view in views_of(person())] == [(96, 192)]
    assert [view.size for view in views_of(person(40, 200))] == [(100, 200)]
    assert all(brightness_of(view) > 30 for view in views_of(person(200, 100, light=0.1)))


@pytest.mark.parametrize("turned", [1, 6])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_size_of_a_checked_crop_is_that_of_the_loaded_one(kind: str, turned: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    xmp = f'<x tiff:Orientation="{turned}"/>'.encode()
    said = [{"exif": exif}] if kind == "PNG" else [{"exif": exif}, {"xmp": xmp}]
    for data in [saved(person(40, 80), kind, **words) for words in said]:
        assert crop_size(data) == load_crop(data).size == ((80, 40) if turned == 6 else (40, 80))


@given(data=st.data(), kind=st.sampled_from(["JPEG", "PNG", "WEBP"]))
@settings(max_examples=150, deadline=None)
def test_a_damaged_picture_is_either_read_or_refused_by_name(data: st.DataObject, kind: str) -> None:
    bytes_ = bytearray(saved(person(40, 80), kind))
    for at in data.draw(st.lists(st.integers(0, len(bytes_) - 1), min_size=1, max_size=8)):
        bytes_[at] ^= data.draw(st.integers(1, 255))
    try:
        loaded = load_crop(bytes(bytes_))
        assert loaded.mode == "RGB" and loaded.size == crop_size(bytes(bytes_))
    except BadPhoto as error:
        assert error.data["reason"] in {"not_a_picture", "too_large", "truncated", "too_small"}
        with pytest.raises(BadPhoto) as checked:
            crop_size(bytes(bytes_))
        assert str(checked.value) == str(error)


JPEG_FORMS: list[dict[str, object]] = [
    {},
    {"subsampling": 0},
    {"keep_rgb": True},
    {"progressive": True},
    {"restart_marker_blocks": 2},
    {"optimize": True, "quality": 30},
]


def verdict(check: Callable[[bytes], object], data: bytes) -> str:
    try:
        check(data)
    except BadPhoto as error:
        return str(error)
    return ""


@pytest.mark.parametrize("form", JPEG_FORMS)
def test_a_jpeg_cut_anywhere_is_judged_as_when_it_is_loaded(form: dict[str, object]) -> None:
    """The check decodes at an eighth of the size; it must see the end of the codes as loading does."""
    data = saved(person(33, 61), **form)
    for end in [*range(0, len(data), 13), *range(len(data) - 30, len(data) + 1)]:
        assert verdict(crop_size, data[:end]) == verdict(load_crop, data[:end]), end


@given(data=st.data(), form=st.sampled_from(JPEG_FORMS))
@settings(max_examples=150, deadline=None)
def test_a_damaged_jpeg_is_judged_as_when_it_is_loaded(data: st.DataObject, form: dict[str, object]) -> None:
    bytes_ = bytearray(saved(person(33, 61), **form))
    for at in data.draw(st.lists(st.integers(0, len(bytes_) - 1), min_size=1, max_size=4)):
        bytes_[at] = data.draw(st.integers(0, 255))
    assert verdict(crop_size, bytes(bytes_)) == verdict(load_crop, bytes(bytes_))


def test_a_jpeg_of_any_sampling_is_judged_as_when_it_is_loaded() -> None:
    """Some ratios of brightness to colour the decoder cannot do; it must be asked for the colours to say so."""
    bytes_ = bytearray(saved(person(33, 61)))
    luma = bytes_.index(b"\xff\xc0") + 11  # its sampling; that of the first colour lies three bytes further
    found = set()
    for bytes_[luma], bytes_[luma + 3] in product((0x11, 0x12, 0x21, 0x22, 0x31, 0x32, 0x41), repeat=2):
        loaded = verdict(load_crop, bytes(bytes_))
        assert verdict(crop_size, bytes(bytes_)) == loaded
        found.add(loaded)
    assert len(found) > 1


def test_the_web_process_can_check_photos_without_loading_torch() -> None:
    script = "import sys, reid_engine.photo; sys.exit('torch' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == 0
