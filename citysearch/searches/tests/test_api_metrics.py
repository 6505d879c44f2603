"""The figures of the API's own hits are those of `manage.py evaluate_reid`: what is measured is what is searched."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings as project
from django.core.management import call_command

from citysearch.gallery.models import Crop
from citysearch.searches.models import Search
from reid_engine.data.market1501 import parse_name
from units.models import Camera, Unit

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

QUERIES, GALLERY = 422, 1316


@pytest.fixture
def six_cameras(cameras: list[Any]) -> list[Any]:
    """The cast's four and two more, in the grids of the East."""
    for number, grid in ((5, "33010200100101"), (6, "33010200100102")):
        unit = Unit.objects.get(code=grid)
        cameras.append(
            Camera.objects.create(
                unit=unit, code=f"cam-{number}", free_code=True, name=f"Camera {number}",
                longitude=120.03 + number / 1000, latitude=unit.south + 0.005,
            )
        )  # fmt: skip
    return cameras


@pytest.fixture
def real_gallery(six_cameras: list[Any], real_data: Path) -> None:
    """The shipped bundle is active and the validation gallery stands indexed behind six cameras."""
    from citysearch.research.services import model_activate, model_register

    version = model_register(project.BUNDLE)
    model_activate(version, anyway=True)
    call_command("import_gallery", real_data / "market1501-451", "--index", "--no-progress", stdout=io.StringIO())
    assert Crop.objects.count() == GALLERY
    assert Crop.objects.values("camera").distinct().count() == 6


def ranked_by_the_api(post: Any, api: Any, photo: Path) -> dict[str, float]:
    """{file name of a gallery crop: distance} from one search over the API."""
    data = {
        "photos": [io.BytesIO(photo.read_bytes())],
        "unit": "330100",
        "purpose": "measurement",
        "case": "validation",
    }
    data["photos"][0].name = photo.name
    pk = post(data).json()["id"]
    page = api.get(f"/api/v1/searches/{pk}/hits/?collapse=none&page_size=2000").json()
    assert page["state"] == "done" and page["count"] == len(page["results"]) == GALLERY
    assert [hit["rank"] for hit in page["results"]] == list(range(1, GALLERY + 1))
    Search.objects.filter(pk=pk).delete()
    return {hit["source_name"]: hit["distance"] for hit in page["results"]}


def figures_of_the_command(real_data: Path) -> dict[str, float]:
    """What `manage.py evaluate_reid` says of the shipped bundle with diff attention."""
    told = io.StringIO()
    data = str(real_data / "market1501-451")
    call_command(
        "evaluate_reid", "--data", data, "--bundle", str(project.BUNDLE), "--json", "--no-progress", stdout=told
    )
    row = next(row for row in json.loads(told.getvalue())["rows"] if "cosine" not in row["name"])
    return {"rank1": float(row["cmc"]["1"]), "mean_ap": float(row["mean_ap"]), "mean_inp": float(row["mean_inp"])}


def test_rank1_map_and_minp_of_the_hits_are_those_of_evaluate_reid(
    real_gallery: None, real_data: Path, api: Any, eager_tasks: None, django_capture_on_commit_callbacks: Any
) -> None:
    from reid_engine.evaluation.metrics import cmc_map_minp

    def post(data: dict[str, Any]) -> Any:
        with django_capture_on_commit_callbacks(execute=True):
            return api.post("/api/v1/searches/", data, format="multipart")

    expected = figures_of_the_command(real_data)
    photos = sorted((real_data / "market1501-451" / "query").glob("*.jpg"))
    assert len(photos) == QUERIES
    names = sorted(Crop.objects.values_list("source_name", flat=True))
    rows = [ranked_by_the_api(post, api, photo) for photo in photos]
    distances = np.array([[row[name] for name in names] for row in rows])

    asked, kept = ([parse_name(Path(name).name) for name in group] for group in ([p.name for p in photos], names))
    figures = cmc_map_minp(
        distances,
        [crop.person_id for crop in asked], [crop.person_id for crop in kept],
        [crop.camera_id for crop in asked], [crop.camera_id for crop in kept],
    )  # fmt: skip

    found = {"rank1": figures.cmc[1], "mean_ap": figures.mean_ap, "mean_inp": figures.mean_inp}
    print("\nAPI:", found, "\nevaluate_reid:", expected)
    assert found == pytest.approx(expected, abs=0.0005)
    assert found["rank1"] > 0.5
