"""An EvalReport for people (Markdown) and for programs (CSV, JSON)."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from typing import Any

from ..contracts import EvalReport, EvalRow
from .metrics import RANKS

COLUMNS = (*(f"Rank-{rank}" for rank in RANKS), "mAP", "mINP")


def as_markdown(report: EvalReport) -> str:
    """A table in percent with 95% intervals below, and the number of queries skipped."""
    lines = [
        f"{report.dataset}: {report.queries} queries, {report.gallery} gallery crops, "
        f"{report.skipped_queries} queries skipped (no match in the gallery)",
        "",
        "| % | " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * (len(COLUMNS) + 1),
        *(_markdown_row(row) for row in report.rows),
        "",
        "95% intervals (people drawn with replacement):",
        *(f"- {row.name}: {_intervals(report, row.name)}" for row in report.rows),
    ]
    return "\n".join(lines) + "\n"


def as_csv(report: EvalReport) -> str:
    """One line per row, figures 0..1."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [f"rank{rank}" for rank in RANKS]
    writer.writerow(["dataset", "queries", "gallery", "skipped_queries", "row", *names, "mean_ap", "mean_inp"])
    for row in report.rows:
        head = [report.dataset, report.queries, report.gallery, report.skipped_queries, row.name]
        writer.writerow([*head, *(f"{value:.6f}" for value in _values(row))])
    return text.getvalue()


def as_json(report: EvalReport) -> str:
    """The whole report, figures 0..1; `as_dict` of it."""
    return json.dumps(as_dict(report), indent=2, ensure_ascii=False) + "\n"


def as_dict(report: EvalReport) -> dict[str, Any]:
    """The report as plain values, as a bundle's manifest and a model version keep it."""
    values = asdict(report)
    for row in values["rows"]:
        row["cmc"] = {str(rank): share for rank, share in row["cmc"].items()}
    values["rows"] = list(values["rows"])
    return values


def _values(row: EvalRow) -> list[float]:
    return [*(row.cmc[rank] for rank in RANKS), row.mean_ap, row.mean_inp]


def _markdown_row(row: EvalRow) -> str:
    return f"| {row.name} | " + " | ".join(f"{100 * value:.1f}" for value in _values(row)) + " |"


def _intervals(report: EvalReport, name: str) -> str:
    found = []
    for figure, label in (("rank1", "Rank-1"), ("mean_ap", "mAP"), ("mean_inp", "mINP")):
        low, high = (report.extra.get(f"{name} {figure} {side}") for side in ("low", "high"))
        if low is not None and high is not None:
            found.append(f"{label} {100 * low:.1f} to {100 * high:.1f}")
    return ", ".join(found) or "none: every query was skipped"


WRITERS = {"markdown": as_markdown, "csv": as_csv, "json": as_json}
