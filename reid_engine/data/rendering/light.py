"""Light on a street: sun, sky, lamps, by hour and cloud."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reid_engine.data.rendering.raster import Floats

Rgb = tuple[float, float, float]
_SUNRISE, _SUNSET = 5.6, 18.6


@dataclass(frozen=True)
class Light:
    """Light in the camera frame. `direction` points to the sun or lamp; colours are linear and add up to about 1.

    `night` 0..1 says how far a camera has to raise its gain (noise, blur, weak colours).
    """

    direction: Rgb
    sun: Rgb
    sky: Rgb
    ground: Rgb
    night: float = 0.0

    @staticmethod
    def at(hour: float, cloud: float, camera_bearing: float = 0.0) -> Light:
        """Light at a local `hour` (0..24) under `cloud` (0..1), for a camera looking along `camera_bearing` degrees."""
        day = (hour - _SUNRISE) / (_SUNSET - _SUNRISE)
        height = float(np.sin(np.pi * np.clip(day, 0, 1))) if 0 <= day <= 1 else 0.0
        if height < 0.06:
            return _lamps(max(0.0, height / 0.06))
        azimuth = np.radians(90 + 180 * day - camera_bearing)
        altitude = np.radians(8 + 62 * height)
        direction = (
            float(np.sin(azimuth) * np.cos(altitude)),
            float(np.sin(altitude)),
            float(-np.cos(azimuth) * np.cos(altitude)),
        )
        warm = float(np.clip(1 - height / 0.5, 0, 1))
        strength = (1 - 0.92 * cloud) * (0.45 + 0.55 * height)
        sky = 0.4 + 0.3 * cloud - 0.08 * warm
        return Light(
            direction,
            (strength * 0.9, strength * (0.86 - 0.16 * warm), strength * (0.78 - 0.34 * warm)),
            (sky * (0.94 - 0.02 * warm), sky * 0.98, sky * (1.06 + 0.06 * warm)),
            (0.2, 0.19, 0.17),
            0.25 * warm * (1 - height),
        )

    def shade(self, nx: Floats, ny: Floats, nz: Floats) -> Floats:
        """Irradiance (h, w, 3) on surfaces with these normals; grazing surfaces darken a little, as cloth does."""
        facing = np.maximum(
            nx * np.float32(self.direction[0])
            + ny * np.float32(self.direction[1])
            + nz * np.float32(self.direction[2]),
            0,
        )
        above = np.float32(0.5) + np.float32(0.5) * ny
        rim = np.float32(0.58) + np.float32(0.42) * nz
        sun, sky, ground = self._bands
        out = above * sky
        out += facing * sun + ground
        out *= rim
        return out.transpose(1, 2, 0)  # bands apart in memory: every step runs over whole planes

    @cached_property
    def _bands(self) -> tuple[Floats, Floats, Floats]:
        """Colours of sun, sky above ground, and ground, each (3, 1, 1)."""
        above = [sky - ground for sky, ground in zip(self.sky, self.ground, strict=True)]
        sun, sky, ground = (np.array(bands, np.float32).reshape(3, 1, 1) for bands in (self.sun, above, self.ground))
        return sun, sky, ground

    def flat(self) -> Floats:
        """Irradiance (3,) on level ground."""
        return np.array([self.sky[i] * 0.92 + self.sun[i] * max(self.direction[1], 0) for i in range(3)], np.float32)


def _lamps(dusk: float) -> Light:
    """Street lamps from above, a little warm, with the rest of the daylight (`dusk` 0..1)."""
    sky = 0.3 + 0.16 * dusk
    return Light((0.25, 0.9, 0.35), (0.5, 0.42, 0.3), (sky, sky * 0.95, sky * 0.92), (0.1, 0.095, 0.09), 1 - 0.6 * dusk)
