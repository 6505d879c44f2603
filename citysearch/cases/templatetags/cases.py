"""What the report's template needs beyond Django."""

from __future__ import annotations

from django import template

from citysearch.cases.words import clock, likelihood_number

register = template.Library()
register.filter(clock)
register.filter(likelihood_number)
