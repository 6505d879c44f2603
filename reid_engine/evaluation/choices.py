"""The table of a recipe's choices: mean AP in each domain and, over the same people, what a row gains on the recipe."""

from __future__ import annotations

from ..training.choices import RECIPE, Judged
from .domains import table_lines


def choices_markdown(found: Judged) -> str:
    """Rows in the order of the recipe file, percent, 95% intervals (people drawn with replacement)."""
    choices = found.choices
    size = "{backbone}, {height} x {width}, {epochs} epochs".format(**choices.base)
    camera = f"camera {choices.unseen_camera} not trained on. Ranked by plain cosine."
    lines = [f"{size}, {len(choices.seeds)} seed(s), {camera}", "", *table_lines(found.rows, RECIPE)]
    left = [name for name in choices.names if name not in found.rows]
    return "\n".join(lines + (["", "Not run: " + ", ".join(left) + "."] if left else [])) + "\n"
