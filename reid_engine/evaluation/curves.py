"""The curves of a study as PNG: how often found, how precise, how far apart, how far to be believed, by camera."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..calibration import Reliability
from ..messages import gettext as _
from .drawing import AMBER, BLUE, GREEN, GREY, INK, RED, RULE, SOFT, drawable, figure_of, legend, named, percent, saved
from .evaluate import Study
from .likelihoods import BELIEF_BINS
from .names import BY_SITUATION, DIFF_ATTENTION, OWN, PLAIN_COSINE, spoken
from .observe import LEVELS, WIDEST
from .openset import FALSE_ALARMS, RATES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {DIFF_ATTENTION: BLUE, PLAIN_COSINE: GREY}
KINDS = {BY_SITUATION: GREEN, OWN: INK, "platt": GREY, "power": BLUE, "isotonic": AMBER}
RANKS_SHOWN = 20
BARS = 100


def write_curves(folder: Path, study: Study) -> list[Path]:
    """Draws every curve that this study has values for into `folder`; the files, in the order of the report."""
    with drawable():
        return _drawn(folder, study)


def _drawn(folder: Path, study: Study) -> list[Path]:
    drawn = [
        saved(folder / "cmc.png", _cmc(study)),
        saved(folder / "precision_recall.png", _precision_recall(study)),
        saved(folder / "distances.png", _distances(study)),
    ]
    if study.believed:
        drawn.append(saved(folder / "reliability.png", _reliability(study)))
    if study.absent is not None:
        drawn.append(saved(folder / "open_set.png", _open_set(study)))
    if study.report.cameras:
        drawn.append(saved(folder / "cameras.png", _cameras(study)))
    return drawn


def _about(study: Study) -> str:
    report = study.report
    return _("%(dataset)s: %(queries)s queries, %(gallery)s gallery crops") % {
        "dataset": report.dataset,
        "queries": report.queries,
        "gallery": report.gallery,
    }


def _cmc(study: Study) -> Figure:
    figure, (axis,) = figure_of(_("How often the right person is among the first hits"), _about(study))
    ranks = np.arange(1, RANKS_SHOWN + 1)
    for name, scores in study.scores.items():
        axis.plot(
            ranks,
            [scores.cmc(int(rank)) for rank in ranks],
            label=(_("%(name)s: Rank-1 %(cmc).1f %%") % {"name": spoken(name), "cmc": 100 * scores.cmc(1)}),
            **_stroke(name),
        )
    lowest = min(scores.cmc(1) for scores in study.scores.values())
    axis.set_xlim(0.5, RANKS_SHOWN + 0.5)
    axis.set_ylim(max(0.0, np.floor(lowest * 20 - 0.5) / 20), 1.003)
    axis.set_xticks([1, 5, 10, 15, 20])
    percent(axis, "y")
    named(axis, _("rank"), _("queries with a right hit up to this rank"))
    legend(axis, "lower right")
    return figure


def _stroke(name: str) -> dict[str, Any]:
    """Colour by distance, dashes for what was re-ranked."""
    base = DIFF_ATTENTION if name.startswith(DIFF_ATTENTION) else PLAIN_COSINE
    return {"color": COLOURS[base], "linewidth": 2.0, "linestyle": "-" if name == base else (0, (3, 2))}


def _precision_recall(study: Study) -> Figure:
    figure, (axis,) = figure_of(_("How many hits are right, the deeper one looks"), _about(study))
    for name, found in study.observed.items():
        if len(found.precision):
            label = _("%(name)s: mAP %(mean_ap).1f %%") % {"name": spoken(name), "mean_ap": 100 * found.scores.mean_ap}
            axis.plot(LEVELS, found.precision.mean(axis=0), label=label, **_stroke(name))
    lowest = min(
        (float(found.precision.mean(axis=0).min()) for found in study.observed.values() if len(found.precision)),
        default=0.0,
    )
    axis.set_xlim(0, 1.005)
    axis.set_ylim(max(0.0, np.floor(lowest * 10 - 1) / 10), 1.005)
    percent(axis, "x", "y")
    named(axis, _("recall: share of the person's crops found"), _("precision (interpolated, mean of the queries)"))
    legend(axis, "lower left")
    return figure


def _distances(study: Study) -> Figure:
    figure, axes = figure_of(
        _("Distances of the same and of different people"), _about(study), panels=2, size=(9.6, 4.4)
    )
    for axis, (name, found) in zip(axes, study.observed.items(), strict=True):
        different, same = found.pairs.counts.sum(axis=0).reshape(2, BARS, -1).sum(axis=2)
        _filled(axis, different, _("different people"), RED)
        _filled(axis, same, _("same person, other camera"), GREEN)
        axis.set_xlim(0, WIDEST)
        axis.set_ylim(bottom=0)
        axis.set_yticks([])
        shared = 100 * _overlap(different, same)
        axis.set_title(
            (_("%(name)s   (overlap %(shared).1f %%)") % {"name": spoken(name), "shared": shared}),
            fontsize=10,
            color=INK,
            loc="left",
        )
        named(axis, _("distance"), "")
        legend(axis, "upper left")
    axes[0].set_ylabel(_("density"), color=SOFT, fontsize=9)
    return figure


def _filled(axis: Axes, counts: NDArray[np.int64], label: str, colour: str) -> None:
    edges = np.linspace(0, WIDEST, BARS + 1)
    density = counts / max(1, counts.sum())
    axis.stairs(density, edges, fill=True, color=colour, alpha=0.25, linewidth=0)
    axis.stairs(density, edges, color=colour, linewidth=1.6, label=label)


def _overlap(different: NDArray[np.int64], same: NDArray[np.int64]) -> float:
    """The area both densities share, 0..1."""
    return float(np.minimum(different / max(1, different.sum()), same / max(1, same.sum())).sum())


def _reliability(study: Study) -> Figure:
    note = _("each half of the people judged by the curve fitted on the other half; ECE: expected calibration error")
    figure, axes = figure_of(_("How far a likelihood can be believed"), note, panels=2, size=(9.6, 5.0))
    for axis, over, title in (
        (axes[0], "every", _("all pairs")),
        (axes[1], "hits", _("the 20 nearest crops of each query")),
    ):
        axis.plot([0, 1], [0, 1], color=RULE, linewidth=2)
        for kind, believed in study.believed.items():
            if (found := getattr(believed, over)) is not None:
                _reliable(axis, found, kind)
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        axis.set_title(title, fontsize=10, color=INK, loc="left")
        percent(axis, "x", "y")
        named(axis, _("likelihood said"), _("share that is the same person"))
        legend(axis, "upper left")
    return figure


def _reliable(axis: Axes, found: Reliability, kind: str) -> None:
    """A line through the bins; the size of a point grows with the logarithm of its pairs."""
    label, colour = (_("%(kind)s: ECE %(error).4f") % {"kind": _(kind), "error": found.error}), KINDS.get(kind, INK)
    bins = _by_bin(found)
    there = bins.pairs >= 1
    said, share, size = bins.likelihood[there], bins.share[there], 4 + 6 * np.log10(bins.pairs[there])
    axis.plot(said, share, color=colour, linewidth=1.4, label=label)
    axis.scatter(said, share, s=size, color=colour, clip_on=False, zorder=3)


def _by_bin(found: Reliability) -> Reliability:
    """Halvings side by side have bins of their own each: one for each place, so that a line runs from 0 to 1 once."""
    place = np.minimum((found.likelihood * BELIEF_BINS).astype(np.int64), BELIEF_BINS - 1)
    columns = (found.pairs, found.pairs * found.likelihood, found.pairs * found.share)
    pairs, said, same = (np.bincount(place, column, BELIEF_BINS).astype(np.float64) for column in columns)
    return Reliability(said / np.maximum(pairs, 1), same / np.maximum(pairs, 1), pairs)


def _open_set(study: Study) -> Figure:
    absent = study.absent
    assert absent is not None
    figure, (axis,) = figure_of(_("Is the person in the gallery at all?"), _about(study))
    axis.plot(RATES, absent.curve, color=BLUE, linewidth=2)
    axis.axvline(FALSE_ALARMS, color=AMBER, linewidth=1.4)
    axis.scatter([absent.false_alarms], [absent.detected], color=BLUE, s=36, zorder=3)
    found, alarms = 100 * absent.detected, 100 * absent.false_alarms
    said = _("%(found).0f %% of absent people found absent\nat %(alarms).1f %% false alarms") % {
        "found": found,
        "alarms": alarms,
    }
    axis.annotate(
        said,
        (absent.false_alarms, absent.detected),
        (12, -10),
        textcoords="offset points",
        fontsize=9,
        color=INK,
        va="top",
    )
    axis.set_xlim(0, 0.5)
    axis.set_ylim(0, 1.01)
    percent(axis, "x", "y")
    named(axis, _("false alarms: present people said to be absent"), _("absent people said to be absent"))
    return figure


def _cameras(study: Study) -> Figure:
    pairs = study.report.cameras
    rows, columns = (sorted({getattr(pair, f"{side}_camera") for pair in pairs}) for side in ("query", "gallery"))
    size = (max(8.0, 2.4 + 1.3 * len(columns)), max(4.2, 1.9 + 0.42 * len(rows)))
    note = _("each query camera (rows) against each gallery camera alone (columns), diff attention, %")
    figure, axes = figure_of(_("Which pairs of cameras are hard"), note, panels=2, size=size)
    for axis, figure_name, title in ((axes[0], "rank1", "Rank-1"), (axes[1], "mean_ap", "mAP")):
        table = np.full((len(rows), len(columns)), np.nan)
        for pair in pairs:
            table[rows.index(pair.query_camera), columns.index(pair.gallery_camera)] = getattr(pair, figure_name)
        _heat(axis, table, rows, columns)
        axis.set_title(title, fontsize=10, color=INK, loc="left")
    return figure


def _heat(axis: Axes, table: NDArray[np.float64], rows: list[int], columns: list[int]) -> None:
    """Cells from red (half and less) to blue (all), the figure written in each; a camera against itself is empty."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("hard", ["#c8553d", "#f2d7a6", "#e9eef3", "#7fa8d1", "#1d5fa8"])
    axis.grid(False)
    axis.spines[:].set_visible(False)
    axis.imshow(table, cmap=colours, vmin=0.5, vmax=1.0, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            dark = value > 0.91 or value < 0.56
            axis.text(
                column,
                row,
                f"{100 * value:.0f}",
                ha="center",
                va="center",
                fontsize=8.5,
                color="white" if dark else INK,
            )
    axis.set_xticks(np.arange(1, len(columns)) - 0.5, minor=True)
    axis.set_yticks(np.arange(1, len(rows)) - 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=2)
    axis.tick_params(which="minor", length=0)
    axis.set_xticks(range(len(columns)), [f"c{camera}" for camera in columns])
    axis.set_yticks(range(len(rows)), [f"c{camera}" for camera in rows])
