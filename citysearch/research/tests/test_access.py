"""Who sees model versions, over REST and on the administrator's page."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from rest_framework.test import APIClient

from citysearch.research.access import may_activate, may_read, versions_of
from citysearch.research.models import ModelVersion

METRICS = {"attention_rank1": 0.91, "attention_map": 0.8, "attention_minp": 0.6, "cosine_map": 0.7}


@pytest.fixture
def version(db: None) -> ModelVersion:
    return ModelVersion.objects.create(
        name="first", sha256="a" * 64, bundle="models/a.reid", dim=512, backbone="osnet_x0_25", metrics=METRICS
    )


def client_of(user: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def test_a_researcher_reads_versions_with_their_figures(researcher: Any, version: ModelVersion) -> None:
    client = client_of(researcher)
    rows = client.get("/api/v1/models/").json()["results"]
    assert [(row["name"], row["state"], row["figures"]) for row in rows] == [
        ("first", "registered", {"rank1": 0.91, "mean_ap": 0.8, "mean_inp": 0.6})
    ]
    assert client.get(f"/api/v1/models/{version.pk}/").json()["sha256"] == "a" * 64


def test_an_administrator_reads_them_too(administrator: Any, version: ModelVersion) -> None:
    assert client_of(administrator).get("/api/v1/models/").json()["count"] == 1


@pytest.mark.parametrize("name", ["operator", "supervisor", "auditor", "stranger"])
def test_everybody_else_finds_nothing_there(name: str, version: ModelVersion, request: pytest.FixtureRequest) -> None:
    user = request.getfixturevalue(name)
    client = client_of(user)
    for address in ("/api/v1/models/", f"/api/v1/models/{version.pk}/"):
        answer = client.get(address)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert not versions_of(user).exists()


def test_nobody_reads_them_without_a_login(version: ModelVersion) -> None:
    assert APIClient().get("/api/v1/models/").status_code == 401


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_versions_are_not_written_over_rest(method: str, researcher: Any, version: ModelVersion) -> None:
    answer = getattr(client_of(researcher), method)(f"/api/v1/models/{version.pk}/", {"name": "x"}, format="json")
    assert answer.status_code == 405


def test_versions_are_filtered_by_state(researcher: Any, version: ModelVersion) -> None:
    client = client_of(researcher)
    assert client.get("/api/v1/models/?state=active").json()["count"] == 0
    assert client.get("/api/v1/models/?state=registered").json()["count"] == 1


def test_a_list_costs_the_same_queries_however_long_it_is(
    researcher: Any,
    version: ModelVersion,
    django_assert_num_queries: Any,
) -> None:
    client = client_of(researcher)
    for number in range(10):
        ModelVersion.objects.create(name=f"v{number}", sha256=f"{number}" * 64, bundle="b", dim=8, backbone="osnet")
    with django_assert_num_queries(4):
        client.get("/api/v1/models/")


def test_only_administrators_activate(administrator: Any, researcher: Any, operator: Any) -> None:
    assert [may_activate(user) for user in (administrator, researcher, operator)] == [True, False, False]
    assert [may_read(user) for user in (administrator, researcher, operator)] == [True, True, False]


def test_who_administers_a_part_of_the_city_does_not_choose_the_model_of_all(administrator: Any, city: Any) -> None:
    from units.models import Membership, Unit

    Membership.objects.filter(user=administrator).update(unit=Unit.objects.exclude(pk=city.pk).order_by("path")[0])
    assert not may_activate(administrator) and may_read(administrator)
    administrator.is_superuser = True
    assert may_activate(administrator)
    administrator.is_active = False
    assert not may_activate(administrator)


def test_the_administrators_page_shows_figures_and_takes_no_typing(administrator: Any, version: ModelVersion) -> None:
    client = Client()
    client.force_login(administrator)
    assert b"91.0" in client.get("/admin/research/modelversion/").content
    page = client.get(f"/admin/research/modelversion/{version.pk}/change/").content
    assert b"80.0" in page and b'name="name"' not in page
    assert client.get("/admin/research/modelversion/add/").status_code == 403


def test_staff_without_a_role_see_no_versions_on_the_page(version: ModelVersion) -> None:
    user = get_user_model().objects.create_user("clerk", password="a long password", is_staff=True)
    client = Client()
    client.force_login(user)
    assert client.get("/admin/research/modelversion/").status_code == 403
