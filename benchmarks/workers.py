"""How many searches a minute one engine worker finishes, and two: real processes, with a broker between."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from benchmarks.city import FULL, TINY, Size, inside_city
from benchmarks.figure import Figure, Plot, either

COUNTS = (1, 2)
SEARCHES = 8
WARMING = 2  # searches for each worker, in which it loads its engine
PATIENCE_S = 300.0


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Searches of streets a minute by the number of workers, all queued at once."""
    size = TINY if quick else FULL
    found = inside_city("workers", size, searches=either(quick, 2, SEARCHES, rows))
    points = [(float(count), found[_name(count)]) for count in COUNTS]
    return Figure(
        "workers",
        f"searches of a street of {size.cameras * size.crops // size.districts // size.streets:,} rows by two workers",
        "a minute",
        points[-1][1],
        peers={"one worker": points[0][1]},
        text=(
            "Engine workers as `manage.py serve` starts them, of one core each, and Valkey between; searches are "
            "queued at once, without photos, and counted when all of them are done and stored. Both write to one "
            "SQLite file, and the broker and the database take their part of the two cores."
        ),
        details={name: value for name, value in found.items() if name != _name(COUNTS[-1])},
        plots=(
            Plot("throughput", "Searches a minute by engine workers", "workers", "searches a minute",
                 {"ours": points}, ("linear", "linear")),
        ),
    )  # fmt: skip


def inside(size: Size, searches: int) -> dict[str, float]:
    """In the city: one worker after the other is added, loads its engine, and then is measured."""
    found = {}
    with _installation() as worker_add:
        for count in COUNTS:
            worker_add(f"engine{count}")
            _finish(count * WARMING)
            found[_name(count)] = 60 * searches / _finish(searches)
    return found


def _name(count: int) -> str:
    return f"searches a minute by {count} worker{'s' * (count > 1)}"


@contextmanager
def _installation() -> Iterator[Callable[[str], object]]:
    """A broker of its own, and a function that adds a worker; all gone afterwards. The made city's crops are kept."""
    from django.conf import settings

    from citysearch.celery import app
    from citysearch.supervisor import Child, Supervisor, broker_command, celery_command, wait_for_socket

    logs, family = Path(settings.VAR_DIR) / "log", Supervisor()
    with tempfile.TemporaryDirectory(prefix="cs-") as folder:
        socket = Path(folder) / "valkey.sock"
        environment = {
            "REDIS_URL": f"redis+socket://{socket}", "TASKS_EAGER": "false", "ENGINE_THREADS": "1",
            "RETENTION_DAYS": "3650", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        app.conf.update(broker_url=environment["REDIS_URL"], task_always_eager=False)
        try:
            broker = Child("broker", broker_command(socket, Path(folder)), logs / "broker.log")
            wait_for_socket(socket, family.add(broker))
            yield lambda name: family.add(
                Child(name, celery_command("engine", name, 1), logs / f"{name}.log", environment)
            )
        finally:
            family.stop()


def _finish(searches: int) -> float:
    """Seconds until so many searches, queued at once, are done."""
    from citysearch.searches.tasks import search_run

    queued = [_queued(number) for number in range(searches)]
    start = time.perf_counter()
    for pk in queued:
        search_run.delay(str(pk))
    _wait(queued)
    return time.perf_counter() - start


def _queued(number: int) -> UUID:
    from django.contrib.auth import get_user_model

    from citysearch.research.queries import active_model
    from citysearch.searches.models import Search
    from units.models import Unit

    streets, version = Unit.objects.filter(depth=3).order_by("path"), active_model()
    assert version is not None
    query = np.random.default_rng(number).standard_normal(version.dim).astype(np.float32)
    user: Any = get_user_model().objects.get(username="bench")
    unit = streets[number % streets.count()]
    return Search.objects.create(
        unit=unit, user=user, purpose="benchmark", case="b", model_version=version, features=query.tobytes()
    ).pk


def _wait(queued: Sequence[UUID]) -> None:
    from citysearch.searches.models import Search

    end = time.monotonic() + PATIENCE_S
    while Search.objects.filter(pk__in=queued, state="done").count() < len(queued):
        failed = Search.objects.filter(pk__in=queued, state="failed").first()
        assert failed is None and time.monotonic() < end, failed and failed.error
        time.sleep(0.02)
