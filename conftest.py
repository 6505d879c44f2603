"""The cast of the tests: one small city, its cameras and its people."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before Django reads its settings: every process has a var/ of its own, short enough for a unix socket.
_VAR = tempfile.mkdtemp(prefix="cs-")
os.environ["VAR_DIR"] = _VAR
# Before anything loads torch: processes that run side by side share the cores, and do not all use each of them.
_SHARE = len(os.sched_getaffinity(0)) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _SHARE)))
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
os.environ["DJANGO_SETTINGS_MODULE"] = "citysearch.settings"

import django  # noqa: E402

django.setup()

import pytest  # noqa: E402


def pytest_unconfigure(config: pytest.Config) -> None:
    import shutil

    shutil.rmtree(_VAR, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow tests run only when asked for: `pytest -m slow`."""
    if config.getoption("-m"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, settings: Any) -> None:
    """No test sees another's pictures or features."""
    settings.VAR_DIR = tmp_path
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.STORE_DIR = tmp_path / "features"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def own_language() -> None:
    """The engine says what Django translates, also after a test that ran one of its commands in this process."""
    from django.utils.translation import gettext

    from reid_engine import messages

    messages.install(gettext)


@pytest.fixture
def eager_tasks(settings: Any) -> None:
    """Celery tasks run at once, in this process."""
    from citysearch.celery import app

    before = app.conf.task_always_eager
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = before


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """One Chromium serves every test of a process, those of the administration too."""
    from frontend.tests.conftest import CHROMIUM, FLAGS

    return browser_type_launch_args | {"executable_path": CHROMIUM, "args": FLAGS}


@pytest.fixture(scope="module")
def untraced() -> Iterator[None]:
    """Bundles are written as older ones are, without the graph of their network: tracing it takes half a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reid_engine.bundle._network_of", lambda bundle: {})
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real pictures for slow tests: REID_DATA, or the folder beside the checkout."""
    root = Path(os.environ.get("REID_DATA", Path(__file__).resolve().parent.parent / "shared" / "data"))
    if not (root / "market1501-451").is_dir():
        pytest.fail(f"the slow tests need {root}/market1501-451; set REID_DATA to the folder that holds it")
    return root


def square(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


# code, parent's code, name, level, (west, south, east, north)
UNITS = [
    ("330100", None, "Lakeside", 1, (120.00, 30.00, 120.04, 30.02)),
    ("330101", "330100", "West", 2, (120.00, 30.00, 120.02, 30.02)),
    ("330102", "330100", "East", 2, (120.02, 30.00, 120.04, 30.02)),
    ("330101001", "330101", "Mill Street", 3, (120.00, 30.00, 120.02, 30.02)),
    ("330102001", "330102", "Harbour Street", 3, (120.02, 30.00, 120.04, 30.02)),
    ("330101001001", "330101001", "Mill South", 4, (120.00, 30.00, 120.02, 30.01)),
    ("330101001002", "330101001", "Mill North", 4, (120.00, 30.01, 120.02, 30.02)),
    ("330102001001", "330102001", "Harbour", 4, (120.02, 30.00, 120.04, 30.02)),
    ("33010100100101", "330101001001", "Mill South 1", 5, (120.00, 30.00, 120.02, 30.01)),
    ("33010100100201", "330101001002", "Mill North 1", 5, (120.00, 30.01, 120.02, 30.02)),
    ("33010200100101", "330102001001", "Harbour 1", 5, (120.02, 30.00, 120.04, 30.01)),
    ("33010200100102", "330102001001", "Harbour 2", 5, (120.02, 30.01, 120.04, 30.02)),
]


@pytest.fixture
def city(db: None) -> Any:
    """1 city, 2 districts, 2 streets, 3 regions, 4 grids; returns the city. Others by their code."""
    from units.models import Unit

    made: dict[str, Any] = {}
    for code, parent, name, level, box in UNITS:
        west, south, east, north = box
        fields = {"code": code, "name": name, "level": level, "polygon": square(*box)}
        fields |= {"west": west, "south": south, "east": east, "north": north}
        unit = Unit(**fields)
        holder = Unit.objects.get(pk=made[parent].pk) if parent else None
        made[code] = Unit.objects.add_child(holder, instance=unit) if holder else Unit.objects.add_root(instance=unit)
    return Unit.objects.get(code="330100")


@pytest.fixture
def cameras(city: Any) -> list[Any]:
    """cam-1 and cam-2 in West, cam-3 and cam-4 in East, one in each grid."""
    from units.models import Camera, Unit

    places = [
        ("cam-1", "33010100100101", 120.010, 30.005),
        ("cam-2", "33010100100201", 120.010, 30.015),
        ("cam-3", "33010200100101", 120.030, 30.005),
        ("cam-4", "33010200100102", 120.030, 30.015),
    ]
    return [
        Camera.objects.create(
            unit=Unit.objects.get(code=unit),
            code=code,
            free_code=True,
            name=f"Camera {code[-1]}",
            longitude=lon,
            latitude=lat,
        )
        for code, unit, lon, lat in places
    ]


def make_user(name: str, role: str | None, unit: Any) -> Any:
    from django.contrib.auth import get_user_model

    from units.models import Membership

    user = get_user_model().objects.create_user(name, password="a long password", is_staff=role == "administrator")
    if role:
        Membership.objects.create(user=user, role=role, unit=unit)
    return user


@pytest.fixture
def operator(city: Any) -> Any:
    return make_user("operator", "operator", city)


@pytest.fixture
def operator_east(city: Any) -> Any:
    """An operator of the district East alone."""
    from units.models import Unit

    return make_user("operator-east", "operator", Unit.objects.get(code="330102"))


@pytest.fixture
def supervisor(city: Any) -> Any:
    return make_user("supervisor", "supervisor", city)


@pytest.fixture
def administrator(city: Any) -> Any:
    return make_user("administrator", "administrator", city)


@pytest.fixture
def auditor(city: Any) -> Any:
    return make_user("auditor", "auditor", city)


@pytest.fixture
def researcher(city: Any) -> Any:
    return make_user("researcher", "researcher", city)


@pytest.fixture
def stranger(city: Any) -> Any:
    """Knows the address, belongs nowhere."""
    return make_user("stranger", None, city)
