"""What an administrator sees of searches: who, where and why, in his subtree; nothing to change."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from citysearch.searches.models import Search
from units.models import Membership, Unit

LIST = "/admin/searches/search/"


@pytest.fixture
def searches(operator: Any) -> dict[str, Search]:
    made = {}
    for code in ("330101", "330102"):
        unit = Unit.objects.get(code=code)
        made[code] = Search.objects.create(user=operator, unit=unit, purpose="missing person", case=f"C-{code}")
    return made


def signed_in(client: Client, user: Any) -> Client:
    client.force_login(user)
    return client


def test_an_administrator_reads_case_and_purpose(
    client: Client, administrator: Any, searches: dict[str, Search]
) -> None:
    page = signed_in(client, administrator).get(LIST)
    assert b"C-330101" in page.content and b"C-330102" in page.content
    assert client.get(f"{LIST}{searches['330101'].pk}/change/").status_code == 200


def test_an_administrator_of_one_district_sees_its_searches_only(
    client: Client, administrator: Any, searches: dict[str, Search]
) -> None:
    Membership.objects.filter(user=administrator).update(unit=Unit.objects.get(code="330102"))
    page = signed_in(client, administrator).get(LIST)
    assert b"C-330102" in page.content and b"C-330101" not in page.content
    assert client.get(f"{LIST}{searches['330101'].pk}/change/").status_code == 302  # not there: back to the index


def test_nobody_adds_changes_or_deletes_a_search(
    client: Client, administrator: Any, searches: dict[str, Search]
) -> None:
    signed_in(client, administrator)
    address = f"{LIST}{searches['330101'].pk}/"
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(f"{address}change/", {"case": "another"}).status_code == 403
    assert client.post(f"{address}delete/", {"post": "yes"}).status_code == 403
    assert Search.objects.filter(case="C-330101").exists()


def test_an_operator_has_no_admin(client: Client, operator: Any, searches: dict[str, Search]) -> None:
    assert signed_in(client, operator).get(LIST).status_code == 302
