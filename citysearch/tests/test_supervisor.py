"""The processes of one machine start together and end together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from citysearch.supervisor import Child, ChildFailed, Supervisor, broker_command, port_is_free, wait_for_socket

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def eventually(check, seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.05)
    return False


def test_stop_ends_every_child(tmp_path) -> None:
    supervisor = Supervisor()
    pids = [supervisor.add(Child(name, SLEEP, tmp_path / f"{name}.log")).process.pid for name in ("a", "b")]
    supervisor.stop()
    assert not any(is_running(pid) for pid in pids)


def test_a_killed_child_can_be_started_again(tmp_path) -> None:
    child = Child("a", SLEEP, tmp_path / "a.log")
    child.start()
    first = child.process.pid
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: not child.is_alive())
    child.restart()
    assert child.is_alive() and child.process.pid != first
    child.signal(signal.SIGKILL)
    child.process.wait()


def test_a_child_that_dies_again_and_again_is_an_error_that_names_its_log(tmp_path) -> None:
    child = Child("broken", [sys.executable, "-c", "raise SystemExit(1)"], tmp_path / "broken.log")
    with pytest.raises(ChildFailed, match=r"broken died .* see .*broken\.log"):
        for _ in range(10):
            child.restart()
            child.process.wait()


def test_killing_the_supervisor_leaves_no_orphan(tmp_path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from citysearch.supervisor import Child\n"
        f"child = Child('a', {SLEEP!r}, Path({str(tmp_path / 'a.log')!r})); child.start()\n"
        "print(child.process.pid, flush=True); time.sleep(60)"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    pid = int(supervisor.stdout.readline())
    assert is_running(pid)
    supervisor.kill()
    supervisor.wait()
    assert eventually(lambda: not is_running(pid))


def test_the_broker_keeps_what_it_was_given_across_a_kill(tmp_path_factory) -> None:
    import tempfile

    import redis

    with tempfile.TemporaryDirectory(prefix="vk-") as folder:
        socket = Path(folder) / "s"
        child = Child("broker", broker_command(socket, Path(folder) / "data"), Path(folder) / "broker.log")
        child.start()
        wait_for_socket(socket, child)
        redis.Redis(unix_socket_path=str(socket)).set("kept", "yes")
        time.sleep(1.2)  # appendfsync everysec
        child.signal(signal.SIGKILL)
        child.process.wait()
        child.start()
        wait_for_socket(socket, child)
        assert eventually(lambda: redis.Redis(unix_socket_path=str(socket)).get("kept") == b"yes")
        child.signal(signal.SIGKILL)
        child.process.wait()


def test_a_port_in_use_is_seen() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert not port_is_free("127.0.0.1", taken.getsockname()[1])
