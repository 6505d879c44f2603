"""What the system does without: GDAL, torch in the web process, anything from outside."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WEB_PROCESS = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "citysearch.settings"
import citysearch.wsgi
from django.urls import get_resolver
get_resolver().url_patterns
unwanted = ("torch", "osgeo", "django.contrib.gis.gdal", "matplotlib", "onnxruntime", "cv2")
print([name for name in unwanted if name in sys.modules])
"""


def test_the_web_process_loads_neither_gdal_nor_torch() -> None:
    done = subprocess.run([sys.executable, "-c", WEB_PROCESS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_no_source_asks_for_gdal() -> None:
    sources = [
        path for folder in ("reid_engine", "units", "citysearch", "frontend") for path in (ROOT / folder).rglob("*.py")
    ]
    asking = [
        path.name
        for path in sources
        if re.search(r"^\s*(from|import) (osgeo|django\.contrib\.gis)", path.read_text(), re.M)
    ]
    assert len(sources) > 200
    assert asking == []


def test_the_model_card_says_what_a_card_must() -> None:
    card = (ROOT / "reid_engine/bundles/citysearch.md").read_text()
    for word in (
        "451 people",
        "100 other people",
        "seed",
        "Cost",
        "minutes",
        "plain cosine",
        "diff attention",
        "Research use only",
    ):
        assert word in card, word
    bundle = ROOT / "reid_engine/bundles/citysearch.reid"
    assert bundle.stat().st_size < 20 * 1024 * 1024
