"""What the demo city's offices and sensors say: government data, and a day of readings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from citysearch.demo.weather import Weather
from units.models import Level, SensorKind, Unit

SOURCE = "云湖统计年鉴（虚构） Cloudlake Statistical Yearbook (fictitious)"
_INDICATORS = (
    ("常住人口 Resident population", 9200.0, "人 people", 0),
    ("户数 Households", 3500.0, "户 households", 0),
    ("从业人员 Employees", 6100.0, "人 people", 0),
    ("绿地率 Green space", 27.0, "%", 1),
    ("居住用地 Residential land", 41.0, "%", 1),
    ("商业用地 Commercial land", 14.0, "%", 1),
    ("公交站点 Bus stops", 9.0, "个 stops", 0),
)


def indicator_rows(units: list[Unit], areas_km2: dict[str, float], year: int, seed: int) -> Iterator[dict[str, Any]]:
    """Government data of the last two years for everything above the grid; counts grow with the area."""
    for unit in units:
        if unit.level == Level.GRID:
            continue
        rng = np.random.default_rng([seed, int(unit.code), 0x60])
        yield _indicator(unit, "面积 Area", round(areas_km2[unit.code], 3), "km²", year)
        for name, typical, measure, kind in _INDICATORS:
            base = typical * float(rng.uniform(0.75, 1.3)) * (1.0 if kind else areas_km2[unit.code])
            for past in (0, 1):
                value = base * (1.0 - 0.015 * past)
                yield _indicator(unit, name, round(value, 1) if kind else round(value), measure, year - past)


def _indicator(unit: Unit, name: str, value: float, measure: str, year: int) -> dict[str, Any]:
    return {"unit": unit, "indicator": name, "value": value, "unit_of_measure": measure, "year": year, "source": SOURCE}


def reading_rows(units: list[Unit], midnight: datetime, weather: Weather, seed: int) -> Iterator[dict[str, Any]]:
    """A reading an hour: weather for the city, footfall and traffic for districts and streets, water by the lake."""
    for unit in units:
        for kind, values in _series(unit, weather, np.random.default_rng([seed, int(unit.code), 0x5E])):
            for hour, value in enumerate(values):
                yield {"unit": unit, "kind": kind, "value": value, "time": midnight + timedelta(hours=hour)}


def _series(unit: Unit, weather: Weather, rng: np.random.Generator) -> Iterator[tuple[str, list[float]]]:
    if unit.level == Level.CITY:
        yield SensorKind.WEATHER, list(weather.rain)
        yield SensorKind.TEMPERATURE, list(weather.temperature)
        yield SensorKind.WATER_QUALITY, _water(weather, rng)
    elif unit.level in (Level.DISTRICT, Level.STREET):
        share = float(rng.uniform(0.7, 1.4)) * (3.0 if unit.level == Level.DISTRICT else 1.0)
        yield SensorKind.FOOTFALL, _busy(share * 620, (8.2, 12.4, 18.0, 20.4), weather, rng)
        yield SensorKind.TRAFFIC, _busy(share * 900, (8.0, 13.0, 17.8), weather, rng)


def _busy(peak: float, hours: tuple[float, ...], weather: Weather, rng: np.random.Generator) -> list[float]:
    """People or vehicles an hour: peaks at these hours, quiet nights, fewer in the rain."""
    values = []
    for hour in range(24):
        bumps = sum(math.exp(-(((hour - at) / 1.3) ** 2)) for at in hours)
        day = 0.32 if 7 <= hour <= 21 else 0.04
        damp = 0.72 if weather.rain[hour] else 1.0
        values.append(float(round(peak * (day + bumps) * damp * float(rng.uniform(0.9, 1.1)))))
    return values


def _water(weather: Weather, rng: np.random.Generator) -> list[float]:
    """An index of 0..100 that falls after rain and recovers."""
    value, values = 88.0, []
    for hour in range(24):
        value += (90.0 - value) * 0.18 - 2.2 * weather.rain[hour] + float(rng.normal(0, 0.6))
        values.append(round(max(0.0, min(100.0, value)), 1))
    return values
