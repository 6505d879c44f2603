"""How every figure of the engine looks: colours, title, axes, legend.

matplotlib is loaded when a figure is drawn; figures are drawn without a display and without global state.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..messages import untranslated

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, RULE = "#1f2933", "#66727f", "#e3e7eb"
BLUE, GREY, GREEN, RED, AMBER = "#1d5fa8", "#8b95a1", "#2a8f6a", "#c8553d", "#d99a2b"
DPI = 150
CHINESE_FONTS = ("Noto Sans CJK", "Source Han Sans", "WenQuanYi", "Microsoft YaHei", "PingFang", "SimHei")


@cache
def chinese_font() -> str | None:
    """The file of a font with Chinese characters, if this machine has one."""
    from matplotlib.font_manager import fontManager

    return next((font.fname for font in fontManager.ttflist if font.name.startswith(CHINESE_FONTS)), None)


def drawable() -> AbstractContextManager[None]:
    """Inside, words stay English where no font of this machine could draw them otherwise."""
    return nullcontext() if chinese_font() else untranslated()


def figure_of(
    title: str, note: str, panels: int = 1, size: tuple[float, float] = (7.2, 4.8)
) -> tuple[Figure, list[Axes]]:
    """A figure with its title and a grey line below it, and `panels` axes side by side."""
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=size, dpi=DPI, facecolor="white")
    left = 0.75 / size[0]
    figure.text(left, 1 - 0.28 / size[1], title, fontsize=13, fontweight="bold", color=INK, va="center")
    figure.text(left, 1 - 0.56 / size[1], note, fontsize=9, color=SOFT, va="center")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    top, right = 1 - (0.85 if panels == 1 else 1.15) / size[1], 1 - 0.3 / size[0]
    figure.subplots_adjust(left=left, right=right, top=top, bottom=0.62 / size[1], wspace=0.28)
    for axis in axes:
        _plain(axis)
    return figure, list(axes)


def _plain(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(RULE)
    axis.tick_params(colors=SOFT, labelsize=8.5, length=0, pad=5)
    axis.grid(color=RULE, linewidth=0.8)
    axis.set_axisbelow(True)


def named(axis: Axes, across: str, up: str) -> None:
    """Names both axes."""
    axis.set_xlabel(across, color=SOFT, fontsize=9)
    axis.set_ylabel(up, color=SOFT, fontsize=9)


def percent(axis: Axes, *names: str, decimals: int = 0) -> None:
    """Shares 0..1 as percents on the axes "x", "y"."""
    from matplotlib.ticker import PercentFormatter

    for name in names:
        getattr(axis, f"{name}axis").set_major_formatter(PercentFormatter(1.0, decimals=decimals))


def legend(axis: Axes, place: Literal["upper left", "lower left", "lower right"]) -> None:
    """A legend without a frame."""
    axis.legend(loc=place, frameon=False, fontsize=9, labelcolor=INK, handlelength=1.4)


def saved(path: Path, figure: Figure) -> Path:
    """Writes the figure as PNG, its words in fonts that have their letters; its path."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_fontfamily(_families())  # type: ignore[attr-defined]
    figure.savefig(path, format="png")
    return path


@cache
def _families() -> list[str]:
    """matplotlib looks a letter up in the first family, then in the next."""
    from matplotlib.font_manager import FontProperties

    own, chinese = "DejaVu Sans", chinese_font()
    return [own, FontProperties(fname=chinese).get_name()] if chinese else [own]
