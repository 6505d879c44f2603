"""What a rendered pedestrian looks like: build, hair, clothes, bags. Everything follows from one seed.

Only what is visible of body and clothing is modelled; nothing is said about who the person is.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

Kind = TypeVar("Kind")
Colour = tuple[float, float, float]
Pattern = Literal[
    "plain", "stripes", "pinstripe", "plaid", "dots", "mottled", "yoke", "print", "back_print", "band", "fade"
]
Top = Literal["tee", "shirt", "polo", "hoodie", "jacket", "coat", "vest", "dress"]
Bottom = Literal["trousers", "slim", "wide", "shorts", "skirt", "long_skirt"]
Hair = Literal["short", "crop", "bob", "long", "tail", "bun"]
Hat = Literal["none", "cap", "beanie", "brim", "hood"]
Bag = Literal["none", "backpack", "crossbody", "shoulder", "handbag", "carrier", "suitcase"]

_TOP_COLOURS: list[tuple[Colour, float]] = [
    ((32, 32, 36), 11),
    ((228, 228, 226), 12),
    ((168, 170, 174), 7),
    ((86, 88, 94), 6),
    ((36, 46, 84), 8),
    ((50, 96, 178), 7),
    ((130, 178, 220), 5),
    ((186, 38, 46), 7),
    ((110, 28, 46), 4),
    ((44, 122, 76), 4),
    ((104, 106, 66), 4),
    ((148, 206, 178), 2),
    ((230, 192, 60), 4),
    ((222, 114, 44), 4),
    ((226, 146, 168), 4),
    ((108, 66, 142), 4),
    ((208, 190, 156), 5),
    ((112, 78, 56), 4),
    ((28, 124, 132), 4),
    ((178, 158, 204), 2),
]
_BOTTOM_COLOURS: list[tuple[Colour, float]] = [
    ((30, 30, 34), 18),
    ((44, 56, 90), 14),
    ((82, 108, 150), 12),
    ((144, 168, 198), 6),
    ((84, 86, 90), 7),
    ((150, 152, 154), 5),
    ((178, 156, 118), 8),
    ((216, 204, 182), 5),
    ((224, 224, 222), 4),
    ((96, 98, 64), 5),
    ((96, 70, 52), 4),
    ((34, 40, 70), 6),
    ((112, 34, 48), 2),
    ((176, 60, 52), 1.5),
    ((52, 104, 88), 1.5),
]
_SHOE_COLOURS: list[tuple[Colour, float]] = [
    ((28, 28, 30), 10),
    ((226, 226, 224), 8),
    ((90, 64, 46), 4),
    ((128, 128, 132), 3),
    ((40, 52, 92), 2),
    ((176, 44, 44), 1.5),
    ((196, 170, 130), 2),
    ((58, 122, 96), 0.7),
]
_BAG_COLOURS: list[tuple[Colour, float]] = [
    ((30, 30, 34), 10),
    ((60, 64, 74), 5),
    ((40, 58, 110), 4),
    ((150, 44, 44), 3),
    ((120, 82, 52), 4),
    ((222, 196, 150), 2),
    ((64, 110, 84), 2),
    ((216, 120, 48), 1.5),
    ((224, 222, 216), 2),
    ((200, 120, 150), 1.2),
]
_HAIR_COLOURS: list[tuple[Colour, float]] = [
    ((22, 20, 22), 12),
    ((48, 34, 26), 7),
    ((86, 58, 38), 4),
    ((150, 112, 66), 2),
    ((150, 150, 150), 2),
    ((112, 50, 30), 1),
]
_SKIN_VALUES: list[tuple[Colour, float]] = [
    ((226, 184, 156), 3),
    ((208, 162, 130), 3),
    ((184, 136, 104), 2),
    ((142, 98, 72), 1.5),
    ((98, 66, 50), 1.2),
]


@dataclass(frozen=True)
class Cloth:
    """A fabric: main and second colour (sRGB 0..255), pattern, its fineness, and how strongly it folds (0..1)."""

    colour: Colour
    accent: Colour
    pattern: Pattern = "plain"
    scale: float = 1.0
    folds: float = 0.6


@dataclass(frozen=True)
class Build:
    """Body measures. `height_m` in metres; the rest are factors about 1."""

    height_m: float
    girth: float
    shoulders: float
    hips: float
    belly: float
    stride: float
    lean: float
    arm_swing: float


@dataclass(frozen=True)
class Head:
    """Hair and what is worn over it."""

    hair: Hair
    hair_colour: Colour
    hat: Hat
    hat_colour: Colour
    scarf: Colour | None


@dataclass(frozen=True)
class Carried:
    """What a person carries; `side` is +1 for the left hand or shoulder, -1 for the right."""

    bag: Bag
    colour: Colour
    side: int
    umbrella: Colour


@dataclass(frozen=True)
class Person:
    """A pedestrian's whole appearance, the same in every crop of a day.

    `sleeve` is how much of the arm is covered: 0 = bare, 1 = to the wrist. `raglan`: sleeves of the second colour.
    """

    seed: int
    build: Build
    skin: Colour
    head: Head
    top_kind: Top
    top: Cloth
    inner: Colour
    sleeve: float
    raglan: bool
    bottom_kind: Bottom
    bottom: Cloth
    socks: Colour
    shoes: Colour
    sole: Colour
    carried: Carried

    @staticmethod
    def from_seed(seed: int) -> Person:
        """The person of this seed: equal seeds give equal people, whatever else was drawn before."""
        rng = np.random.default_rng([seed, 0xC175])
        top_kind = _choose(rng, _TOPS)
        top = _cloth(rng, _TOP_COLOURS, _TOP_PATTERNS.get(top_kind, _ANY_PATTERNS))
        return Person(
            seed=seed,
            build=_build(rng),
            skin=_pick(rng, _SKIN_VALUES, 6),
            head=_head(rng, top_kind, top),
            top_kind=top_kind,
            top=top,
            inner=_pick(rng, _TOP_COLOURS),
            sleeve=_sleeve(rng, top_kind),
            raglan=top_kind in ("tee", "hoodie", "jacket") and bool(rng.random() < 0.18),
            bottom_kind=_choose(rng, _BOTTOMS_FOR.get(top_kind, _BOTTOMS_ANY)),
            bottom=_contrasting(rng, top),
            socks=_pick(rng, _SHOE_COLOURS),
            shoes=_pick(rng, _SHOE_COLOURS),
            sole=_pick(rng, _SOLE_COLOURS),
            carried=_carried(rng),
        )


_SOLE_COLOURS: list[tuple[Colour, float]] = [((226, 226, 222), 3), ((40, 40, 42), 2)]
_TOPS: dict[Top, int] = {
    "tee": 24,
    "shirt": 12,
    "polo": 9,
    "hoodie": 13,
    "jacket": 17,
    "coat": 9,
    "vest": 5,
    "dress": 9,
}
_BOTTOMS_ANY: dict[Bottom, int] = {"trousers": 38, "slim": 22, "wide": 10, "shorts": 17, "skirt": 8, "long_skirt": 5}
_BOTTOMS_FOR: dict[Top, dict[Bottom, int]] = {
    "coat": {"trousers": 50, "slim": 35, "wide": 10, "long_skirt": 5},
    "dress": {"skirt": 70, "long_skirt": 30},
    "jacket": {"trousers": 45, "slim": 30, "wide": 10, "shorts": 5, "skirt": 10},
}
_ANY_PATTERNS: dict[Pattern, int] = {
    "plain": 46,
    "stripes": 11,
    "print": 15,
    "back_print": 7,
    "yoke": 6,
    "dots": 4,
    "mottled": 7,
    "band": 6,
}
_TOP_PATTERNS: dict[Top, dict[Pattern, int]] = {
    "shirt": {"plain": 45, "plaid": 26, "pinstripe": 16, "dots": 5, "mottled": 8},
    "polo": {"plain": 58, "stripes": 22, "band": 20},
    "coat": {"plain": 84, "plaid": 10, "mottled": 6},
    "jacket": {"plain": 58, "yoke": 16, "band": 14, "back_print": 8, "mottled": 4},
    "dress": {"plain": 38, "dots": 16, "mottled": 22, "stripes": 12, "plaid": 12},
}
_BOTTOM_PATTERNS: dict[Pattern, int] = {"plain": 70, "fade": 19, "band": 6, "plaid": 3, "mottled": 2}
_BOTTOM_CALM: dict[Pattern, int] = {"plain": 80, "fade": 16, "band": 4}


def _choose(rng: np.random.Generator, weights: dict[Kind, int]) -> Kind:
    share = np.array(list(weights.values()), dtype=float)
    return list(weights)[int(rng.choice(len(share), p=share / share.sum()))]


def _pick(rng: np.random.Generator, palette: list[tuple[Colour, float]], spread: float = 9.0) -> Colour:
    weights = np.array([weight for _, weight in palette])
    red, green, blue = palette[int(rng.choice(len(palette), p=weights / weights.sum()))][0]
    hue, light, vivid = colorsys.rgb_to_hls(red / 255, green / 255, blue / 255)
    light, vivid = np.clip([light * rng.normal(1, 0.07), vivid * rng.normal(1, 0.1)], 0, 1)
    rgb = np.array(colorsys.hls_to_rgb((hue + rng.normal(0, 0.012)) % 1, light, vivid))
    jittered = np.clip(rgb * 255 + rng.normal(0, spread / 3, 3), 12, 242)
    return (float(jittered[0]), float(jittered[1]), float(jittered[2]))


def _distance(first: Colour, second: Colour) -> float:
    return float(np.abs(np.array(first) - np.array(second)).sum())


def _cloth(rng: np.random.Generator, palette: list[tuple[Colour, float]], patterns: dict[Pattern, int]) -> Cloth:
    colour, accent = _pick(rng, palette), _pick(rng, palette)
    while _distance(colour, accent) < 130:
        accent = _pick(rng, palette)
    pattern = _choose(rng, patterns)
    if pattern == "fade":
        red, green, blue = colour
        accent = (min(red * 1.35 + 14, 240), min(green * 1.35 + 14, 240), min(blue * 1.3 + 12, 240))
    return Cloth(colour, accent, pattern, float(rng.uniform(0.7, 1.5)), float(rng.uniform(0.4, 0.9)))


def _contrasting(rng: np.random.Generator, top: Cloth) -> Cloth:
    """Trousers that somebody would wear with `top`: seldom of the very same colour, and never two loud patterns."""
    patterns = _BOTTOM_PATTERNS if top.pattern == "plain" else _BOTTOM_CALM
    cloth = _cloth(rng, _BOTTOM_COLOURS, patterns)
    if _distance(cloth.colour, top.colour) < 45 and rng.random() < 0.7:
        cloth = _cloth(rng, _BOTTOM_COLOURS, patterns)
    return cloth


def _build(rng: np.random.Generator) -> Build:
    girth = float(np.clip(rng.normal(1.0, 0.1), 0.8, 1.32))
    return Build(
        height_m=float(np.clip(rng.normal(1.68, 0.09), 1.45, 1.95)),
        girth=girth,
        shoulders=float(np.clip(rng.normal(1.0, 0.07), 0.86, 1.16)),
        hips=float(np.clip(rng.normal(1.0, 0.07), 0.86, 1.18)),
        belly=float(max(0.0, rng.normal(0.1, 0.3) + (girth - 1) * 2)),
        stride=float(rng.uniform(0.8, 1.15)),
        lean=float(rng.uniform(0.0, 0.07)),
        arm_swing=float(rng.uniform(0.5, 1.2)),
    )


def _head(rng: np.random.Generator, top_kind: Top, top: Cloth) -> Head:
    hair = _choose(rng, _HAIRS)
    hat = _choose(rng, _HATS | {"hood": 26} if top_kind == "hoodie" else _HATS)
    hat_colour = top.colour if hat == "hood" else _pick(rng, _BAG_COLOURS + _TOP_COLOURS[4:10])
    return Head(
        hair, _pick(rng, _HAIR_COLOURS), hat, hat_colour, _pick(rng, _TOP_COLOURS) if rng.random() < 0.08 else None
    )


_HAIRS: dict[Hair, int] = {"short": 40, "crop": 10, "bob": 14, "long": 18, "tail": 11, "bun": 7}
_HATS: dict[Hat, int] = {"none": 76, "cap": 11, "beanie": 5, "brim": 4}


def _sleeve(rng: np.random.Generator, top_kind: Top) -> float:
    if top_kind in ("hoodie", "jacket", "coat"):
        return 1.0
    if top_kind == "vest":
        return 0.0
    if top_kind == "shirt" and rng.random() < 0.6:
        return float(rng.choice([0.62, 1.0]))
    if top_kind == "dress":
        return float(rng.choice([0.0, 0.2, 0.3, 1.0]))
    return float(rng.uniform(0.26, 0.42)) if rng.random() < 0.8 else 1.0


_BAGS: dict[Bag, int] = {
    "none": 38,
    "backpack": 22,
    "crossbody": 12,
    "shoulder": 9,
    "handbag": 7,
    "carrier": 8,
    "suitcase": 4,
}


def _carried(rng: np.random.Generator) -> Carried:
    bag, side = _choose(rng, _BAGS), int(rng.choice([-1, 1]))
    return Carried(bag, _pick(rng, _BAG_COLOURS), side, _pick(rng, _BAG_COLOURS + _TOP_COLOURS[4:16]))
