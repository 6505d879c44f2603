"""Who may search what: a stranger gets 404, whatever he asks for."""

from __future__ import annotations

from typing import Any

import pytest

from citysearch.searches.models import Search
from citysearch.searches.tests.conftest import client_of
from units.models import Unit

pytestmark = pytest.mark.django_db


def addresses(pk: object) -> list[tuple[str, str]]:
    base = f"/api/v1/searches/{pk}/"
    return [
        ("get", base),
        ("get", base + "hits/"),
        ("get", base + "trajectory.geojson"),
        ("get", base + "verdicts/"),
        ("get", base + "photos/0/"),
        ("post", base + "cancel/"),
        ("post", base + "rerun/"),
        ("post", base + "verdicts/"),
    ]


@pytest.mark.parametrize("who", ["stranger", "administrator", "auditor", "researcher", "operator_east"])
def test_whoever_may_not_search_the_unit_finds_nothing(found: Search, who: str, request: pytest.FixtureRequest) -> None:
    client = client_of(request.getfixturevalue(who))
    for method, address in addresses(found.pk):
        response = getattr(client, method)(address, {}, format="json")
        assert response.status_code == 404, (method, address, response.content)
        assert response.json()["error"]["code"] == "not_found"
    assert client.get("/api/v1/searches/").json()["results"] == []


@pytest.mark.parametrize("who", ["stranger", "administrator", "auditor", "researcher", "operator_east"])
def test_whoever_may_not_search_the_city_cannot_start_there(
    start: Any, city: Unit, gallery: Any, who: str, request: pytest.FixtureRequest
) -> None:
    response = start(city, client=client_of(request.getfixturevalue(who)))
    assert response.status_code == 404 and not Search.objects.exists()


def test_without_a_login_there_is_no_search(found: Search) -> None:
    from rest_framework.test import APIClient

    assert all(getattr(APIClient(), method)(address).status_code == 401 for method, address in addresses(found.pk))


def test_an_operator_of_the_east_searches_the_east(start: Any, gallery: Any, operator_east: Any) -> None:
    response = start("330102", client=client_of(operator_east))
    assert response.status_code == 202
    search = Search.objects.get(pk=response.json()["id"])
    assert search.counts["cameras"] == 2 and search.candidates.count() == 18


def test_a_colleague_sees_the_search_of_his_unit(found: Search, supervisor: Any) -> None:
    client = client_of(supervisor)
    assert all(client.get(address).status_code == 200 for method, address in addresses(found.pk) if method == "get")


def test_who_lost_the_role_has_lost_the_search(found: Search, api: Any, operator: Any) -> None:
    operator.memberships.all().delete()
    assert api.get(f"/api/v1/searches/{found.pk}/").status_code == 404


def test_a_right_that_ends_between_start_and_run_is_respected(operator: Any, city: Unit, gallery: Any) -> None:
    from citysearch.searches import services, tasks
    from citysearch.searches.tests import cast

    search = services.search_start(operator, city, [cast.photo_of(1)], "purpose", "case")
    operator.memberships.all().delete()
    tasks.search_run(str(search.pk))
    search.refresh_from_db()
    assert search.state == "failed" and search.error["code"] == "no_permission"
    assert not search.candidates.exists()


def test_a_script_gets_a_token_for_its_password(found: Search, operator: Any) -> None:
    from rest_framework.test import APIClient

    client = APIClient()
    wrong = client.post("/api/v1/token/", {"username": "operator", "password": "guess"})
    assert wrong.status_code == 400 and wrong.json()["error"]["code"] == "bad_credentials"
    token = client.post("/api/v1/token/", {"username": "operator", "password": "a long password"}).json()["token"]
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    assert client.get(f"/api/v1/searches/{found.pk}/").status_code == 200


def test_guessing_a_password_locks_the_name_out(operator: Any, settings: Any) -> None:
    from rest_framework.test import APIClient

    client = APIClient()
    guess = {"username": "operator", "password": "guess"}
    answers = [client.post("/api/v1/token/", guess).status_code for _ in range(settings.AXES_FAILURE_LIMIT + 1)]
    assert answers[0] == 400 and answers[-1] == 429
    right = client.post("/api/v1/token/", {"username": "operator", "password": "a long password"})
    assert right.status_code == 429 and right.json()["error"]["code"] == "locked_out"


def test_a_session_does_as_well_as_a_token(found: Search, operator: Any, client: Any) -> None:
    client.force_login(operator, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(f"/api/v1/searches/{found.pk}/").status_code == 200


def test_the_admin_shows_searches_and_lets_nobody_touch_them(
    found: Search, client: Any, django_user_model: Any
) -> None:
    root = django_user_model.objects.create_superuser("root", password="a long password")
    client.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/admin/searches/search/").status_code == 200
    page = client.get(f"/admin/searches/search/{found.pk}/change/")
    assert page.status_code == 200 and b'name="_save"' not in page.content
    assert client.get("/admin/searches/search/add/").status_code == 403
    assert client.post(f"/admin/searches/search/{found.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Search.objects.filter(pk=found.pk).exists()
