"""What surrounds a pedestrian: the street one camera sees, and how that camera records it.

A plate is the empty street as one camera sees it, drawn once and kept; every crop of the camera is a window of it, so
that its pavement, walls and railings stay the same from crop to crop. Colours on a plate are unlit sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from reid_engine.data.rendering.appearance import Colour
from reid_engine.data.rendering.light import Light
from reid_engine.data.rendering.raster import Floats

Ground = Literal["paving", "asphalt", "bricks", "gravel", "boards"]
Backdrop = Literal["shops", "brick", "glass", "hedge", "water", "concrete", "bicycles", "cars"]
Foreground = Literal["none", "railing", "post", "planter", "kerb"]

PLATE_WIDTH, PLATE_HEIGHT = 720, 480
_GROUNDS: tuple[Ground, ...] = ("paving", "asphalt", "bricks", "gravel", "boards")
_BACKDROPS: tuple[Backdrop, ...] = ("shops", "brick", "glass", "hedge", "water", "concrete", "bicycles", "cars")
_FOREGROUNDS: tuple[Foreground, ...] = ("none", "none", "railing", "post", "planter", "kerb")


@dataclass(frozen=True)
class CameraLook:
    """One camera's street and picture: what it sees, and its colour cast, contrast, sharpness, noise, compression."""

    seed: int
    ground: Ground
    backdrop: Backdrop
    foreground: Foreground
    bearing: float
    pitch: float
    gains: tuple[float, float, float]
    gamma: float
    saturation: float
    exposure: float
    haze: float
    blur: float
    noise: float
    quality: int

    @staticmethod
    def from_seed(seed: int, bearing: float | None = None) -> CameraLook:
        """The look of this camera; `bearing` (degrees, clockwise from north) is where it points, drawn when None."""
        rng = np.random.default_rng([seed, 0xCA3E])
        cast = np.clip(rng.normal(1, 0.05, 3), 0.86, 1.14)
        return CameraLook(
            seed=seed,
            ground=_GROUNDS[int(rng.integers(len(_GROUNDS)))],
            backdrop=_BACKDROPS[int(rng.integers(len(_BACKDROPS)))],
            foreground=_FOREGROUNDS[int(rng.integers(len(_FOREGROUNDS)))],
            bearing=float(rng.uniform(0, 360)) if bearing is None else bearing,
            pitch=float(rng.uniform(0.1, 0.3)),
            gains=(float(cast[0]), float(cast[1]), float(cast[2])),
            gamma=float(rng.uniform(0.85, 1.15)),
            saturation=float(rng.uniform(0.78, 1.2)),
            exposure=float(rng.uniform(0.88, 1.15)),
            haze=float(rng.uniform(0, 0.09)),
            blur=float(rng.uniform(0.15, 0.75)),
            noise=float(rng.uniform(1.2, 5.0)),
            quality=int(rng.integers(62, 90)),
        )

    @staticmethod
    def clean(seed: int) -> CameraLook:
        """A good hand-held camera: what a query photo may come from."""
        base = CameraLook.from_seed(seed)
        return CameraLook(
            base.seed,
            base.ground,
            base.backdrop,
            "none",
            base.bearing,
            0.06,
            (1.0, 1.0, 1.0),
            1.0,
            1.02,
            1.02,
            0.0,
            0.0,
            1.0,
            93,
        )


@dataclass(frozen=True)
class Plate:
    """The empty street: background, transparent foreground, and the rows of horizon, wall foot and foreground foot.

    `front_box` is what of the foreground is not transparent: left, top, right, bottom.
    """

    back: Image.Image
    front: Image.Image | None
    front_box: tuple[int, int, int, int]
    horizon: float
    wall_foot: float
    front_foot: float

    def body_height(self, foot_y: float) -> float:
        """Pixels of a body whose feet stand on row `foot_y`: linear in the distance from the horizon."""
        return 0.52 * (foot_y - self.horizon)


@lru_cache(maxsize=96)
def plate(look: CameraLook) -> Plate:
    """The street before this camera, drawn from its seed."""
    rng = np.random.default_rng([look.seed, 0x91A7E])
    horizon = PLATE_HEIGHT * float(rng.uniform(0.04, 0.14))
    wall_foot = horizon + PLATE_HEIGHT * float(rng.uniform(0.24, 0.44))
    ground = _ground(look.ground, horizon, rng)
    picture = Image.fromarray(ground)
    _draw_backdrop(ImageDraw.Draw(picture), look.backdrop, wall_foot, rng)
    picture = picture.filter(ImageFilter.GaussianBlur(1.1))
    front_foot = float(rng.uniform(0.8, 0.97)) * PLATE_HEIGHT
    front = _foreground(look.foreground, front_foot, rng)
    front_box = (front.getbbox() if front else None) or (0, 0, 0, 0)
    return Plate(_grain(picture, rng), front, front_box, horizon, wall_foot, front_foot)


