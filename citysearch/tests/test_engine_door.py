"""The door between Django and torch: the web process never opens it, a worker opens it once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from citysearch import engine as door
from citysearch.research.models import ModelVersion
from reid_engine.errors import BundleCorrupt, BundleMismatch

CONFIG = {
    "backbone": "osnet_x0_25",
    "diff_attention": {"ratio": 64, "transform": "abs", "tied": True, "activation": "sigmoid", "distance": "euclidean"},
}
FACTS = {
    "name": "tiny",
    "created": "2026-01-01T00:00:00+00:00",
    "config": CONFIG,
    "metrics": {},
    "preprocessing": {
        "height": 64, "width": 32, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "views": ["plain"],
    },
    "calibration": {"kind": "platt", "a": 6.0, "b": -3.0},
}  # fmt: skip

WEB = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "citysearch.settings"
from citysearch.wsgi import application
from django.urls import get_resolver
from django.contrib import admin

def walk(patterns):
    for pattern in patterns:
        yield from walk(pattern.url_patterns) if hasattr(pattern, "url_patterns") else [pattern.callback]

views = list(walk(get_resolver().url_patterns))
print(len(views), "torch" in sys.modules, "torchvision" in sys.modules)
"""

WORKER = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "citysearch.settings"
import django; django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command
from citysearch.celery import app
from citysearch.research.queries import active_model
from citysearch.searches import services
from citysearch.searches.models import Search
from citysearch.searches.tests import cast
from units.models import Camera, Membership
from units.tree import unit_add

app.loader.import_default_modules()
call_command("prepare")
city = unit_add(None, name="Lakeside", code="L", free_code=True)
user = get_user_model().objects.create_user("operator", password="a long password")
Membership.objects.create(user=user, role="operator", unit=city)
camera = Camera.objects.create(unit=city, code="c", free_code=True, name="Camera", longitude=120, latitude=30)
cast.walk([camera], (1, 2, 3))
cast.index([camera], active_model())
search = services.search_start(user, city, [cast.photo_of(2)], "purpose", "case")
search = Search.objects.get(pk=search.pk)
best = search.candidates.order_by("distance").first().crop.source_name
print(search.state, search.error, best[:4], "torch" in sys.modules)
"""


@pytest.fixture
def bundle_file(tmp_path: Path, untraced: None) -> Path:
    """A bundle of the real format, with random weights: for plumbing alone."""
    from reid_engine import bundle
    from reid_engine.models import build

    path = tmp_path / "tiny.reid"
    bundle.write(path, build({**CONFIG, "classes": 0}), FACTS)
    return path


@pytest.fixture(autouse=True)
def closed_door() -> Any:
    door.engines_forget()
    yield
    door.engines_forget()


def version_of(path: Path, sha256: str | None = None) -> ModelVersion:
    from citysearch.research.services import sha256_of

    return ModelVersion(
        name="tiny", sha256=sha256 or sha256_of(path), bundle=str(path), dim=512, backbone="osnet_x0_25"
    )


def test_the_web_process_resolves_every_address_without_torch() -> None:
    found = subprocess.run(
        [sys.executable, "-c", WEB], cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=600, check=True
    )
    views, torch, torchvision = found.stdout.split()[-3:]
    assert int(views) > 50 and (torch, torchvision) == ("False", "False")


def test_a_worker_indexes_and_searches_with_the_shipped_bundle_without_torch(tmp_path: Path) -> None:
    environment = os.environ | {"VAR_DIR": str(tmp_path), "TASKS_EAGER": "true", "RETENTION_DAYS": "3650"}
    found = subprocess.run(
        [sys.executable, "-c", WORKER], cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    state, error, best, torch = found.stdout.splitlines()[-1].split(" ")
    assert (state, error, best) == ("done", "None", "0002"), found.stdout
    assert torch == "False"


def test_a_worker_loads_a_version_once_for_all_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def slow(version: ModelVersion) -> Any:
        time.sleep(0.05)
        loaded.append(version.sha256)
        return object()

    monkeypatch.setattr(door, "_load", slow)
    version, got = ModelVersion(sha256="a" * 64), []
    threads = [threading.Thread(target=lambda: got.append(door.engine_of(version))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 1 and len(set(map(id, got))) == 1


def test_the_active_version_and_its_successor_are_kept_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_load", lambda version: version.sha256)
    for letter in "abc":
        door.engine_of(ModelVersion(sha256=letter))
    assert list(door._engines) == ["b", "c"]


def test_the_engine_is_that_of_the_registered_bundle(bundle_file: Path) -> None:
    version = version_of(bundle_file)
    engine = door.engine_of(version)
    assert engine.bundle_sha == version.sha256 and engine.dim == version.dim
    assert door.engine_of(version) is engine


def test_a_bundle_with_a_flipped_byte_is_refused(bundle_file: Path) -> None:
    version, content = version_of(bundle_file), bytearray(bundle_file.read_bytes())
    content[len(content) // 2] ^= 1
    bundle_file.write_bytes(content)
    with pytest.raises(BundleCorrupt):
        door.engine_of(version)


def test_a_bundle_that_was_replaced_is_refused_by_name(bundle_file: Path) -> None:
    with pytest.raises(BundleMismatch, match="not the one registered as tiny"):
        door.engine_of(version_of(bundle_file, sha256="0" * 64))


@pytest.mark.django_db
def test_a_search_with_a_damaged_bundle_fails_with_words(
    bundle_file: Path, operator: Any, city: Any, cameras: list[Any], client: Any
) -> None:
    import numpy as np

    from citysearch.searches import services, tasks
    from citysearch.searches.tests import cast
    from citysearch.searches.tests.conftest import client_of

    version = version_of(bundle_file)
    version.state = ModelVersion.State.ACTIVE
    version.save()
    cast.store_vectors(cameras[0], version, np.ones((3, 512), dtype=np.float16))
    search = services.search_start(operator, city, [cast.photo_of(1)], "purpose", "case")
    bundle_file.write_bytes(bundle_file.read_bytes()[:-100])
    tasks.search_run.run(str(search.pk))
    state = client_of(operator).get(f"/api/v1/searches/{search.pk}/").json()
    assert state["state"] == "failed" and state["error"]["code"] == "bundle_corrupt"
    assert "model file is damaged" in state["error"]["message"] and state["error"]["stage"] == "extract"
