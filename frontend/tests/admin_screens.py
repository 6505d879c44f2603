"""docs/screens/admin-*: the pages of the administration, in both languages, on a desk and on a phone: `make screens`.

Shown is the demo city alone, as in `screens`, whose studio this is; it ends as it began.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from frontend.tests.screens import LANGUAGES, SIZES, Studio, prepare, served  # isort: skip  (it sets up Django)

from celery.app.task import Task
from playwright.sync_api import sync_playwright

from citysearch.gallery.models import GalleryImport
from citysearch.gallery.spool import spool_path, spool_remove
from citysearch.research.models import ModelVersion
from frontend.tests.conftest import CHROMIUM, FLAGS
from units.models import Camera, Level, Membership, Role, Unit

CAMERAS = """code,name,longitude,latitude,free_code,clock_offset_s
quay-1,Quay north,{0},{1},1,0
quay-2,Quay south,{2},{3},1,0
{code},{name},{longitude},{latitude},0,30
away,Far away,121.5,31.2,1,0
"""


class Office(Studio):
    """The studio, at an administrator's desk."""

    def visit(self, path: str, ready: str = "#content", user: str = "administrator") -> Any:
        self.open(user, path, ready)
        self.page.wait_for_selector(".unit-map[aria-busy]", state="detached")
        return self.page


def tree(office: Office) -> None:
    page = office.visit("/admin/units/unit/", "a.treebeard-collapsed")
    for level in (Level.CITY, Level.DISTRICT):
        unit = Unit.objects.filter(level=level).order_by("path")[0]
        page.click(f"tr[data-node-id='{unit.pk}'] a.treebeard-collapsed")
        page.wait_for_selector(f"#result_list tr:nth-child({level + 2})")
    office.keep("admin-tree")


def area(office: Office) -> None:
    unit = Unit.objects.filter(level=Level.REGION).order_by("path")[2]
    page = office.visit(f"/admin/units/unit/{unit.pk}/change/", ".area-map")
    page.click(".leaflet-draw-edit-edit")
    page.locator(".area-map").scroll_into_view_if_needed()
    office.keep("admin-area")


def camera(office: Office) -> None:
    page = office.visit(f"/admin/units/camera/{Camera.objects.order_by('code')[0].pk}/change/", ".place-map")
    page.locator(".place-map").scroll_into_view_if_needed()
    office.keep("admin-camera")


def preview(office: Office) -> None:
    first, second = Camera.objects.order_by("code")[:2]
    middle = [(first.longitude * 2 + second.longitude) / 3, (first.latitude * 2 + second.latitude) / 3]
    other = [(first.longitude + second.longitude * 2) / 3, (first.latitude + second.latitude * 2) / 3]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cameras.csv"
        values = {name: getattr(first, name) for name in ("code", "name", "longitude", "latitude")}
        file.write_text(CAMERAS.format(*middle, *other, **values), encoding="utf-8")
        page = office.visit("/admin/units/camera/import-file/", ".import-form")
        page.set_input_files("input[type=file]", file)
        page.click(".import-form input[type=submit]")
        page.wait_for_selector(".preview-map:not([aria-busy])")
    office.keep("admin-preview")


def gallery_import(office: Office) -> None:
    """An import half way, with the button that stops it."""
    user = Membership.objects.filter(role=Role.ADMINISTRATOR)[0].user
    row = GalleryImport.objects.create(
        layout="zip", source="2026-11-26.zip", user=user, state="running", total=4200, added=1480, known=96, refused=3
    )
    spool_path(row.pk).parent.mkdir(parents=True, exist_ok=True)
    spool_path(row.pk).touch()
    office.visit(f"/admin/gallery/galleryimport/{row.pk}/change/", ".work[data-total]")
    office.keep("admin-import")
    spool_remove(row.pk)
    row.delete()


def models(office: Office) -> None:
    """A second version, three quarters indexed."""
    active = ModelVersion.objects.get(state="active")
    fields = {"sha256": "e" * 64, "bundle": active.bundle, "dim": active.dim, "backbone": active.backbone}
    version = ModelVersion.objects.create(name="citysearch 2", state="indexing", metrics=active.metrics, **fields)
    segments = active.segments.order_by("pk")
    for number, segment in enumerate(segments[: segments.count() * 3 // 4]):
        segment.pk, segment.model_version, segment.path = None, version, f"shown/{number}"
        segment.save()
    office.visit(f"/admin/research/modelversion/{version.pk}/change/", ".work[data-total]")
    office.keep("admin-model")
    version.delete()


def log(office: Office) -> None:
    office.visit("/admin/cases/logentry/", "#result_list", user="auditor")
    office.keep("admin-log")


def crops(office: Office) -> None:
    office.visit("/admin/gallery/crop/", "#result_list img")
    office.keep("admin-crops")


PAGES: list[Callable[[Office], None]] = [tree, area, camera, preview, crops, gallery_import, models, log]


def main() -> None:
    queue = prepare()
    Task.apply_async = lambda self, *arguments, **options: None
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for language in LANGUAGES:
            page = browser.new_page(viewport=SIZES["1440"], locale="en-GB", reduced_motion="reduce")  # type: ignore[arg-type]
            for show in PAGES:
                show(Office(page, address, language, queue))
                print(language, show.__name__, flush=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
