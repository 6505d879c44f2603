"""The shipped model searches the demo city by a sample, as `make run` offers it; the pictures of the README."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command

from citysearch.searches.models import Search

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def demo(queue: Any) -> Any:
    """A smaller demo city with everything in it, indexed by the shipped bundle."""
    from citysearch import engine

    engine.engines_forget()
    call_command("prepare", verbosity=0)
    call_command("demo_city", people=24, crops=900, verbosity=0)
    queue.clear()
    yield queue
    engine.engines_forget()


def test_a_sample_of_the_demo_city_leads_to_the_walker_and_the_walkers_path(
    demo: Any, log_in: Any, desk: Any, screenshot: Any
) -> None:
    from citysearch.demo.facts import facts_read
    from citysearch.gallery.models import Crop

    page = log_in("operator")
    page.wait_for_selector("#map[data-unit=top]", state="attached")
    screenshot("empty")
    page.get_by_role("button", name="Fill the form with a sample").click()
    page.wait_for_selector(".chosen.set")
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_url("**/search/*")
    demo.run()
    page.wait_for_selector('#main[data-state="done"]')
    page.locator(".stop-marker span").first.wait_for()
    page.locator(".hit-item").nth(3).wait_for()
    page.keyboard.press("j")
    page.wait_for_timeout(1500)
    screenshot("done")

    search = Search.objects.get(pk=page.url.rsplit("/", 1)[-1])
    best = search.candidates.order_by("distance").values_list("crop", flat=True)[:5]
    walker = facts_read().samples[0].person_id
    assert walker in Crop.objects.filter(pk__in=list(best)).values_list("person_id", flat=True)
    assert page.locator(".lanes .stop").count() >= 3

    page.get_by_role("button", name="中文").click()
    page.wait_for_selector('html[lang="zh-hans"][data-ready]', state="attached")
    page.locator(".stop-marker span").first.wait_for()
    page.wait_for_timeout(1500)
    screenshot("done-chinese")
