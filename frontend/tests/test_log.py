"""The auditor's page: the log of his units, and nothing else; nobody else finds it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from citysearch.cases.models import LogEntry
from conftest import make_user
from units.models import Unit

pytestmark = pytest.mark.django_db


def page_of(user: Any, query: str = "") -> Any:
    client = Client()
    client.force_login(user)
    return client.get(f"/log/{query}")


def test_an_auditor_reads_every_line_of_his_units_and_narrows_them(
    finished: Any, start: Any, operator: Any, auditor: Any
) -> None:
    east = Unit.objects.get(code="330102")
    start(operator, east, case="2026-18")
    text = page_of(auditor).content.decode()
    assert text.index("2026-18") < text.index("2026-17"), "newest first"
    assert LogEntry.objects.latest("id").digest in text
    assert "2026-17" not in page_of(auditor, "?q=2026-18").content.decode()
    assert "The log says nothing like that." in page_of(auditor, "?action=export").content.decode()

    of_the_east = make_user("auditor-east", "auditor", east)
    text = page_of(of_the_east).content.decode()
    assert "2026-18" in text and "2026-17" not in text, "the whole city's search is not the east's alone"


@pytest.mark.parametrize("name", ["operator", "supervisor", "administrator", "researcher", "stranger"])
def test_nobody_else_finds_the_log(name: str, request: pytest.FixtureRequest) -> None:
    assert page_of(request.getfixturevalue(name)).status_code == 404


def test_only_auditors_are_shown_the_way_to_the_log(operator: Any, auditor: Any) -> None:
    client = Client()
    assert client.get("/log/").status_code == 302
    client.force_login(operator)
    assert "/log/" not in client.get("/").content.decode()
    client.force_login(auditor)
    home = client.get("/").content.decode()
    assert home.count('href="/log/"') == 2, "in the bar, and where it is said that the account cannot search"
