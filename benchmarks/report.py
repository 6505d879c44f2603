"""docs/performance.md from the kept figures: ratios first, plots beside them, missed targets said plainly."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks.figure import RESULTS, Figure, Plot, load
from benchmarks.rows import APART, MODULES

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "performance.md"
# Text between the figures, written by hand: what they mean for a city.
SIZING = Path(__file__).parent / "sizing.md"

HEAD = """# Performance

Written by `make bench`; one row again by `python -m benchmarks LETTER`. Every number was measured by the code beside
it, the peers and the ceiling in the same run, taking turns, each by its best of several runs. Ratios say how many times
better ours is than the peer, or which share of the ceiling it reaches. Other work of the machine falls on all
contenders alike: trust the ratios, and take the absolute figures as what a machine shared with others left.
"""

NO_GPU = """## GPU

Not measured: no GPU was at hand. The kernel (reid_engine/gpu.py) is tested by Triton's interpreter against the CPU's
distances, and compiled for compute capability 9.0 it uses the tensor cores and spills no register. On a machine with a
GPU, `python -m benchmarks gpu` measures diff attention over resident rows at both ratios, and embedding.
"""


def write(results: Path = RESULTS, document: Path = DOCUMENT) -> None:
    """Write the document and its plots from every kept figure that was not a quick one."""
    figures = [figure for figure in map(load, _files(results)) if not figure.quick]
    parts = [HEAD, _machines(figures), _table(figures), *(_section(figure, document) for figure in figures)]
    if not any(figure.letter == "gpu" for figure in figures):
        parts.append(NO_GPU)
    if SIZING.exists():
        parts.append(SIZING.read_text())
    document.parent.mkdir(parents=True, exist_ok=True)
    document.write_text("\n".join(part.strip() + "\n" for part in parts if part))


def line(figure: Figure) -> str:
    """The figure in one line for the terminal."""
    parts = [f"{figure.letter}: {figure.what}: {amount(figure.ours)} {figure.unit}"]
    parts += [f"target {amount(figure.target)} {_verdict(figure)}"] if figure.target is not None else []
    parts += [f"{figure.times(figure.ceiling):.0%} of {figure.ceiling_is}"] if figure.ceiling else []
    parts += [f"{figure.times(value):.3g}x {name}" for name, value in figure.peers.items()]
    return "; ".join(parts)


def amount(value: float) -> str:
    """Three significant digits, thousands grouped."""
    if abs(value) >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def _files(results: Path) -> list[Path]:
    order = [*MODULES, *APART]
    return [results / f"{letter}.json" for letter in order if (results / f"{letter}.json").exists()]


def _verdict(figure: Figure) -> str:
    return {True: "met", False: "missed", None: ""}[figure.met]


def _machines(figures: Iterable[Figure]) -> str:
    return "\n".join(f"- {text}" for text in dict.fromkeys(f"{f.machine} ({f.date})" for f in figures))


def _table(figures: Iterable[Figure]) -> str:
    rows = ["| | what | ours | target | | of the ceiling | beside it |", "|---|---|---|---|---|---|---|"]
    return "\n".join(rows + [_row(figure) for figure in figures])


def _row(figure: Figure) -> str:
    target = "" if figure.target is None else f"{amount(figure.target)} {figure.unit}".strip()
    ceiling = f"{figure.times(figure.ceiling):.0%}" if figure.ceiling else ""
    peers = ", ".join(f"{figure.times(value):.3g}x {name}" for name, value in figure.peers.items())
    cells = [figure.letter, figure.what, f"{amount(figure.ours)} {figure.unit}".strip(), target, _verdict(figure)]
    return f"| {' | '.join([*cells, ceiling, peers])} |"


def _section(figure: Figure, document: Path) -> str:
    parts = [f"## {figure.letter}. {figure.what}", figure.text, _numbers(figure)]
    parts += [f"![{plot.title}]({_drawn(figure, plot, document)})" for plot in figure.plots]
    return "\n\n".join(part.strip() for part in parts if part)


def _numbers(figure: Figure) -> str:
    """Ours, the ceiling and the peers as a table of values and ratios, then the further numbers."""
    rows = [f"| | {figure.unit} | ours is |", "|---|---|---|", f"| ours | {amount(figure.ours)} | |"]
    if figure.ceiling:
        share = f"{figure.times(figure.ceiling):.0%} of it"
        rows.append(f"| ceiling: {figure.ceiling_is} | {amount(figure.ceiling)} | {share} |")
    rows += [f"| {name} | {amount(value)} | {figure.times(value):.3g}x |" for name, value in figure.peers.items()]
    further = [f"- {name}: {amount(value)}" for name, value in figure.details.items()]
    return "\n".join([*rows, "", *further])


def _drawn(figure: Figure, plot: Plot, document: Path) -> str:
    """Draw a plot beside the document and return its path relative to it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    canvas, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name, points in plot.lines.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    if plot.guide is not None:
        axes.axhline(plot.guide, color="grey", linestyle="--")
    axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y, xscale=plot.scales[0], yscale=plot.scales[1])
    if plot.scales[0] == "linear":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # there is no thread and a fifth
    axes.grid(alpha=0.3)
    axes.legend()
    path = document.parent / "figures" / f"performance_{figure.letter}_{plot.name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=110)
    pyplot.close(canvas)
    return path.relative_to(document.parent).as_posix()
