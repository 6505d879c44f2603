"""A dressed, walking body from a Person: joints by gait, parts as capsules and tubes, cloth and its patterns.

Measures are in body heights. Gait after the usual sinusoidal approximation: hip and shoulder swing in opposition, the
knee bends while its leg swings forward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from reid_engine.data.rendering.appearance import Cloth, Colour, Person
from reid_engine.data.rendering.light import Light
from reid_engine.data.rendering.raster import Canvas, Floats, Patch, Profile, Projection, Vec, capsule, tube

Gesture = Literal["swing", "phone", "call", "pockets"]

_HIP, _KNEE_LENGTH, _SHIN_LENGTH, _ANKLE = 0.515, 0.245, 0.232, 0.04
_SHOULDER, _UPPER_ARM, _FOREARM = 0.787, 0.163, 0.148
_HEAD = 0.929
_NOISE = 256
_BITS, _LAST = 8, _NOISE - 1  # of a place in the field: a mask is faster than a remainder
_FINE_SCALE = 300.0  # pixels per body height from which small creases can be seen


def _fold_noise() -> Floats:
    """A tileable field (256, 256) about 0: mostly slanting ridges, as cloth hangs and creases."""
    rng = np.random.default_rng(5)
    freq = np.fft.fftfreq(_NOISE)
    fx, fy = freq[None, :] * 1.9 + freq[:, None] * 0.5, freq[:, None]
    spectrum = 1 / (0.0012 + (fx * fx + 2.6 * fy * fy)) ** 1.35
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=(_NOISE, _NOISE))) * spectrum).real
    return np.asarray(field / field.std(), dtype=np.float32)


_FOLDS = _fold_noise()


@dataclass(frozen=True)
class Moment:
    """How the body is caught: gait phase 0..1, walking or standing, what the hands do, and an open umbrella."""

    phase: float
    walking: bool = True
    gesture: Gesture = "swing"
    umbrella: bool = False
    twist: float = 0.0


@dataclass(frozen=True)
class Skeleton:
    """Joint positions (left, up, forward); index 0 is the right side, 1 the left."""

    hips: tuple[Vec, Vec]
    knees: tuple[Vec, Vec]
    ankles: tuple[Vec, Vec]
    toes: tuple[Vec, Vec]
    shoulders: tuple[Vec, Vec]
    elbows: tuple[Vec, Vec]
    wrists: tuple[Vec, Vec]
    lean: float


@lru_cache(maxsize=4096)
def linear(colour: Colour) -> Floats:
    """sRGB 0..255 to linear light 0..1 (gamma 2)."""
    light = ((np.array(colour, dtype=np.float32) / 255) ** 2).astype(np.float32)
    light.flags.writeable = False
    return light


def skeleton(person: Person, moment: Moment) -> Skeleton:
    """Joints of the person at this moment, lowered or raised so that the lower foot stands on the ground."""
    cycle = 2 * np.pi * moment.phase
    legs = [_leg(person, cycle + np.pi * side, side, moment.walking) for side in (0, 1)]
    drop = min(min(leg[2][1], leg[3][1] + 0.02) for leg in legs) - _ANKLE
    legs = [[joint - np.array([0, drop, 0]) for joint in leg] for leg in legs]
    lean = person.build.lean if moment.walking else person.build.lean * 0.3
    arms = [_arm(person, moment, cycle + np.pi * (1 - side), side, lean, -drop) for side in (0, 1)]
    hips, knees, ankles, toes = ((legs[0][i], legs[1][i]) for i in range(4))
    shoulders, elbows, wrists = ((arms[0][i], arms[1][i]) for i in range(3))
    return Skeleton(hips, knees, ankles, toes, shoulders, elbows, wrists, lean)


def _leg(person: Person, cycle: float, side: int, walking: bool) -> list[Vec]:
    sign = 1 if side else -1
    swing = 0.37 * person.build.stride * np.sin(cycle) if walking else 0.04 * np.sin(cycle)
    bend = 0.1 + (0.95 * max(0.0, np.cos(cycle + 0.35)) ** 2 if walking else 0.0)
    hip = np.array([sign * 0.05 * person.build.hips * person.build.girth, _HIP, 0.0])
    knee = hip + _KNEE_LENGTH * np.array([sign * 0.02, -np.cos(swing), np.sin(swing)])
    shin = swing - bend
    ankle = knee + _SHIN_LENGTH * np.array([-sign * 0.04, -np.cos(shin), np.sin(shin)])
    tilt = 0.12 + max(-0.5, min(0.2, shin)) * 0.9
    toe = ankle + np.array([sign * 0.02, -0.018 + 0.1 * tilt - 0.012, 0.088 * np.cos(tilt)])
    return [hip, knee, ankle, toe]


def _arm(person: Person, moment: Moment, cycle: float, side: int, lean: float, lift: float) -> list[Vec]:
    sign = 1 if side else -1
    swing = 0.42 * person.build.arm_swing * np.sin(cycle) if moment.walking else 0.05
    bend, spread, inward = 0.28 + 0.2 * max(0.0, np.sin(cycle)), 0.13 + 0.1 * (person.build.girth - 1), 0.06
    active = sign == person.carried.side
    if moment.umbrella and active:
        swing, bend, spread, inward = 0.25, 2.2, 0.16, 0.1
    elif moment.gesture == "phone" and not active:
        swing, bend, spread, inward = 0.35, 1.75, 0.14, 0.75
    elif moment.gesture == "call" and not active:
        swing, bend, spread, inward = 0.5, 2.5, 0.35, 0.25
    elif moment.gesture == "pockets":
        swing, bend, spread, inward = -0.22, 0.55, 0.3, 0.3
    elif person.carried.bag in ("handbag", "carrier") and active:
        swing, bend = swing * 0.35, 0.12
    elif person.carried.bag == "suitcase" and active:
        swing, bend, spread = -0.35, 0.1, 0.2
    shoulder = np.array([sign * 0.1 * person.build.shoulders, _SHOULDER + lift, lean * 0.3])
    elbow = shoulder + _UPPER_ARM * np.array([sign * np.sin(spread), -np.cos(swing) * np.cos(spread), np.sin(swing)])
    fore = swing + bend
    reach = np.array([-sign * inward * np.sin(min(bend, 1.6)) * 0.9 + sign * 0.03, -np.cos(fore), np.sin(fore)])
    return [shoulder, elbow, elbow + _FOREARM * reach / np.linalg.norm(reach)]


def cloth_colour(cloth: Cloth, patch: Patch, limb: bool = False) -> Floats:
    """Linear colour of the fabric at every pixel of the patch, (h, w, 3) or broadcastable to it."""
    main, accent = linear(cloth.colour), linear(cloth.accent)
    weight = _pattern_weight(cloth, patch.around, patch.along, limb)
    if weight is None:
        return main[None, None, :]
    return main + np.asarray(np.clip(weight, 0, 1)[..., None] * (accent - main), dtype=np.float32)


def _pattern_weight(cloth: Cloth, around: Floats, along: Floats, limb: bool) -> Floats | None:
    painter = _PATTERNS.get(cloth.pattern)
    if painter is None or (limb and cloth.pattern in ("print", "back_print", "yoke")):
        return None
    return painter(around, along, np.float32(cloth.scale))


def _step(value: Floats, edge: float, soft: float) -> Floats:
    """0 below the edge, 1 above it, a ramp of width `soft` between."""
    ramp = (value - np.float32(edge)) * np.float32(1 / soft) + np.float32(0.5)
    return np.asarray(np.minimum(np.maximum(ramp, 0), 1), dtype=np.float32)


def _stripes(around: Floats, along: Floats, scale: np.float32) -> Floats:
    return _step(np.sin(along * (150 / scale)), 0.1, 0.8)


def _pinstripe(around: Floats, along: Floats, scale: np.float32) -> Floats:
    return np.float32(0.55) * _step(np.cos(around * np.round(16 / scale)), 0.55, 0.7)


def _plaid(around: Floats, along: Floats, scale: np.float32) -> Floats:
    across = _step(np.cos(around * np.round(9 / scale)), 0.2, 0.6)
    return np.float32(0.5) * (across + _step(np.sin(along * (115 / scale)), 0.2, 0.6))


def _dots(around: Floats, along: Floats, scale: np.float32) -> Floats:
    row = along * (34 / scale)
    u = around * np.float32(2.6 / scale) + np.float32(0.5) * np.floor(row) - np.float32(0.25)
    return _step(np.float32(0.12) - (u - np.round(u)) ** 2 - (row - np.floor(row) - np.float32(0.5)) ** 2, 0, 0.08)


def _lookup(around: Floats, along: Floats, wide: float, tall: float) -> Floats:
    row, column = (along * np.float32(tall)).astype(np.intp), (around * np.float32(wide)).astype(np.intp)
    return _FOLDS.take(((row & _LAST) << _BITS) | (column & _LAST))


def _mottled(around: Floats, along: Floats, scale: np.float32) -> Floats:
    return _step(_lookup(around, along, 30 / float(scale), 420 / float(scale)), 0.25, 0.5)


def _yoke(around: Floats, along: Floats, scale: np.float32) -> Floats:
    return _step(along, 0.7 + 0.02 * float(scale), 0.008)


def _band(around: Floats, along: Floats, scale: np.float32) -> Floats:
    return _step(np.float32(0.026 * scale) - np.abs(along - np.float32(0.685)), 0, 0.008)


def _print(around: Floats, along: Floats, scale: np.float32) -> Floats:
    ragged = _lookup(around, along, 46, 900) * np.float32(0.012)
    return _step(
        np.float32(0.045 * scale)
        - np.hypot(around * np.float32(0.1), (along - np.float32(0.71)) * np.float32(1.2))
        + ragged,
        0,
        0.01,
    )


def _back_print(around: Floats, along: Floats, scale: np.float32) -> Floats:
    behind = np.float32(np.pi) - np.abs(around)
    return _step(np.float32(0.55) - behind, 0, 0.1) * _step(
        np.float32(0.035 * scale) - np.abs(along - np.float32(0.72)), 0, 0.01
    )


def _fade(around: Floats, along: Floats, scale: np.float32) -> Floats:
    return np.float32(0.7) * np.exp(
        -(((along - np.float32(0.11)) / np.float32(0.07)) ** 2) - (np.abs(around) - 0.4) ** 2
    )


_PATTERNS: dict[str, Callable[[Floats, Floats, np.float32], Floats]] = {
    "stripes": _stripes,
    "pinstripe": _pinstripe,
    "plaid": _plaid,
    "dots": _dots,
    "mottled": _mottled,
    "yoke": _yoke,
    "print": _print,
    "back_print": _back_print,
    "band": _band,
    "fade": _fade,
}


class Painter:
    """Draws the parts of one body on one canvas under one light."""

    def __init__(self, canvas: Canvas, projection: Projection, light: Light, jitter: float) -> None:
        self.canvas, self.projection, self.light, self.jitter = canvas, projection, light, jitter

    def paint(
        self,
        patch: Patch | None,
        colour: Floats,
        folds: float = 0.0,
        stretch: tuple[float, float] = (22, 300),
        bias: float = 0.0,
    ) -> None:
        """Shade the patch with `colour` (3,) or (h, w, 3), crease it by `folds`, and lay it on the canvas.

        `bias` brings the part nearer to the camera by so many body heights: cloth lies over what it covers.
        """
        if patch is None:
            return
        shade = self.light.shade(patch.nx, patch.ny, patch.nz)
        if folds:
            shade = shade * self._crease(patch, folds, stretch)[..., None]
        self.canvas.blend(patch, colour * shade, bias * self.projection.scale)

    def _crease(self, patch: Patch, folds: float, stretch: tuple[float, float]) -> Floats:
        """Light and dark of the folds about 1; the small ones only where the picture is large enough to show them."""
        height = patch.along + np.float32(self.jitter)
        crease = 1 + np.float32(0.13 * folds) * _lookup(patch.around, height, *stretch)
        if self.projection.scale > _FINE_SCALE:
            crease += np.float32(0.07 * folds) * _lookup(patch.around + height * 9, height, 9, 1100)
        return crease

    def limb(
        self, ends: tuple[Vec, Vec], radii: tuple[float, float], colour: Colour | Cloth, folds: float = 0.0
    ) -> None:
        patch = capsule(self.canvas, self.projection, ends, radii)
        if patch is not None:
            painted = cloth_colour(colour, patch, limb=True) if isinstance(colour, Cloth) else linear(colour)
            self.paint(patch, painted, folds, (14, 420))

    def gloom(self, ends: tuple[Vec, Vec], radii: tuple[float, float], strength: float = 0.4) -> None:
        """The soft darkness a limb throws on what lies close behind it."""
        patch = capsule(self.canvas, self.projection, ends, radii)
        if patch is not None:
            self.canvas.darken(patch, strength)

    def solid(
        self,
        profile: Profile,
        colour: Colour,
        mask: Callable[[Floats, Floats], Floats] | None = None,
        folds: float = 0.0,
        turn: float = 0.0,
    ) -> None:
        projection = self.projection.turned(turn) if turn else self.projection
        self.paint(tube(self.canvas, projection, profile, mask), linear(colour), folds)


def draw_body(painter: Painter, person: Person, moment: Moment) -> None:
    """All parts, the far ones first, so that soft edges fall on what is really behind them."""
    bones = skeleton(person, moment)
    far = (
        0 if painter.projection.camera(bones.shoulders[0])[2] < painter.projection.camera(bones.shoulders[1])[2] else 1
    )
    back_view = np.cos(painter.projection.view) < 0
    if not back_view:
        _draw_behind(painter, person, bones)
    else:
        _draw_umbrella(painter, person, bones, moment)
    for side in (far, 1 - far):
        _draw_leg(painter, person, bones, side)
    _draw_skirt(painter, person, bones, moment)
    _draw_torso(painter, person, bones, moment)
    _draw_arm(painter, person, bones, far)
    _draw_head(painter, person, bones)
    _draw_arm(painter, person, bones, 1 - far)
    _draw_bag(painter, person, bones)
    if back_view:
        _draw_behind(painter, person, bones)
    else:
        _draw_umbrella(painter, person, bones, moment)


def _draw_leg(painter: Painter, person: Person, bones: Skeleton, side: int) -> None:
    girth = (0.5 + 0.5 * person.build.girth) * 1.1
    hip, knee, ankle, toe = bones.hips[side], bones.knees[side], bones.ankles[side], bones.toes[side]
    cover = {"trousers": 1.0, "slim": 1.0, "wide": 1.0, "shorts": 0.46}.get(person.bottom_kind, 0.0)
    loose = {"trousers": 1.12, "slim": 0.96, "wide": 1.34, "shorts": 1.3}.get(person.bottom_kind, 1.0)
    painter.gloom((hip, ankle), (0.085 * girth, 0.06))
    heel = ankle + np.array([0, -0.016, -0.018])
    painter.limb((heel, toe), (0.023, 0.02), person.sole)
    painter.limb((heel + np.array([0, 0.012, 0.004]), toe + np.array([0, 0.008, 0])), (0.024, 0.019), person.shoes)
    if cover < 1:
        painter.limb((hip, knee), (0.056 * girth, 0.037 * girth), person.skin)
        painter.limb((knee, knee + 0.45 * (ankle - knee)), (0.035 * girth, 0.037 * girth), person.skin)
        painter.limb((knee + 0.4 * (ankle - knee), ankle), (0.037 * girth, 0.021), person.skin)
        painter.limb((ankle + 0.22 * (knee - ankle), ankle), (0.024, 0.022), person.socks)
    if cover == 1.0:
        hem = {"wide": 0.046, "slim": 0.026}.get(person.bottom_kind, 0.034)
        painter.limb(
            (knee, knee + 0.95 * (ankle - knee)), (0.042 * girth * loose, hem), person.bottom, person.bottom.folds
        )
    end = knee if cover == 1.0 else hip + 2 * cover * (knee - hip)
    if cover:
        widest = 0.105 * person.build.hips * person.build.girth - abs(float(hip[0])) + 0.004
        painter.limb(
            (hip, end),
            (min(0.061 * girth * max(loose, 1.0), widest), 0.043 * girth * loose),
            person.bottom,
            person.bottom.folds,
        )


def _draw_skirt(painter: Painter, person: Person, bones: Skeleton, moment: Moment) -> None:
    if person.bottom_kind not in ("skirt", "long_skirt"):
        return
    build, lift = person.build, bones.hips[0][1] - _HIP
    hem = (0.31 if person.bottom_kind == "skirt" else 0.15) + lift
    reach = max(abs(float(knee[2])) for knee in bones.knees) * (0.9 if person.bottom_kind == "skirt" else 0.75)
    deep, wide = 0.085 * build.girth + reach, 0.128 * build.hips * build.girth
    rows = [
        (hem, wide, deep),
        (0.42 + lift, 0.118 * build.hips * build.girth, 0.092 * build.girth + 0.35 * reach),
        (0.52 + lift, 0.104 * build.hips * build.girth, 0.08 * build.girth),
        (0.60 + lift, 0.09 * build.girth, 0.07 * build.girth),
    ]
    cloth = person.top if person.top_kind == "dress" else person.bottom
    patch = tube(painter.canvas, painter.projection, Profile.of(rows))
    if patch is not None:
        painter.paint(patch, cloth_colour(cloth, patch), 0.6 + cloth.folds, (40, 60), bias=0.06)


def _torso_rows(person: Person, lift: float) -> list[tuple[float, float, float]]:
    build = person.build
    girth, belly = build.girth, 0.022 * build.belly
    loose = {"jacket": 1.1, "coat": 1.12, "hoodie": 1.11, "vest": 1.0, "dress": 0.96}.get(person.top_kind, 1.04)
    hem = {"hoodie": 0.475, "shirt": 0.47, "jacket": 0.485}.get(person.top_kind, 0.488)
    rows = [
        (hem, 0.108 * build.hips * girth, 0.088 * girth + belly),
        (0.56, 0.104 * build.hips * girth, 0.084 * girth + belly),
        (0.63, 0.09 * girth + belly * 0.5, 0.076 * girth + belly),
        (0.71, 0.109 * girth, 0.079 * girth),
        (0.765, 0.117 * build.shoulders, 0.072 * girth),
        (0.792, 0.113 * build.shoulders, 0.062 * girth),
        (0.813, 0.092 * build.shoulders, 0.052),
        (0.832, 0.064, 0.044),
        (0.85, 0.043, 0.038),
        (0.858, 0.036, 0.035),
    ]
    if person.top_kind == "coat":
        rows = [
            (0.30, 0.132 * girth * build.hips, 0.125 * girth),
            (0.40, 0.12 * girth * build.hips, 0.105 * girth),
            *rows,
        ]
    return [(up + lift, wide * loose, deep * loose) for up, wide, deep in rows]


def _draw_torso(painter: Painter, person: Person, bones: Skeleton, moment: Moment) -> None:
    lift = bones.hips[0][1] - _HIP
    profile = Profile.of(_torso_rows(person, lift), lean=bones.lean)
    hem = [bones.hips[side] * np.array([1, 0, 0]) + np.array([0, profile.up[0] - 0.012, 0.03]) for side in (0, 1)]
    painter.gloom((hem[0], hem[1]), (0.07, 0.07), 0.5)
    patch = tube(painter.canvas, painter.projection.turned(moment.twist), profile)
    if patch is not None:
        painter.paint(
            patch,
            _torso_colour(person, patch, 0.48 + lift),
            person.top.folds,
            bias=0.02 if person.top_kind != "coat" else 0.07,
        )
    if person.top_kind == "hoodie" and person.head.hat != "hood":
        hood = Profile.ellipsoid(np.array([0, 0.835 + lift, -0.045 + bones.lean * 0.3]), (0.07, 0.036, 0.04))
        painter.solid(hood, person.top.colour, folds=0.5)
    if person.head.scarf is not None:
        painter.solid(
            Profile.of([(0.815 + lift, 0.068, 0.064), (0.865 + lift, 0.056, 0.054)], forward=bones.lean * 0.35),
            person.head.scarf,
            folds=1.0,
        )


def _torso_colour(person: Person, patch: Patch, start: float) -> Floats:
    colour = np.broadcast_to(cloth_colour(person.top, patch), (*patch.coverage.shape, 3))
    front = np.abs(patch.around)
    if person.top_kind in ("jacket", "coat") and person.seed % 3:
        opening = _step(np.float32(0.12) + (patch.along - np.float32(start)) * np.float32(0.9) - front, 0, 0.06)
        colour = colour + opening[..., None] * (linear(person.inner) - colour)
    elif person.top_kind in ("shirt", "jacket", "coat", "hoodie"):
        colour = colour * (1 - np.float32(0.4) * _step(np.float32(0.035) - front, 0, 0.03))[..., None]
    if person.top_kind in ("tee", "vest", "dress", "polo", "shirt"):
        deep = 0.835 if person.top_kind != "vest" else 0.80
        line = np.float32(0.02) * np.minimum(front, np.float32(1.5)) + np.float32(deep + start - 0.48)
        neck = _step(np.asarray(patch.along - line, dtype=np.float32), 0, 0.006)
        colour = colour + neck[..., None] * (linear(person.skin) - colour)
    if person.carried.bag in ("crossbody", "backpack"):
        colour = colour + _strap(person, patch)[..., None] * (linear(person.carried.colour) * np.float32(0.8) - colour)
    return colour


def _strap(person: Person, patch: Patch) -> Floats:
    if person.carried.bag == "backpack":
        on_front = np.abs(np.abs(patch.around) - np.float32(0.75))
        return _step(np.float32(0.13) - on_front, 0, 0.06) * _step(patch.along, 0.66, 0.01)
    slant = np.sin(patch.around) * np.float32(0.105 * person.carried.side) + (
        patch.along - np.float32(0.68)
    ) * np.float32(0.75)
    return _step(np.float32(0.011) - np.abs(slant), 0, 0.006)


def _draw_arm(painter: Painter, person: Person, bones: Skeleton, side: int) -> None:
    girth = (0.45 + 0.55 * person.build.girth) * 1.08
    shoulder, elbow, wrist = bones.shoulders[side], bones.elbows[side], bones.wrists[side]
    painter.gloom((shoulder - np.array([0, 0.05, 0]), wrist), (0.05 * girth, 0.04 * girth))
    sleeve: Cloth | Colour = person.top.accent if person.raglan else person.top
    thick = {"jacket": 1.15, "coat": 1.18, "hoodie": 1.18}.get(person.top_kind, 1.06) * girth
    hand = wrist + 0.28 * (wrist - elbow)
    painter.limb((wrist, hand), (0.017, 0.014), person.skin)
    if person.sleeve < 1:
        painter.limb((elbow, wrist), (0.026 * girth, 0.018 * girth), person.skin)
        painter.limb((shoulder, elbow), (0.036 * girth, 0.027 * girth), person.skin)
    if person.sleeve > 0.5:
        end = wrist if person.sleeve >= 1 else elbow + (person.sleeve - 0.5) * 2 * (wrist - elbow)
        painter.limb((elbow, end), (0.029 * thick, 0.022 * thick), sleeve, person.top.folds)
    if person.sleeve > 0:
        part = min(1.0, person.sleeve * 2)
        painter.limb(
            (shoulder, shoulder + part * (elbow - shoulder)),
            (0.037 * thick, (0.038 - 0.007 * part) * thick),
            sleeve,
            person.top.folds,
        )


def _draw_head(painter: Painter, person: Person, bones: Skeleton) -> None:
    lift = bones.hips[0][1] - _HIP
    centre = np.array([0.0, _HEAD + lift, 0.012 + bones.lean * 0.42])
    painter.limb(
        (centre + np.array([0, -0.1, -0.014]), centre + np.array([0, -0.04, -0.006])), (0.033, 0.033), person.skin
    )
    skull = Profile.ellipsoid(centre, (0.051, 0.069, 0.061))
    painter.solid(skull, person.skin)
    if person.head.hat != "hood":
        _draw_hair(painter, person, centre)
    _draw_hat(painter, person, centre)


def _draw_hair(painter: Painter, person: Person, centre: Vec) -> None:
    top = float(centre[1])
    low = {"crop": 0.0, "short": -0.01, "tail": -0.015, "bun": -0.015}.get(person.head.hair, -0.055)

    def cap(around: Floats, up: Floats) -> Floats:
        """Hairline: high over the brow, down to the nape behind."""
        behind = np.clip((np.abs(around) - np.float32(0.7)) / np.float32(0.9), 0, 1)
        ragged = _lookup(around, up, 60, 150) * np.float32(0.004)
        return _step(up - np.float32(top + 0.03) + behind * np.float32(0.045 - low) + ragged, 0, 0.006)

    volume = 0.0 if person.head.hair == "crop" else 0.005
    shape = Profile.ellipsoid(centre + np.array([0, 0.005, -0.005]), (0.054 + volume, 0.071 + volume, 0.063 + volume))
    painter.solid(shape, person.head.hair_colour, cap, folds=1.1)
    if person.head.hair in ("long", "bob"):
        end = top - (0.16 if person.head.hair == "long" else 0.085)
        rows = [(end, 0.042, 0.024), (top - 0.06, 0.054, 0.034), (top, 0.054, 0.04), (top + 0.03, 0.05, 0.04)]
        painter.solid(Profile.of(rows, forward=float(centre[2]) - 0.03), person.head.hair_colour, folds=0.9)
    if person.head.hair == "tail":
        back = centre + np.array([0, 0.015, -0.062])
        painter.limb((back, back + np.array([0.004, -0.11, -0.022])), (0.02, 0.012), person.head.hair_colour)
    if person.head.hair == "bun":
        painter.solid(
            Profile.ellipsoid(centre + np.array([0, 0.05, -0.055]), (0.026, 0.026, 0.026)), person.head.hair_colour
        )


def _draw_hat(painter: Painter, person: Person, centre: Vec) -> None:
    top, front = float(centre[1]), float(centre[2])
    if person.head.hat == "cap":
        dome = Profile.ellipsoid(centre + np.array([0, 0.022, 0]), (0.063, 0.064, 0.072))
        painter.solid(dome, person.head.hat_colour, lambda around, up: _step(up, top + 0.022, 0.004))
        painter.limb(
            (centre + np.array([-0.024, 0.026, 0.066]), centre + np.array([0.024, 0.026, 0.066])),
            (0.019, 0.019),
            person.head.hat_colour,
        )
        painter.limb(
            (centre + np.array([0, 0.024, 0.078]), centre + np.array([0, 0.016, 0.1])),
            (0.022, 0.014),
            person.head.hat_colour,
        )
    elif person.head.hat == "beanie":
        dome = Profile.ellipsoid(centre + np.array([0, 0.016, -0.002]), (0.063, 0.074, 0.073))
        painter.solid(dome, person.head.hat_colour, lambda around, up: _step(up, top + 0.016, 0.004), folds=0.5)
    elif person.head.hat == "brim":
        painter.solid(
            Profile.of(
                [
                    (top + 0.018, 0.105, 0.108),
                    (top + 0.034, 0.07, 0.074),
                    (top + 0.04, 0.064, 0.072),
                    (top + 0.075, 0.06, 0.068),
                    (top + 0.092, 0.036, 0.042),
                ],
                forward=front,
            ),
            person.head.hat_colour,
        )
    elif person.head.hat == "hood":
        shell = Profile.ellipsoid(centre + np.array([0, -0.004, -0.014]), (0.062, 0.08, 0.074))
        painter.solid(
            shell,
            person.head.hat_colour,
            lambda around, up: _step(np.abs(around) + np.clip(up - np.float32(top + 0.03), 0, 1) * 30, 0.85, 0.15),
            folds=0.6,
        )


def _draw_behind(painter: Painter, person: Person, bones: Skeleton) -> None:
    if person.carried.bag != "backpack":
        return
    lift, back = bones.hips[0][1] - _HIP, -0.072 * person.build.girth - 0.045
    rows = [
        (0.59 + lift, 0.068, 0.03),
        (0.61 + lift, 0.08, 0.05),
        (0.7 + lift, 0.084, 0.054),
        (0.78 + lift, 0.078, 0.046),
        (0.815 + lift, 0.06, 0.03),
        (0.825 + lift, 0.03, 0.015),
    ]
    shade = tuple(value * 0.8 for value in person.carried.colour)
    painter.solid(Profile.of(rows, forward=back, lean=bones.lean), person.carried.colour, folds=0.7)
    pocket = [
        (0.60 + lift, 0.06, 0.016),
        (0.62 + lift, 0.066, 0.022),
        (0.68 + lift, 0.066, 0.022),
        (0.7 + lift, 0.06, 0.012),
    ]
    painter.solid(Profile.of(pocket, forward=back - 0.04), (shade[0], shade[1], shade[2]), folds=0.6)


def _draw_bag(painter: Painter, person: Person, bones: Skeleton) -> None:
    side = 1 if person.carried.side > 0 else 0
    sign, wrist, lift = person.carried.side, bones.wrists[side], bones.hips[0][1] - _HIP
    hand = wrist + 0.25 * (wrist - bones.elbows[side])
    if person.carried.bag == "crossbody":
        rows = [
            (0.47 + lift, 0.02, 0.055),
            (0.48 + lift, 0.024, 0.062),
            (0.555 + lift, 0.024, 0.062),
            (0.565 + lift, 0.018, 0.055),
        ]
        painter.solid(
            Profile.of(rows, left=sign * 0.118 * person.build.hips * person.build.girth, forward=0.01, boxy=True),
            person.carried.colour,
            folds=0.4,
        )
    elif person.carried.bag == "shoulder":
        rows = [
            (0.50 + lift, 0.026, 0.08),
            (0.53 + lift, 0.034, 0.088),
            (0.61 + lift, 0.03, 0.085),
            (0.635 + lift, 0.012, 0.07),
        ]
        painter.solid(
            Profile.of(rows, left=sign * 0.142 * person.build.shoulders, forward=-0.02),
            person.carried.colour,
            folds=0.7,
        )
        top = bones.shoulders[side] + np.array([0, 0.035, 0])
        for along in (-0.06, 0.035):
            painter.limb(
                (top, np.array([sign * 0.14 * person.build.shoulders, 0.63 + lift, along])),
                (0.006, 0.006),
                person.carried.colour,
            )
    elif person.carried.bag in ("handbag", "carrier"):
        tall, wide = (0.1, 0.07) if person.carried.bag == "handbag" else (0.15, 0.06)
        colour = person.carried.colour if person.carried.bag == "handbag" else person.inner
        top = float(hand[1]) - 0.04
        rows = [(top - tall, 0.024, wide), (top, 0.02, wide * 0.92)]
        painter.solid(
            Profile.of(rows, left=float(hand[0]) + sign * 0.012, forward=float(hand[2]), boxy=True), colour, folds=0.6
        )
        for along in (-0.03, 0.03):
            painter.limb((hand, np.array([hand[0], top, hand[2] + along])), (0.005, 0.005), colour)
    elif person.carried.bag == "suitcase":
        back = float(hand[2]) - 0.12
        rows = [(0.03, 0.085, 0.045), (0.04, 0.09, 0.05), (0.30, 0.09, 0.05), (0.31, 0.085, 0.045)]
        painter.solid(
            Profile.of(rows, left=float(hand[0]) + sign * 0.03, forward=back, boxy=True),
            person.carried.colour,
            folds=0.2,
        )
        painter.limb((hand, np.array([hand[0], 0.31, back])), (0.007, 0.007), (60.0, 60.0, 64.0))


def _draw_umbrella(painter: Painter, person: Person, bones: Skeleton, moment: Moment) -> None:
    if not moment.umbrella:
        return
    side = 1 if person.carried.side > 0 else 0
    hand = bones.wrists[side] + 0.2 * (bones.wrists[side] - bones.elbows[side])
    tip = np.array([hand[0] * 0.55, 1.13, hand[2] * 0.3])
    painter.limb((hand, tip), (0.006, 0.006), (70.0, 70.0, 74.0))
    t = np.linspace(0, 1, 14)
    rows = [
        (float(1.0 + 0.13 * s), float(0.3 * np.sqrt(1 - s * s) + 0.004), float(0.3 * np.sqrt(1 - s * s) + 0.004))
        for s in t
    ]
    patch = tube(painter.canvas, painter.projection, Profile.of(rows, left=float(tip[0]), forward=float(tip[2])))
    if patch is not None:
        ribs = 1 - np.float32(0.18) * _step(np.cos(patch.around * 8), 0.8, 0.3)
        painter.paint(patch, linear(person.carried.umbrella) * ribs[..., None])
