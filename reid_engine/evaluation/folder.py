"""A study as a folder: the table in three forms, the curves, the cameras, and the worst queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..contracts import EvalReport
from ..errors import ReportUnwritten
from ..messages import gettext_noop as _
from .curves import write_curves
from .evaluate import Study
from .sheet import write_sheet
from .tables import as_csv, as_json, as_markdown, cameras_csv, cameras_markdown

SHEET = "worst_queries.png"


def write_folder(folder: Path, study: Study) -> list[Path]:
    """Writes table.md, .csv and .json, cameras.csv, the curves and, of pictures, the contact sheet; the files.

    Raises ReportUnwritten where the folder cannot be made or the disk is full.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        sheet = [write_sheet(folder / SHEET, study)] if study.dataset.vectors is None else []
        pictures = [*write_curves(folder, study), *sheet]
        return [*_texts(folder, study.report, [path.name for path in pictures]), *pictures]


def write_folders(folder: Path, report: EvalReport, studies: Sequence[Study]) -> list[Path]:
    """A study's folder, or one below `folder` for each split and the table of their means; the files written."""
    if len(studies) == 1:
        return write_folder(folder, studies[0])
    parts = [path for at, study in enumerate(studies, 1) for path in write_folder(folder / f"split-{at}", study)]
    with writing(folder):
        return [*_texts(folder, report, []), *parts]


def write_text(path: Path, text: str) -> None:
    """Writes one file, its folder as well. Raises ReportUnwritten."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What fails to be written inside becomes ReportUnwritten, naming `path`."""
    try:
        yield
    except OSError as error:
        raise ReportUnwritten(
            _("%(path)s cannot be written: %(reason)s"), reason=error.strerror or error, path=str(path)
        ) from error


def _texts(folder: Path, report: EvalReport, pictures: list[str]) -> list[Path]:
    cameras = ["\n", cameras_markdown(report)] if report.cameras else []
    shown = "".join(f"\n![{Path(name).stem.replace('_', ' ')}]({name})\n" for name in pictures)
    texts = {
        "table.md": "".join([as_markdown(report), *cameras, shown]),
        "table.csv": as_csv(report),
        "table.json": as_json(report),
        "cameras.csv": cameras_csv(report),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]
