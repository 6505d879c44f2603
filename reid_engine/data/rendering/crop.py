"""One crop: the body in its street, with shadow, passers-by and whatever stands in front, recorded by a camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from reid_engine.data.rendering.appearance import Person
from reid_engine.data.rendering.body import Moment, Painter, draw_body
from reid_engine.data.rendering.light import Light
from reid_engine.data.rendering.raster import Canvas, Floats, Projection
from reid_engine.data.rendering.scene import PLATE_HEIGHT, PLATE_WIDTH, CameraLook, Plate, plate, record

Box = tuple[float, float, float, float]

# Edges are anti-aliased by coverage already: twice the pixels are enough for a small crop, fewer for a large one.
_SUPERSAMPLE_MAX, _SUPERSAMPLE_MIN, _DRAWN_HEIGHT, _LARGE = 2.0, 1.4, 232, 200
_TIGHT = 0.88  # detectors' boxes are narrower than 1:2 and are stretched to it
_EXTRAS = 10
_BILINEAR = Image.Resampling.BILINEAR
OVERCAST = Light.at(12.0, 1.0)


@dataclass(frozen=True)
class Shot:
    """Everything about one crop that is not the person: camera, light, view, moment, and how well the box fits.

    `view` in degrees: 0 = facing the camera, 90 = walking to the picture's right, 180 = seen from behind. `crowd` is
    the chance of somebody else in the box, `sloppiness` scales the detector's errors.
    """

    look: CameraLook
    light: Light = OVERCAST
    view: float = 0.0
    moment: Moment = Moment(0.0)
    crowd: float = 0.1
    sloppiness: float = 1.0


@dataclass(frozen=True)
class Window:
    """The part of a plate that lies behind the body: a box in plate pixels, and the row the feet stand on."""

    scene: Plate
    box: Box
    foot: float


def render_person(
    person: Person, rng: np.random.Generator, shot: Shot, size: tuple[int, int] = (64, 128)
) -> Image.Image:
    """One crop of `person`, RGB, `size` = (width, height). Equal arguments and generator states give equal pictures."""
    canvas = _canvas(size)
    frame = _frame(canvas, shot, rng)
    draw_body(Painter(canvas, frame, shot.light, float(rng.uniform(0, 0.4))), person, shot.moment)
    window = _window(canvas, frame, plate(shot.look), rng)
    picture = _background(canvas, frame, window, shot.light)
    if rng.random() < shot.crowd:
        _add_extra(picture, frame, shot.light, rng)
    picture += canvas.alpha[..., None] * (canvas.colour - picture)
    _cover(picture, window, shot.light)
    return record(picture, shot.look, shot.light, rng, size)


def _canvas(size: tuple[int, int]) -> Canvas:
    factor = min(_SUPERSAMPLE_MAX, max(_SUPERSAMPLE_MIN, _DRAWN_HEIGHT / size[1]))
    if size[1] > _LARGE:
        factor = _SUPERSAMPLE_MAX
    return Canvas(int(size[0] * factor * _TIGHT), int(size[1] * factor))


def _frame(canvas: Canvas, shot: Shot, rng: np.random.Generator) -> Projection:
    """The body's place in the crop: a detector's box fits only roughly."""
    size_error, up_error, side_error = shot.sloppiness * rng.normal(0, (0.035, 0.016, 0.035))
    tall = 1.15 if shot.moment.umbrella else 1.0
    scale = canvas.height * (0.92 + size_error) / tall
    foot_x, foot_y = canvas.width * (0.5 + side_error), canvas.height * (0.968 + up_error)
    return Projection(float(np.radians(shot.view)), shot.look.pitch, float(scale), float(foot_x), float(foot_y))


def _window(canvas: Canvas, frame: Projection, scene: Plate, rng: np.random.Generator) -> Window:
    """A place on the street for these feet; the farther away, the smaller the window that fills the crop."""
    foot = float(rng.uniform(max(scene.wall_foot + 24, PLATE_HEIGHT * 0.42), PLATE_HEIGHT - 14))
    zoom = scene.body_height(foot) / frame.scale
    left = float(rng.uniform(0, max(1.0, PLATE_WIDTH - canvas.width * zoom)))
    top = foot - frame.foot_y * zoom
    bottom = min(PLATE_HEIGHT, top + canvas.height * zoom)
    return Window(scene, (left, max(0.0, top), left + canvas.width * zoom, bottom), foot)


def _background(canvas: Canvas, frame: Projection, window: Window, light: Light) -> Floats:
    """The lit street behind the body, less the light the body takes, (H, W, 3)."""
    street = window.scene.back.resize((canvas.width, canvas.height), _BILINEAR, window.box)
    return _linear(street) * (light.flat() * (1 - _shadow(canvas, frame, light)[..., None]))


def _cover(picture: Floats, window: Window, light: Light) -> None:
    """Draw the railing, post or planter over the body if it stands nearer to the camera."""
    if window.scene.front is None or window.foot > window.scene.front_foot or not _overlap(window):
        return
    layer = window.scene.front.resize((picture.shape[1], picture.shape[0]), _BILINEAR, window.box)
    values = np.asarray(layer, dtype=np.float32) * np.float32(1 / 255)
    picture += values[..., 3:] * (values[..., :3] ** 2 * light.flat() - picture)


def _overlap(window: Window) -> bool:
    """Whether the window shows any of the foreground at all."""
    (left, top, right, bottom), (x0, y0, x1, y1) = window.box, window.scene.front_box
    return left < x1 and x0 < right and top < y1 and y0 < bottom


def _linear(picture: Image.Image) -> Floats:
    values = np.asarray(picture, dtype=np.float32) * np.float32(1 / 255)
    return values * values


def _shadow(canvas: Canvas, frame: Projection, light: Light) -> Floats:
    """How much light the body takes from the ground, (H, W) in 0..1: cast shadow and the dark where the feet touch."""
    cast = np.asarray(_cast_shadow(canvas, frame, light), dtype=np.float32)
    strength = light.sun[1] * max(light.direction[1], 0) / float(light.flat()[1] + 1e-6)
    y, across = np.ogrid[: cast.shape[0], : cast.shape[1]]
    wide, tall = 0.024 * frame.scale, 0.008 * frame.scale
    contact = 127 * np.exp(-(((across - frame.foot_x / 4) / wide) ** 2) - ((y - frame.foot_y / 4 + 1.5) / tall) ** 2)
    both = Image.fromarray(np.maximum(cast * strength, contact).astype(np.uint8))
    return np.asarray(both.resize((canvas.width, canvas.height), _BILINEAR), dtype=np.float32) * np.float32(1 / 255)


def _cast_shadow(canvas: Canvas, frame: Projection, light: Light) -> Image.Image:
    """The body's silhouette laid on the ground along the sun, at a quarter of the size.

    A point `h` above the feet throws its shadow to (x + lean_x h, foot + lean_y h); the transform is its inverse.
    """
    alpha = Image.fromarray((canvas.alpha[::4, ::4] * 255).astype(np.uint8))
    x, up, near = light.direction
    lean_x, lean_y = -x / max(up, 0.3), -near / max(up, 0.3) * float(np.sin(frame.pitch + 0.12))
    lean_y = float(np.copysign(max(abs(lean_y), 0.06), lean_y))
    foot = (frame.foot_y - 6) / 4
    inverse = (1, lean_x / lean_y, -foot * lean_x / lean_y, 0, -1 / lean_y, foot * (1 + 1 / lean_y))
    laid = alpha.transform(alpha.size, Image.Transform.AFFINE, inverse, _BILINEAR)
    return laid.filter(ImageFilter.GaussianBlur(1.0))


@lru_cache(maxsize=_EXTRAS)
def _extra(number: int) -> Image.Image:
    """Another passer-by, drawn once, RGBA, to stand at the side of a crop."""
    canvas = Canvas(128, 256)
    frame = Projection(float(np.radians(36.0 * number + 10)), 0.18, 230.0, 64.0, 250.0)
    draw_body(Painter(canvas, frame, OVERCAST, 0.1), Person.from_seed(900_000 + number), Moment(number / _EXTRAS))
    colour = np.sqrt(np.clip(canvas.colour, 0, 1))
    return Image.fromarray((np.dstack([colour, canvas.alpha]) * 255).astype(np.uint8))


def _add_extra(picture: Floats, frame: Projection, light: Light, rng: np.random.Generator) -> None:
    """Somebody else behind the person, at the side of the box, partly outside it."""
    height, width = picture.shape[:2]
    extra = _extra(int(rng.integers(_EXTRAS)))
    factor = height / extra.height * float(rng.uniform(0.68, 0.95))
    layer = extra.resize((int(extra.width * factor), int(extra.height * factor)), _BILINEAR)
    left = int(frame.foot_x + rng.choice([-1, 1]) * width * rng.uniform(0.36, 0.62)) - layer.width // 2
    top = int(frame.foot_y * rng.uniform(0.9, 1.0) - layer.height * 250 / 256)
    part = layer.crop((-left, -top, width - left, height - top))
    values = np.asarray(part, dtype=np.float32) * np.float32(1 / 255)
    picture += values[..., 3:] * (values[..., :3] ** 2 * (light.flat() / OVERCAST.flat()) - picture)
