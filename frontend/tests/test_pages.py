"""Pages through Django's client: who sees what, what each state says, how many statements it costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from citysearch.searches.models import Search

PAGES = ["/", "/searches/", "/units/tree"]


@pytest.fixture
def as_user(client: Client) -> Callable[[Any], Client]:
    def logged_in(user: Any) -> Client:
        client.force_login(user)
        return client

    return logged_in


def text(response: Any) -> str:
    """The page's words in one line."""
    return " ".join(response.content.decode().split())


# Who may see what.


@pytest.mark.parametrize("address", PAGES)
def test_who_is_not_logged_in_is_asked_to(client: Client, db: None, address: str) -> None:
    response = client.get(address)
    assert response.status_code == 302
    assert response["Location"] == f"/login/?next={address}"


def test_log_in_leads_on_to_the_page_that_was_asked_for(client: Client, operator: Any) -> None:
    given = {"username": "operator", "password": "a long password", "next": "/searches/"}
    assert client.post("/login/", given)["Location"] == "/searches/"


def test_a_wrong_password_is_said_beside_the_form(client: Client, operator: Any) -> None:
    response = client.post("/login/", {"username": "operator", "password": "wrong"})
    assert response.status_code == 200
    assert 'role="alert"' in text(response)


@pytest.mark.parametrize("role", ["administrator", "auditor", "researcher", "stranger"])
def test_who_may_not_search_is_told_so_and_the_form_is_shut(
    as_user: Callable[[Any], Client], request: pytest.FixtureRequest, role: str
) -> None:
    page = text(as_user(request.getfixturevalue(role)).get("/"))
    assert "Your account cannot search" in page
    assert " inert>" in page


def test_a_page_whose_session_has_ended_goes_to_the_login_and_comes_back(client: Client, finished: Search) -> None:
    address = reverse("search", args=[finished.pk])
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{address}"}
    response = client.get(reverse("search-status", args=[finished.pk]), headers=headers)
    assert response.status_code == 204
    assert response["HX-Redirect"] == "/login/?next=" + address.replace("/", "%2F")


def test_an_operator_may_search(as_user: Callable[[Any], Client], operator: Any) -> None:
    page = text(as_user(operator).get("/"))
    assert "Where was this person seen?" in page
    assert " inert>" not in page


def test_a_stranger_finds_no_search_no_status_no_unit(
    client: Client, finished: Search, stranger: Any, city: Any
) -> None:
    client.force_login(stranger)
    addresses = [reverse(name, args=[finished.pk]) for name in ("search", "search-status")]
    addresses += [reverse(name, args=[city.pk]) for name in ("unit", "unit-panel")]
    assert [client.get(address).status_code for address in addresses] == [404] * 4


def test_an_operator_of_one_district_does_not_see_the_whole_citys_search(
    client: Client, finished: Search, operator_east: Any
) -> None:
    client.force_login(operator_east)
    assert client.get(reverse("search", args=[finished.pk])).status_code == 404


def test_the_way_to_ones_own_district_is_shown_without_counts(
    client: Client, gallery: list[Any], operator_east: Any
) -> None:
    client.force_login(operator_east)
    tree = text(client.get("/units/tree"))
    assert tree.count('aria-disabled="true"') == 1, "only the city above the district is shut"
    assert "East" in tree and "West" not in tree
    assert tree.count("node-count") == 1


def test_a_branch_of_somebody_elses_district_is_not_there(client: Client, operator_east: Any, city: Any) -> None:
    client.force_login(operator_east)
    assert client.get("/units/tree", {"parent": city.pk}).status_code == 404


def test_units_are_found_by_name_and_by_code_within_ones_rights(
    client: Client, gallery: list[Any], operator_east: Any
) -> None:
    client.force_login(operator_east)
    assert "Harbour Street" in text(client.get("/units/tree", {"q": "harbour"}))
    assert "Harbour 1" in text(client.get("/units/tree", {"q": "33010200100101"}))
    assert "No unit is called that" in text(client.get("/units/tree", {"q": "Mill"}))


def test_my_searches_are_mine_alone_and_can_be_narrowed(
    client: Client, start: Callable[..., Any], operator: Any, supervisor: Any, city: Any
) -> None:
    start(operator, city, case="A-1")
    start(operator, city, case="B-2", purpose="stolen bicycle")
    start(supervisor, city, case="C-3")
    client.force_login(operator)
    everything = text(client.get("/searches/"))
    assert "A-1" in everything and "B-2" in everything and "C-3" not in everything
    narrowed = text(client.get("/searches/", {"q": "bicycle"}))
    assert ">B-2</a>" in narrowed and ">A-1</a>" not in narrowed


# What each state says.


def status_of(client: Client, search: Search, **query: str) -> Any:
    return client.get(reverse("search-status", args=[search.pk]), query)


