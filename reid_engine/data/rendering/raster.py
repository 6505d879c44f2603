"""Surfaces to pixels: tapered capsules and upright tubes with a depth buffer and analytic edges.

Frames. Body frame: (left, up, forward), in body heights (the person is 1.0 tall, feet at up = 0). Camera frame: X to
the right, Y up, Z towards the camera. The projection is orthographic: a surveillance crop is far away compared with its
size. Colours are linear light (the square of the stored value), so that blending and shading add up as light does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Vec = NDArray[np.float64]
Mask = Callable[[Floats, Floats], Floats]

_LUT_ROWS = 192


@dataclass(frozen=True)
class Projection:
    """Where the body stands in the picture. `view` and `pitch` in radians, `scale` in pixels per body height."""

    view: float
    pitch: float
    scale: float
    foot_x: float
    foot_y: float

    def turned(self, angle: float) -> Projection:
        """The same projection for a part that is turned by `angle` radians against the body."""
        return Projection(self.view + angle, self.pitch, self.scale, self.foot_x, self.foot_y)

    def camera(self, point: Vec) -> tuple[float, float, float]:
        """Body (left, up, forward) to camera (X, Y, Z), still in body heights."""
        cos, sin = self._turn
        left, up, forward = point.tolist()
        return left * cos + forward * sin, up, forward * cos - left * sin

    def pixel(self, point: Vec) -> tuple[float, float, float]:
        """Body point to (x, y, depth) in pixels; a greater depth is nearer to the camera."""
        x, up, near = self.camera(point)
        cos, sin = self._tilt
        y = self.foot_y - self.scale * (up * cos - near * sin)
        return self.foot_x + self.scale * x, y, self.scale * (near * cos + up * sin)

    @cached_property
    def _turn(self) -> tuple[float, float]:
        return float(np.cos(self.view)), float(np.sin(self.view))

    @cached_property
    def _tilt(self) -> tuple[float, float]:
        return float(np.cos(self.pitch)), float(np.sin(self.pitch))


@dataclass(frozen=True)
class Patch:
    """A surface as it covers a rectangle of the picture: (h, w) arrays.

    `around` is the angle about the part (0 = the body's front, positive to its left), `along` the height or length in
    body heights, `nx, ny, nz` the normal in the camera frame. `cloth` computes the first two: bare skin needs neither.
    """

    top: int
    left: int
    coverage: Floats
    depth: Floats
    nx: Floats
    ny: Floats
    nz: Floats
    cloth: Callable[[], tuple[Floats, Floats]]

    @cached_property
    def _cloth(self) -> tuple[Floats, Floats]:
        return self.cloth()

    @property
    def around(self) -> Floats:
        return self._cloth[0]

    @property
    def along(self) -> Floats:
        return self._cloth[1]


@dataclass(frozen=True)
class Profile:
    """An upright tube: at each height `up` (ascending) its half width, half depth and the place of its axis."""

    up: Vec
    half_width: Vec
    half_depth: Vec
    axis_left: Vec
    axis_forward: Vec
    boxy: bool = False

    @staticmethod
    def of(
        rows: list[tuple[float, float, float]],
        left: float = 0.0,
        forward: float = 0.0,
        lean: float = 0.0,
        boxy: bool = False,
    ) -> Profile:
        """From rows (up, half width, half depth); the axis leans forward by `lean` per unit of height."""
        table = np.array(sorted(rows), dtype=float)
        fine = np.linspace(table[0, 0], table[-1, 0], _LUT_ROWS)
        width, depth = np.interp(fine, table[:, 0], table[:, 1]), np.interp(fine, table[:, 0], table[:, 2])
        if not boxy:
            width, depth = _smooth(width), _smooth(depth)
        return Profile(fine, width, depth, np.full_like(fine, left), forward + lean * (fine - fine[0]), boxy)

    @staticmethod
    def ellipsoid(centre: Vec, half: tuple[float, float, float]) -> Profile:
        """An ellipsoid of half axes (left, up, forward) about `centre`."""
        t = np.linspace(-1, 1, _LUT_ROWS)
        ring = np.sqrt(np.clip(1 - t * t, 0, 1))
        flat = np.ones_like(t)
        return Profile(centre[1] + half[1] * t, half[0] * ring, half[2] * ring, centre[0] * flat, centre[2] * flat)


_KERNEL = np.hanning(17) / np.hanning(17).sum()


def _smooth(values: Vec) -> Vec:
    padded = np.concatenate([np.full(8, values[0]), values, np.full(8, values[-1])])
    return np.convolve(padded, _KERNEL, mode="valid")


def _between(values: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """np.clip without its checks, which take longer than a small patch's numbers."""
    between: NDArray[Any] = np.minimum(np.maximum(values, low), high)
    return between


class Canvas:
    """Colour (H, W, 3) and alpha (H, W) in linear light, with a depth buffer."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.colour = np.zeros((3, height, width), np.float32).transpose(1, 2, 0)  # bands apart in memory
        self.alpha = np.zeros((height, width), np.float32)
        self.depth = np.full((height, width), -1e9, np.float32)

    def clip(self, x0: float, y0: float, x1: float, y1: float) -> tuple[int, int, int, int] | None:
        """The whole-pixel rectangle inside the canvas, or None when nothing of it is visible."""
        left, top = max(0, floor(x0) - 1), max(0, floor(y0) - 1)
        right, bottom = min(self.width, ceil(x1) + 2), min(self.height, ceil(y1) + 2)
        return (left, top, right, bottom) if right > left and bottom > top else None

    def blend(self, patch: Patch, colour: Floats, bias: float = 0.0) -> None:
        """Lay `colour` (h, w, 3) over what lies behind the patch; nearer surfaces stay.

        `bias` pixels are added to the patch's depth for this comparison only: cloth lies over what it covers.
        """
        rows = slice(patch.top, patch.top + patch.coverage.shape[0])
        cols = slice(patch.left, patch.left + patch.coverage.shape[1])
        old, under = self.depth[rows, cols], self.colour[rows, cols]
        cover = np.where(patch.depth + np.float32(bias) >= old, patch.coverage, 0)
        gain = colour - under
        gain *= cover[..., None]
        under += gain
        alpha = self.alpha[rows, cols]
        np.maximum(alpha, cover, out=alpha)
        np.copyto(old, patch.depth, where=cover > 0.5)

    def darken(self, patch: Patch, strength: float) -> None:
        """Take light from what is already drawn under the patch: most along its middle, none at its edge."""
        rows = slice(patch.top, patch.top + patch.coverage.shape[0])
        cols = slice(patch.left, patch.left + patch.coverage.shape[1])
        self.colour[rows, cols] *= (1 - np.float32(strength) * np.minimum(patch.nz * 1.6, 1) * patch.coverage)[
            ..., None
        ]


def capsule(canvas: Canvas, projection: Projection, ends: tuple[Vec, Vec], radii: tuple[float, float]) -> Patch | None:
    """A limb: a ball swept from one joint to another while its radius changes linearly."""
    (x0, y0, z0), (x1, y1, z1) = projection.pixel(ends[0]), projection.pixel(ends[1])
    r0, r1 = radii[0] * projection.scale, radii[1] * projection.scale
    box = canvas.clip(min(x0 - r0, x1 - r1), min(y0 - r0, y1 - r1), max(x0 + r0, x1 + r1), max(y0 + r0, y1 + r1))
    if box is None:
        return None
    dx, dy = x1 - x0, y1 - y0
    length2 = max(dx * dx + dy * dy, 1e-3)
    px = np.arange(box[0], box[2], dtype=np.float32)[None, :] + np.float32(0.5 - x0)
    py = np.arange(box[1], box[3], dtype=np.float32)[:, None] + np.float32(0.5 - y0)
    t = _between(px * np.float32(dx / length2) + py * np.float32(dy / length2), 0, 1)
    off_x, off_y = px - t * np.float32(dx), py - t * np.float32(dy)
    radius = np.float32(r0) + t * np.float32(r1 - r0)
    dist2 = off_x * off_x + off_y * off_y
    height = np.sqrt(np.maximum(radius * radius - dist2, 0))
    coverage = _between(radius - np.sqrt(dist2) + np.float32(0.5), 0, 1)
    inverse = 1 / np.maximum(radius, np.float32(0.5))
    nx, ny, nz = off_x * inverse, -off_y * inverse, height * inverse

    def cloth() -> tuple[Floats, Floats]:
        side = np.float32(1 / np.sqrt(length2)) * (off_x * np.float32(dy) - off_y * np.float32(dx)) * inverse
        around = np.arcsin(_between(side, -1, 1)) + np.float32(projection.view)
        return around, t * np.float32(np.linalg.norm(ends[1] - ends[0]))

    depth = np.float32(z0) + t * np.float32(z1 - z0) + height
    return Patch(box[1], box[0], coverage, depth, nx, ny, nz, cloth)


def tube(canvas: Canvas, projection: Projection, profile: Profile, mask: Mask | None = None) -> Patch | None:
    """A torso, head, skirt or bag: ellipses (or rectangles) stacked along an upright axis, seen under `projection`."""
    cos, sin = np.cos(projection.view), np.sin(projection.view)
    axis_x = profile.axis_left * cos + profile.axis_forward * sin
    axis_z = profile.axis_forward * cos - profile.axis_left * sin
    reach = np.abs(profile.half_width * cos) + np.abs(profile.half_depth * sin)
    deep = np.abs(profile.half_width * sin) + np.abs(profile.half_depth * cos)
    tilt_cos, tilt_sin = np.cos(projection.pitch), np.sin(projection.pitch)
    sunk = (axis_z + deep) * tilt_sin
    ups = profile.up * tilt_cos
    scale = projection.scale
    box = canvas.clip(
        projection.foot_x + scale * float((axis_x - reach).min()),
        projection.foot_y - scale * float(ups[-1]),
        projection.foot_x + scale * float((axis_x + reach).max()),
        projection.foot_y - scale * float((ups - sunk).min()),
    )
    if box is None:
        return None
    px = ((np.arange(box[0], box[2]) + 0.5 - projection.foot_x) / scale).astype(np.float32)[None, :]
    py = ((projection.foot_y - np.arange(box[1], box[3]) - 0.5) / scale).astype(np.float32)[:, None]
    step = (profile.up[-1] - profile.up[0]) / (_LUT_ROWS - 1)
    first = _row_index(py / tilt_cos + np.interp(py[:, 0], ups, axis_z)[:, None] * tilt_sin, profile.up[0], step)
    half = np.maximum(_silhouette(profile, cos, sin), 1e-4).astype(np.float32)
    rel = _between((px - axis_x.astype(np.float32)[first]) / half[first], -1, 1)
    bulge = np.ones_like(rel) if profile.boxy else np.sqrt(1 - rel * rel)
    near = (axis_z + deep).astype(np.float32)[first] * bulge
    up = (py + near * np.float32(tilt_sin)) / np.float32(tilt_cos)
    row = _row_index(up, profile.up[0], step)
    return _tube_patch(
        (box[1], box[0]),
        profile,
        projection,
        row,
        px - axis_x.astype(np.float32).take(row),
        up,
        axis_z.astype(np.float32).take(row),
        half,
        mask,
    )


def _row_index(up: Floats | Vec, bottom: float, step: float) -> NDArray[np.intp]:
    return _between((up - bottom) / step, 0, _LUT_ROWS - 1).astype(np.intp)


def _silhouette(profile: Profile, cos: float, sin: float) -> Vec:
    if profile.boxy:
        return np.abs(profile.half_width * cos) + np.abs(profile.half_depth * sin)
    return np.sqrt((profile.half_width * cos) ** 2 + (profile.half_depth * sin) ** 2)


def _tube_patch(
    corner: tuple[int, int],
    profile: Profile,
    projection: Projection,
    row: NDArray[np.intp],
    across: Floats,
    up: Floats,
    axis_z: Floats,
    half: Floats,
    mask: Mask | None,
) -> Patch:
    cos, sin = np.float32(np.cos(projection.view)), np.float32(np.sin(projection.view))
    a = np.maximum(profile.half_width, 1e-4).astype(np.float32).take(row)
    b = np.maximum(profile.half_depth, 1e-4).astype(np.float32).take(row)
    w = half.take(row)
    rel = _between(across / w, -1, 1)
    surface = _box_surface if profile.boxy else _ellipse_surface
    z, left, forward, nx, nz = surface(rel * w, rel, a, b, w, cos, sin)
    ny = _steepness(half, profile.up[1] - profile.up[0]).take(row) * np.sqrt(1 - rel * rel * np.float32(0.9))
    norm = 1 / np.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-6))
    scale = np.float32(projection.scale)
    ends = np.minimum(up - np.float32(profile.up[0]), np.float32(profile.up[-1]) - up) * scale
    coverage = _between((w - np.abs(across)) * scale + np.float32(0.5), 0, 1)
    coverage *= _between(ends + np.float32(0.5), 0, 1)
    around = np.arctan2(left / a, forward / b)
    if mask is not None:
        coverage *= mask(around, up)
    depth = scale * ((z + axis_z) * np.float32(np.cos(projection.pitch)) + up * np.float32(np.sin(projection.pitch)))
    return Patch(corner[0], corner[1], coverage, depth, nx * norm, ny * norm, nz * norm, lambda: (around, up))


def _steepness(half: Floats, step: float) -> Floats:
    """How much of the normal points upwards, by row: less where the tube widens upwards."""
    slope = np.empty_like(half)
    slope[1:-1] = (half[2:] - half[:-2]) / (2.0 * step)
    slope[0], slope[-1] = (half[1] - half[0]) / step, (half[-1] - half[-2]) / step
    return _between(-slope, -1.5, 3)


def _ellipse_surface(
    u: Floats, rel: Floats, a: Floats, b: Floats, w: Floats, cos: np.float32, sin: np.float32
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Near side of a turned ellipse at offset u: depth, (left, forward) in the body, normal (x, z)."""
    z = (b * b - a * a) * (sin * cos) / (w * w) * u + a * b / w * np.sqrt(1 - rel * rel)
    left, forward = u * cos - z * sin, u * sin + z * cos
    n_left, n_forward = left / (a * a), forward / (b * b)
    norm = 1 / np.sqrt(n_left * n_left + n_forward * n_forward + np.float32(1e-9))
    n_left, n_forward = n_left * norm, n_forward * norm
    return z, left, forward, n_left * cos + n_forward * sin, n_forward * cos - n_left * sin


def _box_surface(
    u: Floats, rel: Floats, a: Floats, b: Floats, w: Floats, cos: np.float32, sin: np.float32
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """As `_ellipse_surface` for a rectangle of half sides a (left) and b (forward)."""
    best = np.full_like(u, 1e3)
    nx, nz = np.zeros_like(u), np.ones_like(u)
    for reach, x, z in ((a, cos, -sin), (a, -cos, sin), (b, sin, cos), (b, -sin, -cos)):
        if z > 0.02:
            plane = (reach - x * u) / z
            closer = plane < best
            best = np.where(closer, plane, best)
            nx, nz = np.where(closer, x, nx), np.where(closer, z, nz)
    return best, u * cos - best * sin, u * sin + best * cos, nx, nz
