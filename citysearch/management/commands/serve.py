"""`manage.py serve`: the whole system on one machine, one command, nothing else installed."""

from __future__ import annotations

import fcntl
import ipaddress
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from citysearch.supervisor import (
    Child,
    ChildFailed,
    Supervisor,
    broker_command,
    celery_command,
    gunicorn_command,
    port_is_free,
    wait_for_answer,
    wait_for_socket,
)


class Command(TranslatedCommand):
    help = gettext_lazy("Migrate, then run broker, workers and web until Ctrl-C.")  # type: ignore[assignment]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help=_("Address to listen on."))
        parser.add_argument("--port", type=int, default=8000, help=_("Port to listen on."))
        parser.add_argument("--engine-workers", type=int, default=1, help=_("Processes that load the model."))
        parser.add_argument("--web-workers", type=int, default=2, help=_("Processes that answer requests."))
        parser.add_argument("--no-demo", action="store_true", help=_("Do not build the demo city at the first start."))

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        if not port_is_free(options["host"], options["port"]):
            raise CommandError(
                _("Port %(port)d is in use. Stop what listens there, or give --port.") % {"port": options["port"]}
            )
        from citysearch.demo.users import PASSWORD, demo_password, printed_password_counts

        if not options["no_demo"]:
            _check_password(options["host"], demo_password() == PASSWORD)
        with _only_one(settings.VAR_DIR / "run" / "serve.lock"):
            self._prepare(options)
            if not is_loopback(options["host"]):
                _check_password(options["host"], printed_password_counts())
            self._run(options, started)

    def _prepare(self, options: dict[str, Any]) -> None:
        call_command("prepare", stdout=self.stdout)
        if not options["no_demo"]:
            call_command("demo_city", stdout=self.stdout, stderr=self.stderr)

    def _run(self, options: dict[str, Any], started: float) -> None:
        supervisor = Supervisor()
        supervisor.listen()
        try:
            _start(supervisor, options)
            self._say_ready(options, time.monotonic() - started)
            supervisor.watch()
            self.stdout.write(_("Stopping ..."))
        except ChildFailed as error:
            raise CommandError(str(error)) from error
        finally:
            supervisor.stop()

    def _say_ready(self, options: dict[str, Any], seconds: float) -> None:
        words = {"address": f"http://{options['host']}:{options['port']}", "seconds": seconds}
        self.stdout.write("\n" + _("CitySearch answers on %(address)s (after %(seconds).1f s)") % words)
        if not options["no_demo"]:
            from citysearch.demo.queries import demo_logins

            for line in demo_logins():
                self.stdout.write(f"  {line}")
        words = {"folder": settings.VAR_DIR / "log"}
        self.stdout.write(_("Logs: %(folder)s   Ctrl-C stops everything.") % words + "\n")
        self.stdout.flush()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there; a name other than localhost may be anything."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_password(host: str, is_printed: bool) -> None:
    """Nobody but this machine may reach users whose password stands in the README."""
    if is_printed and not is_loopback(host):
        raise CommandError(
            _(
                "Others can reach %(host)s, and the demo's users have the password of the README. Set DEMO_PASSWORD "
                "before the first start, or change their passwords (manage.py changepassword NAME)."
            )
            % {"host": host}
        )


def _start(supervisor: Supervisor, options: dict[str, Any]) -> None:
    log = settings.VAR_DIR / "log"
    if f"redis+socket://{settings.VALKEY_SOCKET}" == settings.REDIS_URL:
        broker = Child(
            "broker", broker_command(settings.VALKEY_SOCKET, settings.VAR_DIR / "broker"), log / "broker.log"
        )
        supervisor.add(broker)
        wait_for_socket(settings.VALKEY_SOCKET, broker)
    bind = f"{options['host']}:{options['port']}"
    web = supervisor.add(Child("web", gunicorn_command(bind, options["web_workers"], 4), log / "web.log"))
    wait_for_answer(options["host"], options["port"], web)
    supervisor.add(Child("worker", celery_command("default", "default", 2), log / "worker.log"))
    for number in range(options["engine_workers"]):
        name = f"engine{number + 1}"
        supervisor.add(Child(name, celery_command("engine", name, 1), log / f"{name}.log"))


class _only_one:
    """A lock on var/run/serve.lock: two supervisors over one var/ would start two brokers on one socket."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.handle = path.open("w")

    def __enter__(self) -> None:
        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            words = {"folder": settings.VAR_DIR}
            raise CommandError(_("Another serve runs over %(folder)s. Stop it, or set VAR_DIR.") % words) from None

    def __exit__(self, *error: object) -> None:
        self.handle.close()