def test_a_queued_search_says_that_it_waits_and_asks_again_every_second(
    client: Client, start: Callable[..., Any], operator: Any, city: Any
) -> None:
    client.force_login(operator)
    page = text(status_of(client, start(operator, city)))
    assert 'data-state="queued"' in page
    assert 'hx-trigger="every 1s, poll"' in page
    assert "Waiting for a worker" in page


def test_a_running_search_counts_its_units_as_they_are_compared(
    client: Client, start: Callable[..., Any], queue: Any, operator: Any, city: Any
) -> None:
    client.force_login(operator)
    search = start(operator, city)
    queue.step()
    assert "0/2" in text(status_of(client, search))
    queue.step()
    page = text(status_of(client, search))
    assert "1/2" in page
    assert '<progress max="2" value="1"' in page
    assert 'aria-current="step"' in page


def test_a_finished_search_says_what_it_looked_at(client: Client, finished: Search, operator: Any) -> None:
    client.force_login(operator)
    page = text(status_of(client, finished))
    assert "<b>4 sightings</b>" in page
    assert "(12 crops)" in page
    assert "of 36 crops" in page
    assert "in 2 units," in page
    assert "4 cameras," in page
    assert "exact" in page


def test_a_best_hit_as_weak_as_those_of_absent_people_is_called_so(
    client: Client, finished: Search, operator: Any
) -> None:
    from citysearch.research.models import ModelVersion

    client.force_login(operator)
    assert "Perhaps not in this gallery" not in text(status_of(client, finished))
    ModelVersion.objects.update(metrics={"absent_above": 0.9, "absent_found": 0.756})
    finished.candidates.update(likelihood=0.4)
    Search.objects.update(absence=0.9)
    assert "Perhaps not in this gallery" not in text(status_of(client, finished))
    Search.objects.update(absence=0.95)
    said = text(status_of(client, finished))
    assert "even the best hit (40%)" in said and "and for 76 of 100 who were not" in said


def test_a_finished_search_is_not_sent_again_until_somebody_judges(
    client: Client, finished: Search, operator: Any, supervisor: Any
) -> None:
    client.force_login(operator)
    page = status_of(client, finished).content.decode()
    revision = page.split('data-revision="')[1].split('"')[0]
    assert status_of(client, finished, revision=revision).status_code == 204
    finished.verdicts.create(crop=finished.candidates.first().crop, value="confirmed", user=supervisor)
    assert status_of(client, finished, revision=revision).status_code == 200


def test_skipped_cameras_are_counted_and_named(
    client: Client, start: Callable[..., Any], queue: Any, operator: Any, city: Any
) -> None:
    from units.models import Camera, Unit

    corner = {"code": "cam-9", "free_code": True, "name": "Dark corner", "longitude": 120.03, "latitude": 30.016}
    Camera.objects.create(unit=Unit.objects.get(code="33010200100102"), **corner)
    search = start(operator, city)
    queue.run()
    client.force_login(operator)
    page = text(status_of(client, search))
    assert "1 camera skipped: 1 without crops" in page
    assert "Dark corner" in page


def test_a_search_that_finds_nobody_says_how_alike_the_best_was_and_offers_to_look_further(
    client: Client, start: Callable[..., Any], queue: Any, operator: Any, city: Any
) -> None:
    from units.models import Unit

    search = start(operator, Unit.objects.get(code="330102"), person=50)
    queue.run()
    client.force_login(operator)
    page = text(status_of(client, search))
    assert "Probably not in this gallery." in page
    assert "The most alike of 18 crops reaches a likelihood of" in page
    assert "Search all of Lakeside" in page
    assert "Search all times" not in page, "no period was chosen"


def test_an_empty_period_is_explained_and_can_be_dropped(
    client: Client, start: Callable[..., Any], queue: Any, operator: Any, city: Any
) -> None:
    from datetime import UTC, datetime

    search = start(
        operator, city, period_from=datetime(2020, 1, 1, tzinfo=UTC), period_to=datetime(2020, 1, 2, tzinfo=UTC)
    )
    queue.run()
    client.force_login(operator)
    page = text(status_of(client, search))
    assert "There was nothing to compare" in page
    assert "Search all times" in page


def test_a_failed_search_says_where_and_why_and_offers_another_try(
    client: Client, start: Callable[..., Any], operator: Any, city: Any
) -> None:
    search = start(operator, city)
    error = {"code": "store_corrupt", "stage": "match", "message": "segment 3", "kept": 1}
    Search.objects.filter(pk=search.pk).update(state="failed", stage="match", error=error)
    client.force_login(operator)
    page = text(status_of(client, search))
    assert "The search stopped at “compare”." in page
    assert "manage.py verify_store" in page
    assert "Search again" in page


def test_a_stopped_search_keeps_what_it_found(
    client: Client, start: Callable[..., Any], queue: Any, operator: Any, city: Any
) -> None:
    from citysearch.searches.services import search_cancel

    search = start(operator, city)
    queue.step()
    queue.step()
    search_cancel(search)
    queue.run()
    client.force_login(operator)
    page = text(status_of(client, search))
    assert "stopped after 1 of 2 units" in page
    assert "<b>2 sightings</b>" in page


