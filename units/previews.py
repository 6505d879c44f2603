"""What the page of an import shows of its report: a table that starts with what was refused, and a map."""

from __future__ import annotations

from typing import Any, get_args

from django import forms
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.utils.translation import gettext_lazy as _

from units.imports import Fate, ImportReport, Line
from units.widgets import MAP_CSS, MAP_JS, map_addresses, module

# The words of the chips and of the table, in the order in which lines are shown.
FATES = {"refused": _("refused"), "changed": _("changed"), "added": _("new"), "unchanged": _("unchanged")}
LINES_SHOWN = 1000
# What a browser draws without delay; areas have many corners.
FEATURES_SHOWN = 5000


def preview_media() -> forms.Media:
    """Scripts and styles of the page."""
    return forms.Media(css={"all": MAP_CSS}, js=[MAP_JS[0], module("preview")])


def preview(report: ImportReport, model: type[models.Model]) -> dict[str, Any]:
    """The template's values: counts by fate, the lines to show, features for the map."""
    order = get_args(Fate)
    lines = sorted(report.rows, key=lambda line: (order.index(line.fate), line.line))
    features = [_feature(line) for line in lines if line.geometry]
    return {
        "dry_run": report.dry_run, "total": report.total, "done": report.added + report.changed,
        "counts": [(fate, FATES[fate], report.count(fate)) for fate in order],
        "lines": [_shown(line, model) for line in lines[:LINES_SHOWN]], "hidden": max(0, len(lines) - LINES_SHOWN),
        "map": {**map_addresses(), "features": features[:FEATURES_SHOWN]}, "places": len(features),
        "unplaced": max(0, len(features) - FEATURES_SHOWN),
    }  # fmt: skip


def _shown(line: Line, model: type[models.Model]) -> dict[str, Any]:
    changes = [(_label(model, change.field), change.before, change.after) for change in line.changes]
    return {"line": line, "word": FATES[line.fate], "changes": changes}


def _label(model: type[models.Model], name: str) -> str:
    try:
        return str(model._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
    except FieldDoesNotExist:
        return name


def _feature(line: Line) -> dict[str, Any]:
    properties = {"line": line.line, "fate": line.fate, "name": f"{line.name} ({line.code}): {FATES[line.fate]}"}
    return {"type": "Feature", "geometry": line.geometry, "properties": properties}
