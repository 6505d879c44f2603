"""What one row of the benchmark says, and how it is kept: one JSON file a row below `results/`."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("torch", "numpy")
CPU_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True)
class Plot:
    """Lines of (x, y) points to draw beside a figure; `name` becomes part of the file's name, `guide` a dashed y."""

    name: str
    title: str
    x: str
    y: str
    lines: Mapping[str, list[tuple[float, float]]]
    scales: tuple[str, str] = ("log", "log")
    guide: float | None = None


@dataclass(frozen=True)
class Figure:
    """One row of the table. `ours`, `target`, `ceiling` and each of `peers` are in `unit`.

    `target` None is a figure without one. `more_is_better` False is for seconds and bytes. `text` holds the sentences
    a reader needs: how it was measured, and why a target was missed. `details` are further measured numbers by name.
    """

    letter: str
    what: str
    unit: str
    ours: float
    target: float | None = None
    peers: Mapping[str, float] = field(default_factory=dict)
    ceiling: float | None = None
    ceiling_is: str = ""
    more_is_better: bool = True
    text: str = ""
    details: Mapping[str, float] = field(default_factory=dict)
    plots: tuple[Plot, ...] = ()
    quick: bool = False
    date: str = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).date().isoformat())
    machine: str = field(default_factory=lambda: machine())

    @property
    def met(self) -> bool | None:
        """Whether the target was reached; None where there is none."""
        if self.target is None:
            return None
        return self.ours >= self.target if self.more_is_better else self.ours <= self.target

    def times(self, other: float) -> float:
        """How many times better ours is than `other`, whichever way better lies."""
        return self.ours / other if self.more_is_better else other / self.ours


def save(figure: Figure, folder: Path = RESULTS) -> Path:
    """Write the figure as JSON and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{figure.letter}.json"
    path.write_text(json.dumps(asdict(figure), indent=1) + "\n")
    return path


def load(path: Path) -> Figure:
    """The figure kept in a file."""
    fields: dict[str, Any] = json.loads(path.read_text())
    plots = tuple(_plot(**plot) for plot in fields.pop("plots"))
    return Figure(**fields, plots=plots)


def _plot(lines: dict[str, list[list[float]]], scales: list[str], **rest: Any) -> Plot:
    """A plot from JSON, which knows lists only."""
    points = {name: [(x, y) for x, y in line] for name, line in lines.items()}
    return Plot(lines=points, scales=(scales[0], scales[1]), **rest)


def machine() -> str:
    """The machine in words: processor, the cores this process may use, memory, and the libraries' versions."""
    cores = len(os.sched_getaffinity(0))
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    return f"{_processor()}, {cores} cores, {gib:.0f} GiB, Python {platform.python_version()}, {versions}"


def progress(step: str) -> None:
    """Say on the terminal what is measured now."""
    print(f"  {step} ...", flush=True)


def either(quick: bool, small: int, large: int, asked: int | None = None) -> int:
    """How many rows: what was asked for, else few where it must be quick."""
    return asked or (small if quick else large)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = [flag for flag in CPU_FEATURES if flag in facts.get("flags", "").split()]
    return f"{facts.get('model name', platform.machine())} ({' '.join(flags)})"


Measure = Callable[[bool, int | None], Figure]