def test_a_changed_gallery_makes_a_search_stale(
    client: Client, finished: Search, operator: Any, gallery: list[Any]
) -> None:
    from citysearch.research.models import ModelVersion
    from citysearch.searches.tests import cast

    cast.walk(gallery[:1], (7,))
    cast.index(gallery[:1], ModelVersion.objects.get())
    client.force_login(operator)
    assert "changed since this search" in text(status_of(client, finished))


def test_an_opened_search_fills_the_form(client: Client, finished: Search, operator: Any) -> None:
    client.force_login(operator)
    page = text(client.get(reverse("search", args=[finished.pk])))
    assert 'value="2026-17"' in page
    assert "missing person</textarea>" in page
    assert f'id="unit" value="{finished.unit_id}"' in page
    assert reverse("search-photo", args=[finished.pk, 0]) in page


# Around the search.


def test_the_sample_photos_are_offered_where_there_are_any(client: Client, operator: Any, samples: list[str]) -> None:
    client.force_login(operator)
    page = text(client.get("/"))
    assert all(f'data-url="/samples/{name}"' in page for name in samples)
    assert "Fill the form with a sample" in page


def test_a_units_page_shows_government_data_and_sensors(client: Client, operator: Any, city: Any) -> None:
    from datetime import UTC, datetime, timedelta

    from units.services import indicators_add_bulk, readings_add_bulk

    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    values = [120.0, 340.0, 220.0]
    readings_add_bulk(
        {"unit": city, "kind": "footfall", "value": value, "time": noon + timedelta(hours=n)}
        for n, value in enumerate(values)
    )
    row = {"unit": city, "indicator": "Population", "value": 1234567, "unit_of_measure": "people", "year": 2025}
    indicators_add_bulk([row | {"source": "Statistics Bureau"}])
    client.force_login(operator)
    page = text(client.get(reverse("unit", args=[city.pk])))
    assert "footfall (people/h)" in page
    assert "<polyline" in page
    assert "120–340" in page
    assert "1,234,567 people" in page
    assert "Statistics Bureau" in page
    assert "West" in page and "East" in page, "the units below it"


def test_a_page_that_is_not_there_looks_like_the_others(client: Client, operator: Any, settings: Any) -> None:
    settings.DEBUG = False
    client.force_login(operator)
    response = client.get("/no-such-page")
    assert response.status_code == 404
    assert "There is nothing here for you." in text(response)


def test_an_error_has_a_page_that_needs_nothing_to_be_drawn() -> None:
    from django.test import RequestFactory
    from django.views.defaults import server_error

    response = server_error(RequestFactory().get("/"))
    assert response.status_code == 500
    assert "Something broke on our side." in text(response)


def test_the_language_is_changed_and_stays(client: Client, operator: Any) -> None:
    client.force_login(operator)
    client.post("/language/", {"language": "zh-hans"}, headers={"referer": "http://testserver/searches/"})
    assert '<html lang="zh-hans">' in text(client.get("/"))


def test_no_page_has_a_script_or_a_style_of_its_own(client: Client, finished: Search, operator: Any) -> None:
    """The content security policy refuses both; data for scripts (application/json) is no script."""
    import re

    client.force_login(operator)
    for address in ("/", "/searches/", reverse("search", args=[finished.pk]), "/login/"):
        page = client.get(address, follow=True).content.decode()
        assert not re.findall(r"<script(?![^>]*(?:src=|application/json))", page)
        assert "<style" not in page
        assert not re.findall(r"\son\w+=", page)
        assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page), "nothing from elsewhere"


# What a page costs.


def test_the_status_costs_the_same_however_many_units_there_are(
    client: Client, finished: Search, operator: Any, django_assert_max_num_queries: Any
) -> None:
    client.force_login(operator)
    with django_assert_max_num_queries(12):
        status_of(client, finished)


def test_the_home_page_costs_the_same_however_many_units_there_are(
    client: Client, gallery: list[Any], operator: Any, django_assert_max_num_queries: Any
) -> None:
    client.force_login(operator)
    with django_assert_max_num_queries(24):
        client.get("/")


def test_the_list_of_searches_costs_the_same_for_one_and_for_many(
    client: Client, start: Callable[..., Any], operator: Any, city: Any, django_assert_num_queries: Any
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.force_login(operator)
    start(operator, city)
    with CaptureQueriesContext(connection) as once:
        client.get("/searches/")
    for number in range(3):
        start(operator, city, case=f"case {number}")
    with django_assert_num_queries(len(once)):
        client.get("/searches/")


def test_browsers_that_ask_for_an_icon_get_the_mark(client: Client) -> None:
    assert client.get("/favicon.ico").headers["Location"].endswith("/mark.svg")
