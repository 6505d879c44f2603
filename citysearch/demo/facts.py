"""What is known of the demo city that was built: seed, day, samples, figures. A small JSON file beside the samples."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

FOLDER = "samples"
_FILE = "samples.json"


@dataclass(frozen=True)
class Sample:
    """A sample query photo: its file, the walker it shows, and by how many cameras that walker was seen."""

    file: str
    person_id: int
    cameras: int


@dataclass(frozen=True)
class Facts:
    """`day` is the simulated date (ISO); `score` holds the figures of the last evaluation, empty before it."""

    seed: int
    people: int
    day: str
    crops: int
    samples: tuple[Sample, ...]
    model: str = ""
    score: dict[str, Any] = field(default_factory=dict)


def samples_folder() -> Path:
    return Path(settings.MEDIA_ROOT) / FOLDER


def facts_read() -> Facts | None:
    """The facts of the city that was built last, or None."""
    try:
        values = json.loads((samples_folder() / _FILE).read_text(encoding="utf-8"))
        values["samples"] = tuple(Sample(**sample) for sample in values["samples"])
        return Facts(**values)
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def facts_write(facts: Facts) -> None:
    """Replace the file whole: written beside, then renamed."""
    path = samples_folder() / _FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(asdict(facts), ensure_ascii=False, indent=1), encoding="utf-8")
    partial.replace(path)
