"""`manage.py serve --host`: a site others can reach has no password that is printed."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from citysearch.management.commands import serve


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("localhost", True), ("::1", True), ("[::1]", True),
     ("0.0.0.0", False), ("::", False), ("10.1.2.3", False), ("city.example.org", False), ("", False)],
)  # fmt: skip
def test_what_only_this_machine_reaches(host: str, local: bool) -> None:
    assert serve.is_loopback(host) is local


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, settings: Any) -> list[str]:
    """The hosts that were served, instead of serving them."""
    hosts: list[str] = []
    settings.DEMO_PASSWORD, settings.ALLOWED_HOSTS = "", ["localhost"]
    monkeypatch.setattr(serve, "port_is_free", lambda host, port: True)
    monkeypatch.setattr(serve.Command, "_prepare", lambda self, options: None)
    monkeypatch.setattr(serve.Command, "_run", lambda self, options, since: hosts.append(options["host"]))
    return hosts


def test_the_printed_password_is_for_this_machine_alone(db: None, started: list[str], settings: Any) -> None:
    call_command("serve", host="127.0.0.1")
    with pytest.raises(CommandError, match="DEMO_PASSWORD"):
        call_command("serve", host="0.0.0.0")
    settings.DEMO_PASSWORD = "a word of our own"
    call_command("serve", host="0.0.0.0")
    assert started == ["127.0.0.1", "0.0.0.0"]


def test_users_of_an_earlier_start_keep_their_password_and_so_keep_others_out(
    db: None, started: list[str], settings: Any
) -> None:
    settings.DEMO_PASSWORD = "a word of our own"
    person = get_user_model().objects.create_user("operator", password="citysearch")
    with pytest.raises(CommandError, match="changepassword"):
        call_command("serve", host="0.0.0.0", no_demo=True)
    person.set_password("another word")
    person.save()
    call_command("serve", host="0.0.0.0", no_demo=True)
    assert started == ["0.0.0.0"]
