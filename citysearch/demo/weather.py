"""The weather of the demo city's day: for its sensors, and for the light and the umbrellas in the crops. No Django."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Weather:
    """Rain (mm/h), cloud (0..1) and temperature (°C) at each hour of the day."""

    rain: tuple[float, ...]
    cloud: tuple[float, ...]
    temperature: tuple[float, ...]

    @staticmethod
    def of(seed: int) -> Weather:
        """A mild day with some hours of rain in the afternoon."""
        rng = np.random.default_rng([seed, 0x3EA])
        start, hours = int(rng.integers(13, 17)), int(rng.integers(2, 4))
        rain = [round(float(rng.uniform(0.8, 4.5)), 1) if start <= hour < start + hours else 0.0 for hour in range(24)]
        waves = [0.38 + 0.3 * math.sin(hour / 3.1 + float(rng.uniform(0, 1))) for hour in range(24)]
        cloud = [1.0 if wet else float(np.clip(wave, 0.02, 0.95)) for wet, wave in zip(rain, waves, strict=True)]
        warm = [
            19.0 + 6.0 * math.sin((hour - 8.5) / 24 * 2 * math.pi) - (2.0 if rain[hour] else 0.0) for hour in range(24)
        ]
        return Weather(tuple(rain), tuple(cloud), tuple(round(value, 1) for value in warm))

    def at(self, seconds: float) -> tuple[float, float]:
        """(rain, cloud) at a time of the day in seconds."""
        hour = min(23, int(seconds // 3600))
        return self.rain[hour], self.cloud[hour]
