"""docs/screens/admin-*: the pages of the administration, in both languages, on a desk and on a phone: `make screens`.

Shown is the demo city alone, as in `screens`, whose studio this is; it ends as it began.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from frontend.tests.screens import FOLDER, LANGUAGES, QUIET_MS, SIZES, Studio, prepare, served, shrunk  # isort: skip  (it sets up Django)

from celery.app.task import Task
from django.contrib.auth import get_user_model
from django.test import Client
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

    def keep(self, name: str, sight: str = "body") -> None:
        """As in the studio, scrolled to what the picture is about."""
        for size in ("390", "1440"):
            self.page.set_viewport_size(SIZES[size])  # type: ignore[arg-type]
            self.page.locator(sight).first.evaluate("element => element.scrollIntoView({block: 'start'})")
            self.page.wait_for_timeout(QUIET_MS)
            shrunk(self.page.screenshot(), FOLDER / f"{name}-{self.language}-{size}.png")

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
    office.keep("admin-area", ".field-code")


def camera(office: Office) -> None:
    office.visit(f"/admin/units/camera/{Camera.objects.order_by('code')[0].pk}/change/", ".place-map")
    office.keep("admin-camera", ".field-unit_name")


def preview(office: Office) -> None:
    first, second, third = Camera.objects.order_by("code")[:3]
    beside = [place for camera in (second, third) for place in (camera.longitude + 0.0001, camera.latitude)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cameras.csv"
        values = {name: getattr(first, name) for name in ("code", "name", "longitude", "latitude")}
        file.write_text(CAMERAS.format(*beside, **values), encoding="utf-8")
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
    """What an administrator changes there and back again, as an auditor reads it."""
    client, district = Client(), Unit.objects.filter(level=Level.DISTRICT).order_by("path")[1]
    client.force_login(get_user_model().objects.get(username="administrator"))
    first = Camera.objects.order_by("code")[0]
    changes = [
        (f"units/{district.pk}", {"retention_days": 14}), (f"units/{district.pk}", {"retention_days": None}),
        (f"cameras/{first.pk}", {"status": "maintenance"}), (f"cameras/{first.pk}", {"status": "online"}),
    ]  # fmt: skip
    for path, values in changes:
        client.patch(f"/api/v1/{path}/", values, content_type="application/json")
    office.visit("/log/", ".list", user="auditor")
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
