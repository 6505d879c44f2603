"""The administrator's pages in a real browser: what they show, that they move, and that axe-core finds no fault."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from citysearch.gallery import comparing, services
from citysearch.gallery.models import Crop, GalleryImport, ModelComparison
from citysearch.gallery.spool import spool_path
from citysearch.research.models import ModelVersion
from citysearch.searches.tests import cast
from frontend.tests.conftest import PATIENCE_MS
from frontend.tests.test_accessibility import in_both_schemes
from units.models import Camera, Unit

pytestmark = [pytest.mark.django_db(transaction=True)]
# The pages are the same in Chinese: that they fit and are translated is looked at, but not by every `make test`.
IN_BOTH = pytest.mark.parametrize("language", ["en", pytest.param("zh-hans", marks=pytest.mark.slow)])
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


@IN_BOTH
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


@IN_BOTH
def test_an_import_is_uploaded_and_its_bar_moves_until_the_report_is_there(
    gallery: list[Any],
    visit: Callable[..., Any],
    screenshot: Callable[[str], None],
    tmp_path: Any,
    queue: Any,
    monkeypatch: pytest.MonkeyPatch,
    language: str,
) -> None:
    monkeypatch.setattr("celery.app.task.Task.apply_async", lambda task, args, **options: None)
    with zipfile.ZipFile(tmp_path / "day.zip", "w") as archive:
        archive.writestr("cam-1/20240501T120000.png", cast.photo_of(9))
    page = visit("/admin/gallery/galleryimport/add/", language)
    assert not in_both_schemes(page)
    screenshot("form")
    page.set_input_files("input[type=file]", tmp_path / "day.zip")
    page.click(".upload-form input[type=submit]")
    page.wait_for_url("**/change/")
    rows = GalleryImport.objects.all()
    rows.update(state="running", total=40)
    for done in (8, 16):
        rows.update(added=done)
        page.wait_for_selector(f".work[data-done='{done}']")
    page.wait_for_selector(".work-left:not(:empty)")
    screenshot("running")
    rows.update(added=36, known=3, refused=1, state="done", finished_at=timezone.now())
    rows.get().lines.create(line=7, name="cam-1/broken.jpg", code="truncated", message="cut at byte 900")
    Crop.objects.filter(camera=gallery[0]).update(gallery_import=rows.get())
    page.wait_for_selector(".work-report")
    screenshot("report")
    assert page.locator(".work[data-ended]").count() == 2 and not in_both_schemes(page)


def test_the_bar_of_a_model_version_moves_in_the_list_and_on_its_page(
    gallery: list[Any], visit: Callable[..., Any], screenshot: Callable[[str], None]
) -> None:
    version = cast.make_version("next", "indexing", "e" * 64)
    page = visit("/admin/research/modelversion/")
    page.wait_for_selector(".work-cell .work[data-done='0'][data-total='36']")
    cast.index(gallery[:2], version)
    page.wait_for_selector(".work-cell .work[data-done='18']")
    screenshot("list")
    assert not in_both_schemes(page)
    page = visit(f"/admin/research/modelversion/{version.pk}/change/")
    page.wait_for_selector(".work[data-done='18']")
    screenshot("page")
    cast.index(gallery, version)
    ModelVersion.objects.filter(pk=version.pk).update(state="ready")
    page.wait_for_selector(".work[data-ended]")


@IN_BOTH
def test_two_versions_are_compared_side_by_side(
    gallery: list[Any],
    visit: Callable[..., Any],
    screenshot: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    language: str,
) -> None:
    monkeypatch.setattr("celery.app.task.Task.apply_async", lambda task, args, **options: None)
    version = cast.make_version("next", "ready", "e" * 64)
    version.metrics = {"dataset": "Market-1501", "attention_map": 0.87, "attention_rank1": 0.95}
    version.save()
    cast.index(gallery, version)
    page = visit("/admin/gallery/modelcomparison/add/", language)
    assert not in_both_schemes(page)
    page.select_option("[name=first]", label="paint")
    page.select_option("[name=second]", label="next")
    page.fill("[name=queries]", "3")
    page.click(".submit-row input")
    page.wait_for_selector(".work:not([data-ended])")
    comparing.comparison_run(ModelComparison.objects.get())
    page.wait_for_selector(".comparison-hits")
    assert page.locator(".comparison").count() == ModelComparison.objects.get().queries
    page.wait_for_timeout(300)
    screenshot("compared")
    page.locator(".comparison").first.scroll_into_view_if_needed()
    assert not in_both_schemes(page)


def test_the_tree_and_the_editors_have_no_serious_fault(
    gallery: list[Any], visit: Callable[..., Any], screenshot: Callable[[str], None], city: Unit
) -> None:
    found: dict[str, list[str]] = {}
    page = visit("/admin/units/unit/")
    page.click("a.treebeard-collapsed")
    page.wait_for_selector("#result_list tr:has-text('330102')")
    found["tree"] = in_both_schemes(page)
    screenshot("tree")
    page = visit(f"/admin/units/unit/{Unit.objects.get(code='330102').pk}/change/")
    page.wait_for_selector(".area-map:not([aria-busy])")
    page.click(".leaflet-draw-edit-edit")
    page.wait_for_selector(".leaflet-editing-icon")
    found["area"] = in_both_schemes(page)
    screenshot("area")
    page = visit(f"/admin/units/camera/{gallery[0].pk}/change/")
    page.wait_for_selector(".place-map:not([aria-busy])")
    found["camera"] = in_both_schemes(page)
    screenshot("camera")
    page = visit("/admin/gallery/crop/")
    found["crops"] = in_both_schemes(page)
    page = visit("/admin/gallery/galleryimport/")
    page.wait_for_selector(".empty-list:has-text('No imports yet')")
    found["empty"] = in_both_schemes(page)
    assert not {name: faults for name, faults in found.items() if faults}


def test_a_running_import_is_stopped_and_says_so(
    gallery: list[Any], visit: Callable[..., Any], administrator: Any, screenshot: Callable[[str], None]
) -> None:
    row = services.import_create("zip", "day.zip", administrator)
    spool_path(row.pk).parent.mkdir(parents=True, exist_ok=True)
    spool_path(row.pk).write_bytes(b"PK")
    GalleryImport.objects.filter(pk=row.pk).update(state="running", total=40, added=8)
    page = visit(f"/admin/gallery/galleryimport/{row.pk}/change/")
    page.click("text=Stop the import")
    page.wait_for_selector(".work-state:has-text('being stopped')")
    services.import_stopped(row)  # the worker, after its batch
    page.wait_for_selector(".work-note:has-text('What was imported so far is kept')")
    screenshot("stopped")
    assert page.get_by_role("button", name="Run it again").is_visible() and not in_both_schemes(page)
