"""Tables of mean AP by domain: of a recipe's choices, or of bundles; and what a row gains over the same people."""

from __future__ import annotations

from pathlib import Path

from .. import bundle
from ..data.records import Dataset
from ..training.choices import RECIPE, Judged
from .domains import Domains
from .metrics import Scores, intervals, paired_intervals
from .names import DIFF_ATTENTION, PLAIN_COSINE

CITY_PEOPLE = 60
Rows = dict[str, dict[str, Scores]]


def choices_markdown(found: Judged) -> str:
    """Rows in the order of the recipe file, percent, 95% intervals (people drawn with replacement)."""
    choices = found.choices
    size = "{backbone}, {height} x {width}, {epochs} epochs".format(**choices.base)
    camera = f"camera {choices.unseen_camera} not trained on. Ranked by plain cosine."
    lines = [f"{size}, {len(choices.seeds)} seed(s), {camera}", "", *_table(found.rows, RECIPE)]
    left = [name for name in choices.names if name not in found.rows]
    return "\n".join(lines + (["", "Not run: " + ", ".join(left) + "."] if left else [])) + "\n"


def domain_rows(paths: list[Path], dataset: Dataset, city: Path) -> Rows:
    """Bundles before their own, altered and rendered cameras: {"name, plain cosine": {domain: Scores}}, and attended.

    The rendered city is drawn into `city` unless it is there. Raises BadBundle, BadDataset.
    """
    rows: Rows = {}
    for path in paths:
        read = bundle.read(path)
        size = int(read.manifest["preprocessing"]["height"]), int(read.manifest["preprocessing"]["width"])
        domains, model = Domains.of(dataset, 0, size, city, CITY_PEOPLE), read.model()
        seen = domains.seen_by(model)
        for attended, name in ((None, PLAIN_COSINE), (model, DIFF_ATTENTION)):
            rows[f"{path.stem}, {name}"] = domains.judged(seen, attended)
    return rows


def domains_markdown(rows: Rows) -> str:
    """The rows of `domain_rows`; each after the first with its gain on the first, over the same people."""
    return "\n".join(_table(rows, next(iter(rows), ""))) + "\n"


def _table(rows: Rows, base: str) -> list[str]:
    first = rows.get(base, {})
    domains = list(next(iter(rows.values()), {}))
    head = ["| mAP, % | " + " | ".join(domains) + " |", "|---" * (len(domains) + 1) + "|"]
    cells = {
        name: [_cell(part, None if name == base else first.get(domain)) for domain, part in scores.items()]
        for name, scores in rows.items()
    }
    return head + [f"| {name} | " + " | ".join(row) + " |" for name, row in cells.items()]


def _cell(scores: Scores, base: Scores | None) -> str:
    mean = f"{100 * scores.mean_ap:.1f}"
    if base is None:
        low, high = intervals(scores)["mean_ap"]
        return f"{mean} ({100 * low:.1f} to {100 * high:.1f})"
    gap, low, high = (100 * value for value in paired_intervals(scores, base)["mean_ap"])
    mark = "**" if low > 0 or high < 0 else ""
    return f"{mean} {mark}{gap:+.1f}{mark} ({low:+.1f} to {high:+.1f})"
