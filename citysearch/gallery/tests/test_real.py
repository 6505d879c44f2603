"""The real validation gallery: 1,316 pictures of 100 people behind six cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from citysearch.gallery import files, queries, services
from citysearch.gallery.models import Crop
from citysearch.gallery.tests.conftest import TinyExtractor
from citysearch.gallery.verifying import store_check
from reid_engine.data import market1501
from units.models import Camera

pytestmark = pytest.mark.slow


@pytest.fixture
def six(cameras: list[Camera]) -> list[Camera]:
    """Two more cameras beside the first four."""
    for number in (5, 6):
        place = {"unit": cameras[0].unit, "longitude": 120.0, "latitude": 30.0}
        Camera.objects.create(code=f"cam-{number}", free_code=True, name=f"Camera {number}", **place)
    return list(Camera.objects.order_by("code"))


def test_the_real_gallery_comes_in_whole_and_once(
    real_data: Path, six: list[Camera], version: Any, extractor: TinyExtractor
) -> None:
    source = real_data / "market1501-451"
    first = services.crops_import(source, "market1501")
    assert (first.state, first.total, first.added, first.refused) == ("done", 1316, 1316, 0)
    again = services.crops_import(source, "market1501")
    assert (again.added, again.known) == (0, 1316)
    assert services.index_cameras([camera.pk for camera in six], version, extractor=extractor) == 1316
    records = market1501.read(source).gallery
    expected = sorted((record.person_id, f"cam-{record.camera_id}", record.path.name) for record in records)
    assert sorted(Crop.objects.values_list("person_id", "camera__code", "source_name")) == expected
    assert len(queries.gallery_of(six, version)) == 1316
    assert store_check().faults == []
    crop = Crop.objects.order_by("?")[0]
    assert files.picture_read(crop.image) == (source / "bounding_box_test" / crop.source_name).read_bytes()
