"""What comes in as bytes and must become a usable picture: the operator's photos and the gallery's crops.

Only Pillow, simplejpeg and numpy: the web process and the gallery import use this module and must never load torch.
Nothing is decoded before its size is known, so a small file that claims to be enormous costs nothing.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps

from reid_engine.contracts import PhotoQuality
from reid_engine.errors import BadPhoto

from .messages import Message
from .messages import gettext_noop as _
from .plain_jpeg import plain_jpeg_size

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 25_000_000
MIN_PHOTO = (32, 64)  # width, height in pixels
MIN_CROP = (16, 32)

# Pillow's own guard, for every other door through which a picture may enter this process.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS

# Thresholds seen on Market-1501's validation crops: 1 in 100 is below sharpness 112; a Gaussian blur of one pixel
# brings half of them below 102, one of two pixels 95 in 100 below 21. None is darker than 40; darkened to a quarter,
# stretching regains half a point of mAP, but the fifteen queries between 40 and 60 lose five by it.
SMALL = (64, 128)
BLURRED = 60.0
DARK = 40.0
SHARPNESS_HEIGHT = 128

# A standing person fills a box about twice as high as wide; outside of these the picture is padded, not squashed.
ASPECT = 2.0
ASPECT_RANGE = (1.4, 3.2)
GROUND = (124, 116, 104)  # what lies behind transparent pixels: the mean of ImageNet, about zero once normalised

_PILLOW = (OSError, ValueError, SyntaxError, EOFError, TypeError, struct.error, zlib.error)  # what its decoders raise
_BROKEN = (*_PILLOW, ArithmeticError, LookupError)
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


class Box(NamedTuple):
    """A part of an upright photo, in pixels; right and bottom are the first pixels outside."""

    left: int
    top: int
    right: int
    bottom: int


class Limits(NamedTuple):
    """The smallest picture accepted, (width, height) in pixels, and the noun used for it in messages."""

    smallest: tuple[int, int]
    noun: Message


PHOTO = Limits(MIN_PHOTO, Message(_("photo")))
CROP = Limits(MIN_CROP, Message(_("crop")))


def load_photo(data: bytes) -> Image.Image:
    """The operator's photo as an upright RGB picture without metadata.

    Raises BadPhoto with `data['reason']` not_a_picture, too_large, truncated or too_small (below 32x64).
    """
    return _load(data, PHOTO)


def load_crop(data: bytes) -> Image.Image:
    """A gallery crop as an upright RGB picture without metadata; as `load_photo`, but from 16x32 pixels."""
    return _load(data, CROP)


def crop_size(data: bytes) -> tuple[int, int]:
    """Width and height of a gallery crop as `load_crop` would give it, raising what that raises: a check.

    Everything is decoded, but of a plain JPEG at an eighth of its size: no code of the file is left out, only what
    would make pixels of the numbers, which cannot fail and takes as long as the rest.
    """
    _refuse_heavy(data, CROP)
    size = plain_jpeg_size(data, MAX_PIXELS) or _decode(data, CROP.noun).size
    _refuse_small(size, CROP)
    return size


def cut_out(image: Image.Image, box: Box | None) -> Image.Image:
    """The boxed part of a photo, the whole photo without a box; what lies outside of the photo is left away.

    Raises BadPhoto with `data['reason']` too_small where less than 32x64 pixels are left.
    """
    if box is None:
        return image
    left, top = max(0, box.left), max(0, box.top)
    part = image.crop((left, top, max(left, min(image.width, box.right)), max(top, min(image.height, box.bottom))))
    _refuse_small(part.size, PHOTO)
    return part


def quality_of(image: Image.Image) -> PhotoQuality:
    """Size, sharpness (variance of the Laplacian at 128 pixels height), brightness (0..255) and warnings.

    Warnings are keys: small, blurred, dark, whole_scene (wider than high: probably more than one person in it),
    cut_off (hardly higher than wide: a standing person is not on it from head to foot).
    """
    sharpness, brightness = sharpness_of(image), brightness_of(image)
    found = {
        "small": image.width < SMALL[0] or image.height < SMALL[1],
        "blurred": sharpness < BLURRED,
        "dark": brightness < DARK,
        "whole_scene": image.width > image.height,
        "cut_off": image.width <= image.height < ASPECT_RANGE[0] * image.width,
    }
    warnings = tuple(key for key, present in found.items() if present)
    return PhotoQuality(image.width, image.height, sharpness, brightness, warnings)


def sharpness_of(image: Image.Image) -> float:
    """Variance of the four-neighbour Laplacian of the luma, after shrinking (never enlarging) to 128 pixels height."""
    grey = image.convert("L")
    if grey.height > SHARPNESS_HEIGHT:
        width = max(3, round(grey.width * SHARPNESS_HEIGHT / grey.height))
        grey = grey.resize((width, SHARPNESS_HEIGHT), Image.Resampling.BOX)
    luma = np.asarray(grey, dtype=np.float32)
    centre = 4.0 * luma[1:-1, 1:-1]
    laplacian = centre - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:]
    return float(laplacian.var()) if laplacian.size else 0.0


def brightness_of(image: Image.Image) -> float:
    """Mean luma, 0 (black) to 255 (white)."""
    return float(np.asarray(image.convert("L"), dtype=np.float32).mean())


def enhance(image: Image.Image) -> Image.Image:
    """The photo as the extractor should see it: contrast stretched where it is dark, padded where it is not upright."""
    return pad_to_person(stretch_if_dark(image))


def views_of(photo: Image.Image) -> list[Image.Image]:
    """The pictures whose features are averaged for one photo: it enhanced, and a wide one's middle column as well.

    A wide photo shows either half a person, whom padding keeps in shape, or a whole one with much beside, whom padding
    makes tiny. Market-1501's queries, cosine, a public extractor, mAP: cut at the waist 35 squashed, 39 padded, 38 by
    both views; set in a square 47 squashed, 11 padded, 50 by both; untouched 58.
    """
    enhanced = enhance(photo)
    if photo.height / photo.width >= ASPECT_RANGE[0]:
        return [enhanced]
    return [enhanced, stretch_if_dark(middle_column(photo))]


def middle_column(image: Image.Image) -> Image.Image:
    """The middle of a wide picture, half as wide as high."""
    width = max(1, round(image.height / ASPECT))
    left = (image.width - width) // 2
    return image.crop((left, 0, left + width, image.height))


def stretch_if_dark(image: Image.Image) -> Image.Image:
    """Autocontrast, one curve for the three channels so that colours stay, only below the darkness threshold."""
    if brightness_of(image) >= DARK:
        return image
    return ImageOps.autocontrast(image, cutoff=1, preserve_tone=True)


def pad_to_person(image: Image.Image) -> Image.Image:
    """Where the aspect is far from 2:1, the same pixels in the middle of a picture of that aspect; else unchanged.

    The border's own pixels are repeated outwards: a plain ground costs four points of mAP on people cut at the waist.
    """
    aspect = image.height / image.width
    if ASPECT_RANGE[0] <= aspect <= ASPECT_RANGE[1]:
        return image
    width = max(image.width, round(image.height / ASPECT))
    height = max(image.height, round(image.width * ASPECT))
    above, left = (height - image.height) // 2, (width - image.width) // 2
    below, right = height - image.height - above, width - image.width - left
    return Image.fromarray(np.pad(np.asarray(image), ((above, below), (left, right), (0, 0)), mode="edge"))


def encode_jpeg(image: Image.Image, quality: int = 95) -> bytes:
    """The picture as JPEG bytes that carry nothing but its pixels (no EXIF, no comment, no colour profile)."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _load(data: bytes, limits: Limits) -> Image.Image:
    _refuse_heavy(data, limits)
    image = _decode(data, limits.noun)
    _refuse_small(image.size, limits)
    return image


