"""Figures over a data set of several splits: the mean over them, and how far they differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..contracts import EvalReport, EvalRow
from ..data.records import Dataset
from .evaluate import PAIR_MEMORY, Progress, Ranker, Study, study
from .metrics import FIGURES


def study_all(
    engine: Ranker,
    datasets: Sequence[Dataset],
    progress: Progress = lambda done, total: None,
    again: bool = False,
    pair_memory: int = PAIR_MEMORY,
) -> tuple[EvalReport, list[Study]]:
    """The study of each split, and the report of all of them: the split's own where there is one only.

    `progress` counts within each split. Raises as `study`.
    """
    studies = [study(engine, dataset, progress, again, pair_memory) for dataset in datasets]
    reports = [found.report for found in studies]
    return reports[0] if len(reports) == 1 else mean_report(reports), studies


def mean_report(reports: Sequence[EvalReport]) -> EvalReport:
    """Mean figures of every row; `extra` holds the number of splits and the standard deviations over them."""
    columns = list(zip(*(report.rows for report in reports), strict=True))
    extra = {"splits": float(len(reports))}
    for rows in columns:
        spread = np.std([(row.cmc[1], row.mean_ap, row.mean_inp) for row in rows], axis=0, ddof=1)
        extra |= {f"{rows[0].name} {name} deviation": float(value) for name, value in zip(FIGURES, spread, strict=True)}
    queries, gallery, skipped = (
        sum(getattr(report, name) for report in reports) for name in ("queries", "gallery", "skipped_queries")
    )
    name = reports[0].dataset.rpartition(", split ")[0] or reports[0].dataset
    return EvalReport(name, queries, gallery, skipped, tuple(map(_mean, columns)), extra)


def _mean(rows: Sequence[EvalRow]) -> EvalRow:
    cmc = {rank: float(np.mean([row.cmc[rank] for row in rows])) for rank in rows[0].cmc}
    means = (float(np.mean([getattr(row, name) for row in rows])) for name in ("mean_ap", "mean_inp"))
    return EvalRow(rows[0].name, cmc, *means)
