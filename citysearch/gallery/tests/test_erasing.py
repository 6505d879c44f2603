"""Out of the gallery: every trace goes, the rest stays as it was, and the counts say so."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.apps import apps
from django.conf import settings
from django.utils import timezone

from citysearch.gallery import erasing, files, indexing, queries, services
from citysearch.gallery.models import Crop, GalleryImport, Segment
from citysearch.gallery.tests.conftest import CropItem, TinyExtractor, make_version, picture
from units.models import Unit


@pytest.fixture
def indexed(filled: list[Any], version: Any, extractor: TinyExtractor) -> list[Any]:
    """The gallery under two model versions."""
    ids = [camera.pk for camera in filled]
    services.index_cameras(ids, version, extractor=extractor)
    services.index_cameras(ids, make_version("other", state="ready"), extractor=extractor)
    return filled


def segment_files() -> list[str]:
    root = Path(settings.STORE_DIR)
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.seg"))


def test_a_crop_is_erased_down_to_zero_and_its_neighbours_stay(indexed: list[Any], version: Any) -> None:
    gone = list(Crop.objects.filter(camera=indexed[0])[1:3])
    before = {int(pk): row.tobytes() for pk, row in rows_of(indexed, version)}
    report = services.crops_erase(gone)
    assert report.erased["crops"] == 2 and report.erased["images"] == 2
    assert report.erased["features"] == 4, "two crops under two model versions"
    assert report.is_complete and set(report.left) >= {"crops", "images", "features", "candidates", "verdicts"}
    after = {int(pk): row.tobytes() for pk, row in rows_of(indexed, version)}
    assert after == {pk: row for pk, row in before.items() if pk not in {crop.pk for crop in gone}}
    assert not any(files.picture_path(crop.image).exists() for crop in gone)
    assert segment_files() == sorted(Segment.objects.values_list("path", flat=True))


def rows_of(cameras: list[Any], version: Any) -> Any:
    rows = queries.gallery_of(cameras, version)
    return zip(rows.ids, rows.features, strict=True)


def test_a_camera_without_crops_has_no_segment_left(indexed: list[Any]) -> None:
    services.crops_erase(Crop.objects.filter(camera=indexed[0]))
    assert not Segment.objects.filter(camera=indexed[0]).exists()
    assert Segment.objects.filter(camera=indexed[2]).count() == 2


def test_hits_that_showed_the_crop_go_with_it(indexed: list[Any], operator: Any, city: Any) -> None:
    def create(model: str, **fields: Any) -> Any:
        return apps.get_model("searches", model)._default_manager.create(**fields)

    crop = Crop.objects.first()
    search = create("Search", user=operator, unit=city, purpose="missing child", case="1")
    part = create("SearchPart", search=search, unit=city, position=0)
    create("Candidate", search=search, part=part, crop=crop, distance=0.1, cosine=0.9, likelihood=0.9)
    create("Verdict", search=search, crop=crop, value="confirmed", user=operator)
    report = services.crops_erase([crop])
    assert (report.erased["candidates"], report.erased["verdicts"]) == (1, 1)
    assert (report.left["candidates"], report.left["verdicts"]) == (0, 0)


def test_an_erased_crop_may_come_in_again_as_a_new_one(indexed: list[Any]) -> None:
    crop = Crop.objects.filter(camera=indexed[0]).first()
    data = files.picture_read(crop.image)
    services.crops_erase([crop])
    again, created = services.crop_add(indexed[0], data, crop.captured_at)
    assert created and again.pk != crop.pk


def test_erasing_what_was_never_indexed_works(filled: list[Any]) -> None:
    report = services.crops_erase(Crop.objects.all())
    assert report.erased["crops"] == 10 and report.erased["features"] == 0 and report.is_complete


def test_a_failure_in_the_middle_leaves_the_crop_whole(
    indexed: list[Any], version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: Any) -> None:
        raise SystemExit("killed")

    crop = Crop.objects.filter(camera=indexed[0]).first()
    with monkeypatch.context() as broken:
        broken.setattr(erasing, "segment_create", killed)
        with pytest.raises(SystemExit):
            services.crops_erase([crop])
    assert files.picture_path(crop.image).exists()
    assert crop.pk in queries.gallery_of(indexed, version).ids
    assert services.crops_erase([crop]).is_complete


def aged(camera: Any, days: float, seed: int) -> None:
    services.crops_add_bulk(camera, [CropItem(picture(seed), timezone.now() - timedelta(days=days))])


def test_retention_goes_by_the_nearest_unit_that_states_it(cameras: list[Any], settings: Any) -> None:
    settings.RETENTION_DAYS = 30
    Unit.objects.filter(code="330101").update(retention_days=10)
    Unit.objects.filter(code="33010100100201").update(retention_days=90)
    for number, camera in enumerate(cameras):
        aged(camera, 20, seed=number)
        aged(camera, 40, seed=10 + number)
        aged(camera, 100, seed=20 + number)
    assert erasing.retention_days() == {
        cameras[0].pk: 10,
        cameras[1].pk: 90,
        cameras[2].pk: 30,
        cameras[3].pk: 30,
    }
    assert services.crops_purge(dry_run=True).erased == {"crops": 8} and Crop.objects.count() == 12
    report = services.crops_purge()
    assert report.erased["crops"] == 8 and report.is_complete
    left = [Crop.objects.filter(camera=camera).count() for camera in cameras]
    assert left == [0, 2, 1, 1]
    assert services.crops_purge().erased["crops"] == 0


def test_imports_without_crops_are_forgotten_when_they_are_as_old(cameras: list[Any]) -> None:
    old = GalleryImport.objects.create(layout="api", source="cam-1", state="done")
    new = GalleryImport.objects.create(layout="api", source="cam-1", state="done", finished_at=timezone.now())
    GalleryImport.objects.filter(pk=old.pk).update(finished_at=timezone.now() - timedelta(days=31))
    services.crops_purge()
    assert list(GalleryImport.objects.all()) == [new]


def test_the_recount_finds_what_could_not_be_removed(indexed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that always said zero would prove nothing."""
    crop = Crop.objects.first()
    monkeypatch.setattr(files, "pictures_remove", lambda images: 0)
    report = services.crops_erase([crop])
    assert report.left["images"] == 1 and not report.is_complete


def test_ids_of_rewritten_segments_never_hold_the_erased(indexed: list[Any]) -> None:
    crop = Crop.objects.filter(camera=indexed[0]).last()
    services.crops_erase([crop])
    store = indexing.segment_store()
    ids = [store.open(segment.path).ids for segment in Segment.objects.all()]
    assert crop.pk not in np.concatenate(ids)
