"""The two ablations as a table (Markdown, CSV, JSON) and as the paper's figures 5 and 6."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..messages import gettext as _
from ..messages import gettext_noop
from ..training.ablate import Ablated, Ablation, Row
from .drawing import BLUE, GREY, drawable, figure_of, legend, named, percent, saved
from .folder import write_text, writing
from .metrics import FIGURES
from .names import DIFF_ATTENTION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = {"mean_ap": "mAP", "rank1": "Rank-1"}
HEAD = gettext_noop(
    "| input | ratio | hidden | parameters | Rank-1 | mAP | mINP | mAP over plain cosine (95%) | dead units | s |"
)


def as_markdown(found: Ablated, ablation: Ablation) -> str:
    """Both tables in percent below the settings, the base line first in each."""
    transforms, ratios = found.by_transform(ablation), found.by_ratio(ablation)
    lines = [
        *_setting_lines(found),
        "",
        (_("Input transform, ratio %(ratio)s:") % {"ratio": ablation.ratio}),
        "",
        *_table(found, transforms),
        "",
        (_("MLP ratio, input %(transform)s:") % {"transform": ablation.transform}),
        "",
        *_table(found, ratios),
        *_left_out(found, ablation),
    ]
    return "\n".join(lines) + "\n"


def as_csv(found: Ablated, ablation: Ablation) -> str:
    """One line per row of each ablation, figures 0..1, empty where the training diverged."""
    text = io.StringIO()
    names = [f"{kind}{name}{side}" for kind in ("", "gain ") for name in FIGURES for side in ("", " low", " high")]
    facts = ("transform", "ratio", "hidden", "parameters")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["ablation", *facts, *(name.replace(" ", "_") for name in names), "dead_share", "seconds"])
    for study, rows in _studies(found, ablation):
        for row in rows:
            figures = [_number(row.figures.get(name, math.nan)) for name in names]
            last = [_number(row.dead_share), f"{row.seconds:.1f}"]
            writer.writerow([study, *(getattr(row, fact) for fact in facts), *figures, *last])
    return text.getvalue()


def as_json(found: Ablated, ablation: Ablation) -> str:
    """Settings, base line and the rows of each ablation; null where the training diverged."""
    rows = {study: [_plain(asdict(row)) for row in part] for study, part in _studies(found, ablation)}
    return json.dumps({"settings": found.settings, **rows}, indent=2) + "\n"


WRITERS = {"markdown": as_markdown, "csv": as_csv, "json": as_json}


def write_ablation(folder: Path, found: Ablated, ablation: Ablation) -> list[Path]:
    """table.md, .csv, .json, transform.png and ratio.png in `folder`; the files. Raises ReportUnwritten."""
    endings = {"markdown": "md", "csv": "csv", "json": "json"}
    texts = {folder / f"table.{endings[name]}": writer(found, ablation) for name, writer in WRITERS.items()}
    for path, text in texts.items():
        write_text(path, text)
    with writing(folder), drawable():
        drawn = [
            saved(folder / "transform.png", _transforms(found, ablation)),
            saved(folder / "ratio.png", _ratios(found, ablation)),
        ]
    return [*texts, *drawn]


def _studies(found: Ablated, ablation: Ablation) -> list[tuple[str, list[Row]]]:
    return [
        ("baseline", [found.baseline]),
        ("transform", found.by_transform(ablation)),
        ("ratio", found.by_ratio(ablation)),
    ]


def _setting_lines(found: Ablated) -> list[str]:
    said = found.settings
    source = ", ".join(value[:12] if name == "sha256" else value for name, value in said["features"].items())
    return [
        (
            _(
                "Separate training over frozen features (%(source)s; D = %(dim)s), epochs %(epochs)s, "
                "rate %(lr)g, a tenth after each third, P = %(people_per_batch)s, K = "
                "%(crops_per_person)s, seed %(seed)s; the last epoch of each row."
            )
            % {
                "source": source,
                "dim": said["dim"],
                "epochs": said["epochs"],
                "lr": said["lr"],
                "people_per_batch": said["people_per_batch"],
                "crops_per_person": said["crops_per_person"],
                "seed": said["seed"],
            }
        )
    ]


def _left_out(found: Ablated, ablation: Ablation) -> list[str]:
    dim = found.settings["dim"]
    out = ", ".join(str(ratio) for ratio in ablation.ratios if ratio > dim)
    return (
        [
            "",
            (_("Left out: ratio %(out)s, above D = %(dim)s: no hidden unit would be left.") % {"out": out, "dim": dim}),
        ]
        if out
        else []
    )


def _table(found: Ablated, rows: Sequence[Row]) -> list[str]:
    return [_(HEAD), "|" + "---|" * (HEAD.count("|") - 1), *map(_line, (found.baseline, *rows))]


def _line(row: Row) -> str:
    values = [row.figures[name] for name in FIGURES]
    figures = " | ".join("" if math.isnan(value) else f"{100 * value:.1f}" for value in values)
    if not row.ratio:
        return f"| {_(row.transform)} | | | | {figures} | | | |"
    dead = _(row.note) if row.note == "diverged" else f"{100 * row.dead_share:.0f}%"
    return (
        f"| {row.transform} | {row.ratio} | {row.hidden} | {row.parameters:,} | {figures} | {_gain(row)} | {dead} "
        f"| {row.seconds:.0f} |"
    )


def _gain(row: Row) -> str:
    mean, low, high = (100 * row.figures[f"gain mean_ap{side}"] for side in ("", " low", " high"))
    return (
        "" if math.isnan(mean) else f"{mean:+.1f} (" + _("%(low)+.1f to %(high)+.1f") % {"low": low, "high": high} + ")"
    )


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def _plain(values: Any) -> Any:
    """NaN as None, in dictionaries too."""
    if isinstance(values, dict):
        return {name: _plain(value) for name, value in values.items()}
    return None if isinstance(values, float) and math.isnan(values) else values


def _transforms(found: Ablated, ablation: Ablation) -> Figure:
    rows = found.by_transform(ablation)
    figure, axes = _panels(
        found, (_("Which difference goes into the module (ratio %(ratio)s)") % {"ratio": ablation.ratio})
    )
    for axis, name in zip(axes, SHOWN, strict=True):
        places = np.arange(len(rows))
        _drawn(axis, places, rows, found, name, "none")
        axis.set_xticks(places, [row.transform for row in rows])
        axis.set_xlim(-0.6, max(0.6, len(rows) - 0.4))
        named(axis, _("input transform T(g - q)"), SHOWN[name])
        legend(axis, "lower left")
    return figure


def _ratios(found: Ablated, ablation: Ablation) -> Figure:
    rows = found.by_ratio(ablation)
    figure, axes = _panels(
        found, (_("How wide the module's hidden layer is (input %(transform)s)") % {"transform": ablation.transform})
    )
    for axis, name in zip(axes, SHOWN, strict=True):
        places = np.log2([row.ratio for row in rows])
        _drawn(axis, places, rows, found, name, "-")
        axis.set_xticks(places, [str(row.ratio) for row in rows])
        named(axis, _("MLP ratio r (hidden units = D / r)"), SHOWN[name])
        legend(axis, "lower left")
    return figure


def _panels(found: Ablated, title: str) -> tuple[Figure, list[Axes]]:
    note = _(
        "separate training over frozen features, epochs: %(epochs)s; bars: 95%% interval of the "
        "difference from plain cosine"
    ) % {"epochs": found.settings["epochs"]}
    return figure_of(title, note, panels=2, size=(9.6, 4.6))


def _drawn(
    axis: Axes, places: Sequence[float] | np.ndarray, rows: Sequence[Row], found: Ablated, name: str, line: str
) -> None:
    """Points with the interval of their gain, over a level line for plain cosine."""
    level = found.baseline.figures[name]
    values = np.array([row.figures[name] for row in rows], np.float64)
    ends = np.array([[row.figures[f"gain {name} {side}"] for row in rows] for side in ("low", "high")], np.float64)
    reach = np.abs(level + ends - values)
    bars: dict[str, Any] = {"fmt": "o", "linestyle": line, "color": BLUE, "capsize": 4, "linewidth": 1.6}
    axis.axhline(
        level,
        color=GREY,
        linewidth=2,
        linestyle=(0, (3, 2)),
        label=(_("plain cosine: %(level).1f %%") % {"level": 100 * level}),
    )
    axis.errorbar(places, values, yerr=reach, label=_(DIFF_ATTENTION), **bars)
    low, high = (edge([level, *(level + ends[at])]) for at, edge in ((0, np.nanmin), (1, np.nanmax)))
    room = max(0.01, 0.35 * (high - low))
    axis.set_ylim(low - 1.3 * room, min(1.0, high + 0.3 * room))
    percent(axis, "y", decimals=1)