def _decode(data: bytes, noun: Message) -> Image.Image:
    """Upright RGB pixels that carry nothing else, if there are not too many of them; raises BadPhoto."""
    with _said(data, noun), _verified(data, noun) as image:
        image.load()
        return _bare(_to_rgb(_upright(image)))


@contextmanager
def _said(data: bytes, noun: Message) -> Iterator[None]:
    """Turn whatever Pillow's decoders raise into BadPhoto."""
    try:
        yield
    except _BOMB as error:
        raise _too_large(
            noun, Message(_("more pixels than can be decoded safely")), _pixels(f"{MAX_PIXELS:,}")
        ) from error
    except _BROKEN as error:
        raise _unreadable(data, noun) from error


def _verified(data: bytes, noun: Message) -> ImageFile.ImageFile:
    """The picture by its header, nothing decoded. Only PNG has checksums; looking at them uses the opened file up."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(noun, _pixels(f"{image.width}x{image.height}"), _pixels(f"{MAX_PIXELS:,}"))
    if image.format != "PNG":
        return image
    image.verify()
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF orientation says; a picture whose EXIF cannot be read stays as it is."""
    try:
        return ImageOps.exif_transpose(image)
    except _BROKEN:
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    """Three channels of 8 bits. What is transparent shows a plain ground, not whatever was hidden beneath it."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image, dtype=np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    ground = Image.new("RGBA", layered.size, (*GROUND, 255))
    return Image.alpha_composite(ground, layered).convert("RGB")


def _bare(image: Image.Image) -> Image.Image:
    """A copy that keeps the pixels and forgets everything else, so that no later save can write metadata."""
    copy = Image.new("RGB", image.size)
    copy.paste(image)
    return copy


def _refuse_heavy(data: bytes, limits: Limits) -> None:
    if len(data) > MAX_BYTES:
        raise _too_large(limits.noun, _bytes(len(data)), _bytes(MAX_BYTES))


def _refuse_small(size: tuple[int, int], limits: Limits) -> None:
    (width, height), least = size, limits.smallest
    if width >= least[0] and height >= least[1]:
        return
    raise BadPhoto(
        _(
            "The %(noun)s is %(width)sx%(height)s pixels; it must be at least "
            "%(least)s. Use a larger picture of the person."
        ),
        noun=limits.noun,
        least=f"{least[0]}x{least[1]}",
        reason="too_small",
        width=width,
        height=height,
        smallest=limits.smallest,
    )


def _bytes(count: int) -> Message:
    return Message(_("%(count)s bytes"), count=f"{count:,}")


def _pixels(size: str) -> Message:
    return Message(_("%(size)s pixels"), size=size)


def _too_large(noun: Message, found: Message, allowed: Message) -> BadPhoto:
    text = _("The %(noun)s has %(found)s; at most %(allowed)s are accepted. Make it smaller or cut out the person.")
    return BadPhoto(text, noun=noun, reason="too_large", found=found, allowed=allowed)


def _unreadable(data: bytes, noun: Message) -> BadPhoto:
    """Damaged when the bytes begin as one of the known formats, otherwise something else than a picture."""
    if data.startswith(_MAGIC) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return BadPhoto(
            _("The %(noun)s is damaged or cut short. Send the whole file again."), noun=noun, reason="truncated"
        )
    return BadPhoto(
        _("The %(noun)s is not a JPEG, PNG or WEBP picture. Send one of these."), noun=noun, reason="not_a_picture"
    )
