"""The administrator's pages in a real browser: what they show, that they move, and that axe-core finds no fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from frontend.tests.conftest import PATIENCE_MS
from frontend.tests.test_accessibility import in_both_schemes
from units.models import Camera

pytestmark = [pytest.mark.django_db(transaction=True)]
TABLE = """code,name,longitude,latitude,free_code,clock_offset_s
cam-5,Quay north,120.031,30.006,1,0
cam-6,Quay south,120.033,30.0042,1,0
cam-1,Camera 1,120.012,30.0062,1,30
cam-2,Camera 2,120.01,30.015,1,0
cam-7,Far away,121.5,31.2,1,0
cam-8,No place,,,1,0
"""


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    """The pages' own policy refuses axe; `test_admin_browser` walks under it."""
    return browser_context_args | {"bypass_csp": True}


@pytest.fixture
def visit(desk: Any, live_server: Any, administrator: Any) -> Callable[..., Any]:
    """Go to an address as the administrator, in a language."""
    client = Client()
    client.force_login(administrator)
    session = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}

    def go(address: str, language: str = "en") -> Any:
        words = {"name": "django_language", "value": language, "url": live_server.url}
        desk.context.add_cookies([session, words])
        desk.goto(live_server.url + address)
        desk.set_default_timeout(PATIENCE_MS)
        return desk

    return go


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_camera_file_is_looked_at_on_the_map_and_then_imported(
    cameras: list[Any], visit: Callable[..., Any], screenshot: Callable[[str], None], tmp_path: Any, language: str
) -> None:
    (tmp_path / "cameras.csv").write_text(TABLE)
    page = visit("/admin/units/camera/import-file/", language)
    page.set_input_files("input[type=file]", tmp_path / "cameras.csv")
    page.click(".import-form input[type=submit]")
    page.wait_for_selector(".preview-map:not([aria-busy])")
    shown = page.locator(".preview-lines tbody tr:visible")
    assert shown.count() == 6
    page.locator("tr:has-text('cam-5') .show-place").click()
    page.wait_for_selector(".leaflet-popup:has-text('Quay north')")
    assert page.locator("tr.marked").inner_text().split()[1] == "cam-5"
    page.click(".fate-chips [data-fate=refused]")
    assert shown.count() == 2
    page.click(".fate-chips [data-fate='']")
    screenshot("preview")
    assert not in_both_schemes(page)
    assert Camera.objects.count() == 4
    page.click(".import-confirm input[type=submit]")
    page.wait_for_selector(".messagelist .success")
    assert Camera.objects.count() == 6 and Camera.objects.get(code="cam-1").clock_offset_s == 30
