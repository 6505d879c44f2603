"""The table of backbones and methods as Markdown, CSV and JSON, and put in its place in a document."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ..errors import ReportUnwritten
from ..messages import gettext as _
from ..messages import gettext_noop
from ..training.table import METHODS, PAPER_EPOCHS, Row
from .folder import write_text
from .metrics import FIGURES

HEAD = gettext_noop(
    "| backbone | method | Rank-1 | mAP (95%) | mINP | mAP over plain row (95%) | own features, plain cosine: mAP "
    "| epochs | module epochs | start | pixels | CPU minutes |"
)
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"

Key = tuple[str, ...]  # of a row: backbone, method


def as_markdown(rows: Sequence[Row]) -> str:
    """One line per row, in percent, and what a reader must know below."""
    return _table(_lines(rows), rows)


def as_csv(rows: Sequence[Row]) -> str:
    """One line per row, figures 0..1, empty where a row has none."""
    names = [f"{kind}{name}{side}" for kind in ("", "gain ") for name in FIGURES for side in ("", " low", " high")]
    facts = ("backbone", "method", "skipped", "epochs", "module_epochs", "processor_minutes")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*facts, *(name.replace(" ", "_") for name in names)])
    for row in rows:
        figures = [f"{row.figures[name]:.6f}" if name in row.figures else "" for name in names]
        writer.writerow([*(getattr(row, fact) for fact in facts), *figures])
    return text.getvalue()


def as_json(rows: Sequence[Row]) -> str:
    """Every row whole, with the options that made it."""
    return json.dumps([asdict(row) for row in rows], indent=2) + "\n"


WRITERS = {"markdown": as_markdown, "csv": as_csv, "json": as_json}


def write_comparison(folder: Path, rows: Sequence[Row], document: Path | None = None) -> list[Path]:
    """table.md, .csv and .json in `folder`, and the Markdown between BEGIN and END of `document`; the files.

    Rows that the document has and `rows` has not stay there. Raises ReportUnwritten.
    """
    endings = {"markdown": "md", "csv": "csv", "json": "json"}
    texts = {folder / f"table.{endings[name]}": writer(rows) for name, writer in WRITERS.items()}
    if document is not None:
        texts[document] = _inserted(document, rows)
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


def _inserted(document: Path, rows: Sequence[Row]) -> str:
    try:
        before, _mark, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    except OSError as error:
        raise ReportUnwritten(
            _("%(path)s cannot be read: %(reason)s"), reason=error.strerror, path=str(document)
        ) from error
    old, mark, after = rest.partition(END)
    if not mark:
        text = _("%(path)s has no place for the table: a line %(begin)s and a line %(end)s below it")
        raise ReportUnwritten(text, path=str(document), begin=BEGIN, end=END)
    return f"{before}{BEGIN}\n\n{_table(_kept(old) | _lines(rows), rows)}\n{END}{after}"


def _kept(old: str) -> dict[Key, str]:
    """The lines a document has already, under the same head: a row made in another run stays."""
    lines = [line for line in old.splitlines() if line.startswith("|")]
    same = lines[:1] == [_(HEAD)]
    return {tuple(cell.strip() for cell in line.split("|")[1:3]): line for line in lines[2:] if same}


def _lines(rows: Sequence[Row]) -> dict[Key, str]:
    return {(row.backbone, row.method): _line(row) for row in rows}


def _table(lines: dict[Key, str], rows: Sequence[Row]) -> str:
    """The lines backbone by backbone, in the order they came, each by the order of the methods."""
    backbones, methods = list(dict.fromkeys(name for name, _method in lines)), list(METHODS)
    ordered = sorted(lines, key=lambda key: (backbones.index(key[0]), methods.index(key[1])))
    head = [_(HEAD), "|" + "---|" * (HEAD.count("|") - 1)]
    return "\n".join([*head, *(lines[key] for key in ordered), "", *_notes(rows)]) + "\n"


def _line(row: Row) -> str:
    rank1, mean_ap, mean_inp = (100 * row.figures[name] for name in FIGURES)
    low, high = (100 * row.figures[f"mean_ap {side}"] for side in ("low", "high"))
    between = _("%(low).1f to %(high).1f") % {"low": low, "high": high}
    start = _("its plain row") if row.method == "separate" else row.start
    pixels = f"{row.options['height']} x {row.options['width']}"
    return (
        f"| {row.backbone} | {row.method} | {rank1:.1f} | {mean_ap:.1f} ({between}) | {mean_inp:.1f} "
        f"| {_gain(row)} | {100 * row.figures['cosine mean_ap']:.1f} "
        f"| {_epochs(row)} | {row.module_epochs or ''} | {start} | {pixels} "
        f"| {row.processor_minutes:.1f} |"
    )


def _gain(row: Row) -> str:
    if "gain mean_ap" not in row.figures:
        return ""
    mean, low, high = (100 * row.figures[f"gain mean_ap{side}"] for side in ("", " low", " high"))
    return f"{mean:+.1f} (" + _("%(low)+.1f to %(high)+.1f") % {"low": low, "high": high} + ")"


def _epochs(row: Row) -> str:
    """The backbone's epochs, beside the paper's where they are fewer."""
    if not 0 < row.epochs < PAPER_EPOCHS:
        return str(row.epochs or "")
    return _("%(epochs)s of the paper's %(paper_epochs)s") % {"epochs": row.epochs, "paper_epochs": PAPER_EPOCHS}


def _notes(rows: Sequence[Row]) -> list[str]:
    skipped = ", ".join(str(count) for count in sorted({row.skipped for row in rows}))
    return [
        _("`separate` counts its module alone; the plain row's minutes come before it."),
        _("Queries without a match, skipped: %(skipped)s.") % {"skipped": skipped},
    ]
