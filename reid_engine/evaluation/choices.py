"""The table of a recipe's choices: mean AP in each domain and, over the same people, what a row gains on the recipe."""

from __future__ import annotations

from ..training.choices import RECIPE, Judged
from .domains import DOMAINS
from .metrics import Scores, intervals, paired_intervals


def choices_markdown(found: Judged) -> str:
    """Rows in the order of the recipe file, percent, 95% intervals (people drawn with replacement)."""
    choices, base = found.choices, found.rows.get(RECIPE, {})
    size = "{backbone}, {height} x {width}, {epochs} epochs".format(**choices.base)
    lines = [
        f"{size}, {len(choices.seeds)} seed(s), camera {choices.unseen_camera} not trained on. Ranked by plain cosine.",
        "",
        "| mAP, % | " + " | ".join(DOMAINS) + " |",
        "|---" * (len(DOMAINS) + 1) + "|",
    ]
    for name, scores in found.rows.items():
        lines.append(f"| {name} | " + " | ".join(_cell(scores[d], base.get(d), name) for d in DOMAINS) + " |")
    left = [name for name in choices.names if name not in found.rows]
    return "\n".join(lines + (["", "Not run: " + ", ".join(left) + "."] if left else [])) + "\n"


def _cell(scores: Scores, base: Scores | None, name: str) -> str:
    mean = f"{100 * scores.mean_ap:.1f}"
    if base is None or name == RECIPE:
        low, high = intervals(scores)["mean_ap"]
        return f"{mean} ({100 * low:.1f} to {100 * high:.1f})"
    gap, low, high = (100 * value for value in paired_intervals(scores, base)["mean_ap"])
    mark = "**" if low > 0 or high < 0 else ""
    return f"{mean} {mark}{gap:+.1f}{mark} ({low:+.1f} to {high:+.1f})"
