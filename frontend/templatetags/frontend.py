"""Small things templates need: icons, likelihood in words, spans of time, plots."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from django import template
from django.contrib.staticfiles.finders import find
from django.templatetags.static import static
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from citysearch.cases.access import is_auditor
from citysearch.cases.words import likelihood_words, told

register = template.Library()
register.filter(likelihood_words)

WIDTH, HEIGHT = 240.0, 44.0
MARGIN = 3.0
TWO_NAMES = re.compile(r"([\u3400-\u9fff][^A-Za-z]*?)\s+([A-Za-z].*)")


@register.simple_tag
def icon(name: str) -> SafeString:
    """A picture from the sprite; decoration only, so hidden from screen readers."""
    address = static("frontend/img/icons.svg")
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', address, name)


@register.simple_tag
def drawn_icon(name: str) -> SafeString:
    """The picture itself, for what is copied thousands of times: each `use` costs a tree and an event of its own."""
    return mark_safe(_symbols()[name])  # noqa: S308  our own file


@cache
def _symbols() -> dict[str, str]:
    """{name: the symbol of the sprite as a picture of its own}"""
    sprite = Path(str(find("frontend/img/icons.svg"))).read_text()
    found = re.findall(r'<symbol id="([^"]+)" (.*?)</symbol>', sprite, re.DOTALL)
    return {name: f'<svg class="icon" aria-hidden="true" {rest}</svg>' for name, rest in found}


@register.filter
def place(name: str) -> str:
    """The reader's half of a name in two languages, Chinese first ("湖滨区 Lakeside"); any other name as it is."""
    names = TWO_NAMES.fullmatch(name)
    if names is None:
        return name
    return names[1] if get_language().startswith("zh") else names[2]


@register.filter
def where(search: Any) -> str:
    """Where a search looked: its unit, or the drawn area in it."""
    unit = place(search.unit.name)
    return _("Drawn area in %(unit)s") % {"unit": unit} if search.area else unit


@register.filter
def grouped(value: float) -> str:
    """12345 as 12,345, in Chinese too, as the numbers that the page writes by itself."""
    return f"{value:,}"


@register.filter
def odds(likelihood: float) -> str:
    """A likelihood as a percentage that is never 0 and never 100: a likeness is no proof."""
    return _("under 1%") if likelihood < 0.01 else f"{min(99, int(100 * likelihood + 0.5))}%"


@register.filter
def change(share: float) -> str:
    """+1.5%, −0.3%, or ±0% of a value against the one before."""
    sign = "±" if abs(share) < 0.0005 else "+" if share > 0 else "−"
    return f"{sign}{number_format(round(abs(share) * 100, 1), use_l10n=True)}%"


@register.filter
def seconds(value: float | None) -> str:
    """0.8 s, 42 s, 3 min 05 s."""
    if value is None:
        return ""
    if value < 60:
        return _("%(seconds)s s") % {"seconds": f"{value:.1f}" if value < 9.95 else f"{value:.0f}"}
    return _("%(minutes)s min %(seconds)s s") % {"minutes": int(value // 60), "seconds": f"{value % 60:02.0f}"}


@register.inclusion_tag("frontend/parts/plot.html")
def plot(points: Sequence[tuple[datetime, float]], label: str) -> dict[str, Any]:
    """A small line plot of (time, value) pairs; its figures are also in text beside it."""
    values = [value for _time, value in points]
    if len(values) < 2:
        return {"line": "", "label": label}
    line = plot_line(points)
    area = f"{MARGIN},{HEIGHT} {line} {WIDTH - MARGIN},{HEIGHT}"
    return {"line": line, "area": area, "label": label, "width": WIDTH, "height": HEIGHT}


def plot_line(points: Sequence[tuple[datetime, float]]) -> str:
    """SVG points "x,y x,y ..." of a series in a WIDTH x HEIGHT box; a constant series runs through the middle."""
    start, end = points[0][0].timestamp(), points[-1][0].timestamp()
    low, high = min(value for _, value in points), max(value for _, value in points)
    return " ".join(
        f"{_scaled(time.timestamp(), start, end, MARGIN, WIDTH - MARGIN):.1f},"
        f"{_scaled(value, low, high, HEIGHT - MARGIN, MARGIN):.1f}"
        for time, value in points
    )


def _scaled(value: float, low: float, high: float, first: float, last: float) -> float:
    share = (value - low) / (high - low) if high > low else 0.5
    return first + share * (last - first)


register.filter("may_audit", is_auditor)
register.filter("told", told)
