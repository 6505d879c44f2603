"""What the page of a model comparison shows: hits side by side, where ranks differ, and the figures of both bundles."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from citysearch.gallery.comparing import SHOWN
from citysearch.gallery.models import ComparedHit, Crop, ModelComparison
from citysearch.gallery.queries import crop_url
from citysearch.research.models import ModelVersion


@dataclass(frozen=True)
class Side:
    """One hit of one version: its rank there, and in the other version (None: beyond what was ranked)."""

    crop: Crop
    url: str
    rank: int
    distance: float
    percent: float
    other: int | None

    @property
    def moved(self) -> int:
        """By how many ranks the other version has it later (positive) or earlier."""
        return 0 if self.other is None else self.other - self.rank


@dataclass
class Pair:
    """One query with the hits of both versions; `shared` counts those that both have among their first."""

    query: Crop
    url: str
    first: list[Side] = field(default_factory=list)
    second: list[Side] = field(default_factory=list)
    shared: int = 0

    @property
    def same_best(self) -> bool:
        return bool(self.first and self.second and self.first[0].crop == self.second[0].crop)


def pairs_of(row: ModelComparison) -> list[Pair]:
    """The queries of a comparison, those on which the versions differ most first."""
    groups: dict[Crop, list[ComparedHit]] = defaultdict(list)
    for hit in row.hits.select_related("query__camera", "crop__camera"):
        groups[hit.query].append(hit)
    return sorted((_pair(query, hits) for query, hits in groups.items()), key=lambda pair: (pair.shared, pair.query.pk))


def figures(first: ModelVersion, second: ModelVersion) -> list[tuple[str, str, str, str]]:
    """(name, first, second, difference) of what the bundles' evaluations state; a share in per cent."""
    names = [
        name for name, value in {**first.metrics, **second.metrics}.items() if isinstance(value, str | int | float)
    ]
    return [(name, *_figure(first.metrics.get(name), second.metrics.get(name))) for name in names]


def _pair(query: Crop, hits: list[ComparedHit]) -> Pair:
    pair = Pair(query, crop_url(query))
    pair.first = _sides(hits, "first", "second")
    pair.second = _sides(hits, "second", "first")
    pair.shared = len({side.crop.pk for side in pair.first} & {side.crop.pk for side in pair.second})
    return pair


def _sides(hits: list[ComparedHit], own: str, other: str) -> list[Side]:
    found = [hit for hit in hits if (getattr(hit, f"{own}_rank") or SHOWN + 1) <= SHOWN]
    sides = [
        Side(
            hit.crop, crop_url(hit.crop), getattr(hit, f"{own}_rank"), getattr(hit, f"{own}_distance"),
            100 * getattr(hit, f"{own}_likelihood"), getattr(hit, f"{other}_rank"),
        )
        for hit in found
    ]  # fmt: skip
    return sorted(sides, key=lambda side: side.rank)


def _figure(first: Any, second: Any) -> tuple[str, str, str]:
    if isinstance(first, int | float) and isinstance(second, int | float):
        factor = 100 if max(abs(first), abs(second)) <= 1 else 1
        return _text(first), _text(second), f"{factor * (second - first):+.1f}"
    return _text(first), _text(second), ""


def _text(value: Any) -> str:
    if isinstance(value, int | float):
        return f"{100 * value:.1f} %" if abs(value) <= 1 else f"{value:.4g}"
    return "-" if value is None else str(value)