def _grain(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Uneven dirt and dapple over the whole street, so that no surface is of one colour."""
    coarse = Image.fromarray((128 + 15 * rng.normal(size=(18, 27))).clip(0, 255).astype(np.uint8)).resize(
        picture.size, Image.Resampling.BICUBIC
    )
    fine = rng.normal(0, 5, (PLATE_HEIGHT, PLATE_WIDTH))
    factor = 1 + (np.asarray(coarse, dtype=np.float32) - 128) / 420 + fine / 160
    return Image.fromarray((np.asarray(picture, dtype=np.float32) * factor[..., None]).clip(0, 255).astype(np.uint8))


def _ground(kind: Ground, horizon: float, rng: np.random.Generator) -> NDArray[Any]:
    """The ground in perspective, (H, W, 3) uint8: rows below the horizon map to distances."""
    y = np.arange(PLATE_HEIGHT, dtype=np.float32)[:, None]
    x = np.arange(PLATE_WIDTH, dtype=np.float32)[None, :]
    depth = 900 / np.maximum(y - horizon, 3)
    slant = rng.uniform(-0.8, 0.8)
    across = (x - PLATE_WIDTH / 2) * depth / 420 + slant * depth
    base = np.array(_GROUND_TONES[kind], np.float32) * rng.uniform(0.85, 1.15) + rng.normal(0, 4, 3)
    tone = _ground_tone(kind, across, depth * np.ones_like(across), rng)
    return np.asarray((base * tone[..., None]).clip(0, 255), dtype=np.uint8)


_GROUND_TONES: dict[Ground, Colour] = {
    "paving": (150, 148, 144),
    "asphalt": (104, 104, 108),
    "bricks": (142, 112, 98),
    "gravel": (158, 148, 130),
    "boards": (138, 116, 92),
}


def _ground_tone(kind: Ground, across: NDArray[Any], depth: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    if kind == "asphalt":
        stripe = (np.abs(across - rng.uniform(-1, 1)) % 7 < 0.22) & (depth < 6)
        return np.where(stripe, 1.6, 1.0)
    size_x, size_y = {"paving": (1.1, 0.55), "bricks": (0.5, 0.22), "gravel": (3.0, 2.5), "boards": (0.35, 6.0)}[kind]
    shift = np.floor(depth / size_y) * (0.5 if kind == "bricks" else 0.0)
    u, v = across / size_x + shift, depth / size_y
    column, row = np.floor(u), np.floor(v)
    cell = np.sin(column * 12.9898 + row * 78.233) * 43758.5453
    joint = (u - column < 0.06) | (v - row < 0.08)
    return np.where(joint, 0.78, 0.94 + 0.12 * (cell - np.floor(cell)))


def _tint(rng: np.random.Generator, base: tuple[int, int, int], spread: float = 18) -> tuple[int, int, int]:
    """A shade near `base`: mostly lighter or darker, only a little of another hue, as things in a street are."""
    shift = rng.normal(0, spread)
    red, green, blue = (int(min(max(value + shift + rng.normal(0, 0.3 * spread), 10), 240)) for value in base)
    return red, green, blue


def _draw_backdrop(draw: ImageDraw.ImageDraw, kind: Backdrop, foot: float, rng: np.random.Generator) -> None:
    walls = {
        "shops": (120, 110, 104),
        "brick": (136, 92, 76),
        "glass": (94, 112, 124),
        "hedge": (58, 84, 50),
        "water": (116, 142, 152),
        "concrete": (138, 136, 132),
        "bicycles": (124, 122, 120),
        "cars": (110, 112, 116),
    }
    draw.rectangle((0, 0, PLATE_WIDTH, foot), fill=_tint(rng, walls[kind]))
    {
        "shops": _shops,
        "brick": _courses,
        "glass": _panes,
        "hedge": _leaves,
        "water": _railing_back,
        "concrete": _slabs,
        "bicycles": _bicycles,
        "cars": _cars,
    }[kind](draw, foot, rng)
    draw.rectangle((0, foot - 3, PLATE_WIDTH, foot + 4), fill=_tint(rng, (92, 90, 88), 8))


def _shops(draw: ImageDraw.ImageDraw, foot: float, rng: np.random.Generator) -> None:
    x = -float(rng.uniform(0, 80))
    while x < PLATE_WIDTH:
        wide = float(rng.uniform(90, 190))
        draw.rectangle((x, 0, x + wide, foot * 0.22), fill=_tint(rng, (120, 70, 60), 50))
        draw.rectangle((x + 6, foot * 0.27, x + wide - 8, foot - 10), fill=_tint(rng, (70, 76, 80), 22))
        for _ in range(4):
            left, low = x + float(rng.uniform(8, wide - 30)), foot * float(rng.uniform(0.4, 0.9))
            draw.rectangle(
                (left, low - 22, left + float(rng.uniform(8, 26)), low), fill=_tint(rng, (150, 140, 120), 50)
            )
        draw.rectangle((x + wide - 8, 0, x + wide, foot), fill=_tint(rng, (150, 146, 140), 20))
        x += wide


def _courses(draw: ImageDraw.ImageDraw, foot: float, rng: np.random.Generator) -> None:
    for row, y in enumerate(range(0, int(foot), 9)):
        for x in range(-(row % 2) * 11, PLATE_WIDTH, 22):
            draw.rectangle((x, y, x + 20, y + 7), fill=_tint(rng, (146, 98, 80), 9))


def _panes(draw: ImageDraw.ImageDraw, foot: float, rng: np.random.Generator) -> None:
    step = float(rng.uniform(40, 70))
    for x in np.arange(0, PLATE_WIDTH, step):
        for y in np.arange(0, foot, step * 1.1):
            draw.rectangle(
                (x + 3, y + 3, x + step - 2, min(y + step * 1.1 - 2, foot)), fill=_tint(rng, (84, 106, 122), 14)
            )


def _leaves(draw: ImageDraw.ImageDraw, foot: float, rng: np.random.Generator) -> None:
    for _ in range(1500):
        x, y, r = rng.uniform(0, PLATE_WIDTH), rng.uniform(0, foot), rng.uniform(3, 9)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=_tint(rng, (62 + int(20 * (1 - y / foot)), 92, 52), 14))


def _railing_back(draw: ImageDraw.ImageDraw, foot: float, rng: np.random.Generator) -> None:
    for _ in range(260):
        x, y = rng.uniform(0, PLATE_WIDTH), rng.uniform(foot * 0.3, foot)
        draw.line((x, y, x + rng.uniform(8, 40), y), fill=_tint(rng, (138, 160, 168), 12))
    draw.rectangle((0, 0, PLATE_WIDTH, foot * 0.25), fill=_tint(rng, (110, 126, 118), 8))
    for x in range(0, PLATE_WIDTH, 16):
        draw.line((x, foot * 0.55, x, foot), fill=(72, 76, 80), width=3)
    draw.line((0, foot * 0.55, PLATE_WIDTH, foot * 0.55), fill=(84, 88, 92), width=5)


def _slabs(draw: ImageDraw.ImageDraw, foot: float, rng: np.random.Generator) -> None:
    step = float(rng.uniform(110, 190))
    for x in np.arange(0, PLATE_WIDTH, step):
        draw.rectangle((x + 2, 0, x + step - 2, foot), fill=_tint(rng, (142, 140, 134), 8))
    left = float(rng.uniform(60, PLATE_WIDTH - 160))
    draw.rectangle((left, foot * 0.2, left + 90, foot), fill=_tint(rng, (74, 70, 66), 16))


def _bicycles(draw: ImageDraw.ImageDraw, foot: float, rng: np.random.Generator) -> None:
    for x in np.arange(-10, PLATE_WIDTH, float(rng.uniform(26, 38))):
        shade, r = _tint(rng, (44, 46, 50), 14), 24
        for wheel in (x, x + 48):
            draw.ellipse((wheel - r, foot - 2 * r, wheel + r, foot), outline=shade, width=3)
        frame = _tint(rng, (90, 80, 84), 50)
        draw.line(
            (x, foot - r, x + 20, foot - 48, x + 44, foot - 44, x + 22, foot - r, x, foot - r), fill=frame, width=4
        )


_CAR_PAINTS: tuple[tuple[int, int, int], ...] = (
    (36, 38, 42),
    (206, 206, 204),
    (142, 144, 148),
    (84, 88, 94),
    (120, 34, 36),
    (44, 62, 104),
)


def _cars(draw: ImageDraw.ImageDraw, foot: float, rng: np.random.Generator) -> None:
    x = -float(rng.uniform(0, 120))
    while x < PLATE_WIDTH:
        paint, wide, tall = (
            _tint(rng, _CAR_PAINTS[int(rng.integers(len(_CAR_PAINTS)))], 10),
            float(rng.uniform(190, 240)),
            foot * 0.62,
        )
        draw.rounded_rectangle((x, foot - tall * 0.6, x + wide, foot - 8), 14, fill=paint)
        draw.polygon(
            [
                (x + wide * 0.18, foot - tall * 0.58),
                (x + wide * 0.3, foot - tall),
                (x + wide * 0.72, foot - tall),
                (x + wide * 0.88, foot - tall * 0.58),
            ],
            fill=_tint(rng, (56, 62, 68), 8),
        )
        for wheel in (x + wide * 0.22, x + wide * 0.78):
            draw.ellipse((wheel - 19, foot - 32, wheel + 19, foot + 4), fill=(30, 30, 32))
        x += wide + float(rng.uniform(20, 70))


def _foreground(kind: Foreground, foot: float, rng: np.random.Generator) -> Image.Image | None:
    """What stands between the camera and some of the people, on a transparent layer."""
    if kind == "none":
        return None
    layer = Image.new("RGBA", (PLATE_WIDTH, PLATE_HEIGHT))
    draw = ImageDraw.Draw(layer)
    start = float(rng.uniform(0, PLATE_WIDTH * 0.6))
    if kind == "railing":
        metal = (*_tint(rng, (150, 152, 156)), 255)
        for x in np.arange(start, start + 260, 21):
            draw.line((x, foot - 74, x, foot), fill=metal, width=4)
        draw.line((start, foot - 74, start + 260, foot - 74), fill=metal, width=6)
        draw.line((start, foot - 40, start + 260, foot - 40), fill=metal, width=4)
    elif kind == "post":
        draw.rectangle((start, 0, start + 20, foot), fill=(*_tint(rng, (92, 94, 98)), 255))
    elif kind == "planter":
        for _ in range(240):
            x, y, r = start + rng.normal(70, 32), foot - 40 - abs(rng.normal(0, 26)), rng.uniform(3, 8)
            draw.ellipse((x - r, y - r, x + r, y + r), fill=(*_tint(rng, (64, 104, 56), 16), 255))
        draw.rectangle((start + 10, foot - 40, start + 130, foot), fill=(*_tint(rng, (128, 116, 106)), 255))
    elif kind == "kerb":
        for x in np.arange(start, start + 300, 96):
            draw.rounded_rectangle((x, foot - 66, x + 22, foot), 8, fill=(*_tint(rng, (120, 118, 112)), 255))
    return layer.filter(ImageFilter.GaussianBlur(0.8))


def record(
    picture: Floats, look: CameraLook, light: Light, rng: np.random.Generator, size: tuple[int, int]
) -> Image.Image:
    """The scene (H, W, 3) in linear light as this camera stores it: gain, cast, curve, softness, noise, compression."""
    gain = np.float32(look.exposure * _auto_exposure(light)) * np.array(look.gains, np.float32)
    shown = np.minimum(picture * gain, 1)
    np.sqrt(shown, out=shown)
    shot = Image.fromarray((shown * 255).astype(np.uint8)).resize(size, Image.Resampling.BOX)
    softness = (look.blur + 0.5 * light.night * look.blur) * size[1] / 128
    if softness > 0.1:
        shot = shot.filter(ImageFilter.GaussianBlur(softness))
    shot = ImageEnhance.Color(shot).enhance(look.saturation * (1 - 0.3 * light.night))
    values = _curve(look).take(np.asarray(shot)) + _noise(rng, size) * np.float32(look.noise * (1 + 0.45 * light.night))
    return _compressed(Image.fromarray(np.minimum(np.maximum(values, 0), 255).astype(np.uint8)), look.quality)


def _auto_exposure(light: Light) -> float:
    """Gain that brings level ground near the same brightness by day; at night a camera does not get all the way."""
    return float(1.36 / max(float(light.flat().mean()), 0.2) ** 0.8) * (1 - 0.34 * light.night)


@lru_cache(maxsize=128)
def _curve(look: CameraLook) -> Floats:
    """Tone curve (256,) for all three bands: a gentle S, gamma, haze."""
    x = np.linspace(0, 1, 256)
    bent = (0.72 * x + 0.28 * x * x * (3 - 2 * x)) ** look.gamma * (1 - look.haze) + 0.75 * look.haze
    return (bent * 255).round().clip(0, 255).astype(np.float32)


@lru_cache(maxsize=1)
def _noise_bank() -> Floats:
    """Sensor noise (512, 512, 3), deviation 1: part of it per pixel, part of it smeared as video coding does."""
    rng = np.random.default_rng(11)
    fine = rng.standard_normal((512, 512, 3), dtype=np.float32)
    smeared = np.mean([np.roll(fine, shift, axis) for axis in (0, 1) for shift in (0, 1, 2)], axis=0)
    mixed = 0.6 * fine + 2.4 * smeared.mean(axis=2, keepdims=True)
    return np.asarray(mixed / mixed.std(), dtype=np.float32)


def _noise(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    if size[0] > 256 or size[1] > 256:
        return rng.standard_normal((size[1], size[0], 3), dtype=np.float32)
    top, left = (int(value) for value in rng.integers(0, 256, 2))
    return _noise_bank()[top : top + size[1], left : left + size[0]]


def _compressed(picture: Image.Image, quality: int) -> Image.Image:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")
