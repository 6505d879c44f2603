"""An EvalReport for people (Markdown) and for programs (CSV, JSON)."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from typing import Any

from ..contracts import CameraPair, EvalReport, EvalRow
from ..messages import gettext as _
from .metrics import RANKS
from .names import spoken

COLUMNS = (*(f"Rank-{rank}" for rank in RANKS), "mAP", "mINP")


def as_markdown(report: EvalReport) -> str:
    """A table in percent with 95% intervals below, and the number of queries skipped."""
    lines = [
        (
            _(
                "%(dataset)s: %(queries)s queries, %(gallery)s gallery crops, %(skipped_queries)s "
                "queries skipped (no match in the gallery)"
            )
            % {
                "dataset": report.dataset,
                "queries": report.queries,
                "gallery": report.gallery,
                "skipped_queries": report.skipped_queries,
            }
        ),
        "",
        "| % | " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * (len(COLUMNS) + 1),
        *(_markdown_row(row) for row in report.rows),
        "",
        *_spread_lines(report),
        *_gain_lines(report),
        *_note_lines(report),
        *_belief_lines(report),
        *_open_set_lines(report),
    ]
    return "\n".join(lines) + "\n"


def cameras_markdown(report: EvalReport) -> str:
    """Rank-1 / mAP of each query camera (rows) against each gallery camera (columns), in percent."""
    columns = sorted({pair.gallery_camera for pair in report.cameras})
    found = {(pair.query_camera, pair.gallery_camera): pair for pair in report.cameras}
    lines = [
        _("Rank-1 / mAP of each query camera against each gallery camera alone, diff attention, %:"),
        "",
        _("| query camera | ") + " | ".join((_("camera %(camera)s") % {"camera": camera}) for camera in columns) + " |",
        "|" + "---|" * (len(columns) + 1),
    ]
    for camera in sorted({pair.query_camera for pair in report.cameras}):
        lines.append(
            (_("| camera %(camera)s | ") % {"camera": camera})
            + " | ".join(_cell(found.get((camera, c))) for c in columns)
            + " |"
        )
    return "\n".join(lines) + "\n"


def cameras_csv(report: EvalReport) -> str:
    """One line per pair of cameras, figures 0..1."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["query_camera", "gallery_camera", "queries", "rank1", "mean_ap"])
    for pair in report.cameras:
        place = [pair.query_camera, pair.gallery_camera, pair.queries]
        writer.writerow([*place, f"{pair.rank1:.6f}", f"{pair.mean_ap:.6f}"])
    return text.getvalue()


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
    values["rows"], values["cameras"] = list(values["rows"]), list(values["cameras"])
    return values


def _values(row: EvalRow) -> list[float]:
    return [*(row.cmc[rank] for rank in RANKS), row.mean_ap, row.mean_inp]


def _markdown_row(row: EvalRow) -> str:
    return f"| {spoken(row.name)} | " + " | ".join(f"{100 * value:.1f}" for value in _values(row)) + " |"


def _spread_lines(report: EvalReport) -> list[str]:
    """How sure the figures are: intervals over people, or the deviation over the splits they are means of."""
    splits = report.extra.get("splits")
    if splits is None:
        head, said = _("Intervals over people drawn with replacement, 95%:"), _intervals
    else:
        head = _("Means over %(count)d splits; standard deviations over them:") % {"count": splits}
        said = _deviations
    return [head, *(f"- {spoken(row.name)}: {said(report, row.name)}" for row in report.rows)]


def _deviations(report: EvalReport, name: str) -> str:
    labels = (("rank1", "Rank-1"), ("mean_ap", "mAP"), ("mean_inp", "mINP"))
    return ", ".join(f"{label} {100 * report.extra[f'{name} {figure} deviation']:.1f}" for figure, label in labels)


def _intervals(report: EvalReport, name: str) -> str:
    found = []
    for figure, label in (("rank1", "Rank-1"), ("mean_ap", "mAP"), ("mean_inp", "mINP")):
        low, high = (report.extra.get(f"{name} {figure} {side}") for side in ("low", "high"))
        if low is not None and high is not None:
            found.append(f"{label} " + _("%(low).1f to %(high).1f") % {"low": 100 * low, "high": 100 * high})
    return ", ".join(found) or _("none: every query was skipped")


def _gain_lines(report: EvalReport) -> list[str]:
    """How much diff attention adds to plain cosine, with the interval over the same people."""
    if "gain mean_ap" not in report.extra:
        return []
    return [
        _("- diff attention minus plain cosine, the same people drawn for both: ")
        + ", ".join(_gain(report, figure, label) for figure, label in (("mean_ap", "mAP"), ("rank1", "Rank-1")))
    ]


def _gain(report: EvalReport, figure: str, label: str) -> str:
    mean, low, high = (100 * report.extra[f"gain {figure}{side}"] for side in ("", " low", " high"))
    return f"{label} {mean:+.1f} (" + _("%(low)+.1f to %(high)+.1f") % {"low": low, "high": high} + ")"


def _note_lines(report: EvalReport) -> list[str]:
    if not any("re-ranking" in row.name for row in report.rows):
        return []
    return [
        "",
        _(
            "Re-ranking (k-reciprocal, k1 = 20, k2 = 6, weight 0.3) compares all queries and crops "
            "with each other; a search of one photo cannot, so those rows are no figures of a search."
        ),
    ]


def _belief_lines(report: EvalReport) -> list[str]:
    """Expected calibration errors of each kind of calibration."""
    kinds = [
        name.split(" error hits")[0].removeprefix("calibration ")
        for name in report.extra
        if name.endswith(" error hits")
    ]
    if not kinds:
        return []
    share, least = (report.extra[f"calibration {name}"] for name in ("same share", "likely from"))
    return [
        "",
        (
            _(
                "Expected calibration error on people not used to fit (the people halved, each half "
                "judged by the other's fit; %(share).1f %% of the pairs are the same person; as shipped: "
                "what the searches of the whole gallery said; situated: by rows searched and nearest strangers "
                "as well, judged on the hits alone, ten halvings):"
            )
            % {"share": 100 * share}
        ),
        "",
        (
            _(
                "| calibration | all pairs | pairs said to be the same with %(least)g or more | 20 "
                "nearest crops of a query |"
            )
            % {"least": least}
        ),
        "|---|---|---|---|",
        *(f"| {_(kind)} | {_errors(report, kind)} |" for kind in kinds),
    ]


def _errors(report: EvalReport, kind: str) -> str:
    errors = (report.extra.get(f"calibration {kind} error {over}") for over in ("every", "likely", "hits"))
    return " | ".join("–" if error is None else f"{error:.4f}" for error in errors)


def _open_set_lines(report: EvalReport) -> list[str]:
    if "open set detected" not in report.extra:
        return []
    found, alarms = (100 * report.extra[f"open set {name}"] for name in ("detected", "false alarms"))
    low, high = (100 * report.extra[f"open set detected {side}"] for side in ("low", "high"))
    return [
        "",
        (
            _(
                "Open set: %(found).1f %% of absent people (%(low).1f to %(high).1f) are said to be absent, "
                "%(alarms).1f %% of present ones too (false alarms; the threshold is set at 5 %% on the other "
                "half of the people)."
            )
            % {"found": found, "low": low, "high": high, "alarms": alarms}
        ),
    ]


def _cell(pair: CameraPair | None) -> str:
    return "" if pair is None else f"{100 * pair.rank1:.1f} / {100 * pair.mean_ap:.1f}"


WRITERS = {"markdown": as_markdown, "csv": as_csv, "json": as_json}
