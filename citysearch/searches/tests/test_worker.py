"""Real processes: Valkey, a Celery worker, kill -9. The search completes, once, with the same hits."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project

from citysearch.supervisor import Child, broker_command

pytestmark = pytest.mark.slow

STAGE = [sys.executable, "-m", "citysearch.searches.tests.stage"]
PATIENCE_S = 240.0


class Installation:
    """A folder var/ of its own, with a broker and a worker that can be killed and started again."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.environment = {"VAR_DIR": str(var), "OMP_NUM_THREADS": "1", "DATABASE_URL": "", "REDIS_URL": ""}
        socket = var / "run" / "valkey.sock"
        self.broker = Child("broker", broker_command(socket, var / "broker"), var / "broker.log")
        self.worker = Child("worker", [*STAGE, "worker"], var / "worker.log", self.environment)

    def run(self, word: str) -> str:
        done = subprocess.run([*STAGE, word], env=os.environ | self.environment, cwd=project.BASE_DIR,
                              capture_output=True, text=True, timeout=PATIENCE_S)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def search(self) -> str:
        return self.run("start").splitlines()[-1].replace("-", "")

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.var / "db.sqlite3", timeout=20)) as database:
            return database.execute(statement, values).fetchall()

    def state(self, pk: str) -> dict[str, Any]:
        row = self.rows("SELECT state, counts, error, attempts FROM searches_search WHERE id = ?", pk)[0]
        return {
            "state": row[0],
            "counts": json.loads(row[1]),
            "error": json.loads(row[2] or "null"),
            "attempts": row[3],
        }

    def hits(self, pk: str) -> list[tuple[Any, ...]]:
        columns = "crop_id, distance, likelihood, sighting"
        order = "ORDER BY distance, crop_id"
        return self.rows(f"SELECT {columns} FROM searches_candidate WHERE search_id = ? {order}", pk)

    def wait(self, pk: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            state = self.state(pk)
            if holds(state):
                return state
            assert state["state"] != "failed", state
            time.sleep(0.05)
        pytest.fail(f"{state} after {PATIENCE_S} s; worker's log:\n{(self.var / 'worker.log').read_text()[-3000:]}")

    def kill(self, child: Child) -> None:
        child.signal(signal.SIGKILL)
        assert child.process is not None
        child.process.wait()


@pytest.fixture
def installation() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="cs-") as folder:
        made = Installation(Path(folder))
        made.run("setup")
        made.broker.start()
        made.worker.start()
        try:
            yield made
        finally:
            made.kill(made.worker)
            made.kill(made.broker)


def is_done(state: dict[str, Any]) -> bool:
    return bool(state["state"] == "done")


def is_halfway(state: dict[str, Any]) -> bool:
    return bool(1 <= state["counts"].get("parts_done", 0) < 4)


def test_a_worker_killed_in_mid_search_is_survived(installation: Installation) -> None:
    calm = installation.search()
    installation.wait(calm, is_done)

    pk = installation.search()
    installation.wait(pk, is_halfway)
    installation.kill(installation.worker)
    assert is_halfway(installation.state(pk))
    partial = installation.hits(pk)
    assert 0 < len(partial) < 400
    installation.worker.start()
    state = installation.wait(pk, is_done)
    assert state["counts"]["parts_done"] == 4 and state["error"] is None
    assert installation.hits(pk) == installation.hits(calm) and len(installation.hits(pk)) == 400
    assert set(partial) <= set(installation.hits(pk))

    # Once: what is redelivered later changes nothing.
    before = installation.rows("SELECT finished_at, counts FROM searches_search WHERE id = ?", pk)
    installation.wait(installation.search(), is_done)
    assert installation.rows("SELECT finished_at, counts FROM searches_search WHERE id = ?", pk) == before


def test_a_broker_gone_in_mid_search_is_survived(installation: Installation) -> None:
    calm = installation.search()
    installation.wait(calm, is_done)

    pk = installation.search()
    installation.wait(pk, is_halfway)
    installation.kill(installation.broker)
    waiting = installation.search()
    told = installation.state(waiting)
    assert told["state"] == "queued" and told["error"]["code"] == "broker_gone"
    time.sleep(2)
    installation.broker.start()
    for search in (pk, waiting):
        installation.wait(search, is_done)
        assert installation.hits(search) == installation.hits(calm)


def test_two_searches_at_once_and_two_workers_give_the_same_hits(installation: Installation) -> None:
    second = Child("second", [*STAGE, "worker"], installation.var / "second.log", installation.environment)
    second.start()
    try:
        searches = [installation.search() for _ in range(3)]
        for search in searches:
            installation.wait(search, is_done)
        first, *others = (installation.hits(search) for search in searches)
        assert len(first) == 400 and all(other == first for other in others)
    finally:
        installation.kill(second)
