"""What the report's template needs beyond Django."""

from __future__ import annotations

from datetime import datetime

from django import template

from citysearch.cases.words import likelihood_number

register = template.Library()
register.filter(likelihood_number)


@register.filter
def clock(moment: datetime | str) -> str:
    """2026-03-01 10:15:00 UTC+08:00 of a moment, or of its ISO text."""
    time = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{time:%Y-%m-%d %H:%M:%S} UTC{time.isoformat()[-6:]}"
