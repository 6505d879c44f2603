"""An operator's search from the photo to the path, over the API."""

from __future__ import annotations

from typing import Any

import pytest

from citysearch.searches.models import Search
from citysearch.searches.tests import cast
from units.models import Unit

pytestmark = pytest.mark.django_db


def test_a_photo_becomes_hits_unit_by_unit_and_a_path(start: Any, api: Any, city: Unit, gallery: list[Any]) -> None:
    response = start(city, person=2)
    assert response.status_code == 202, response.json()
    pk = response.json()["id"]
    assert response["Location"] == f"/api/v1/searches/{pk}/"

    state = api.get(f"/api/v1/searches/{pk}/").json()
    assert (state["state"], state["stage"], state["error"]) == ("done", "done", None)
    assert state["counts"] | {"sightings": 0} == {
        "parts": 2, "parts_done": 2, "cameras": 4, "crops": 36, "candidates": 36, "sightings": 0, "exact": True,
    }  # fmt: skip
    searched = {"cameras": 4, "searched": 4, "skipped": 0, "crops": 36}
    assert state["coverage"] == {**searched, "reasons": {}, "marked": {}, "list": []}
    assert set(state["timings"]) == {"queued", "check", "augment", "extract", "match", "path", "total"}
    assert state["unit_path"] == "Lakeside" and state["purpose"] == "missing person" and state["case"] == "2026-17"
    assert state["stale"] is False

    page = api.get(f"/api/v1/searches/{pk}/hits/").json()
    best = page["results"][:4]
    assert [hit["rank"] for hit in page["results"]] == list(range(1, page["count"] + 1))
    assert all(hit["source_name"].startswith("0002") and hit["burst_count"] == 3 for hit in best)
    assert {hit["camera"]["code"] for hit in best} == {"cam-1", "cam-2", "cam-3", "cam-4"}
    assert best[0]["unit_path"].startswith("Lakeside / ") and best[0]["unit_path"].count(" / ") == 4
    assert best[0]["time"].endswith("+08:00")
    assert page["crops"] == 36 and page["sightings"] == page["count"]

    path = api.get(f"/api/v1/searches/{pk}/trajectory.geojson")
    assert path["Content-Type"] == "application/geo+json"
    stops = [f["properties"] for f in path.json()["features"] if f["geometry"]["type"] == "Point"]
    assert [stop["camera"]["code"] for stop in stops] == ["cam-1", "cam-2", "cam-3", "cam-4"]
    assert [stop["number"] for stop in stops] == [1, 2, 3, 4]


def test_a_street_is_searched_without_a_look_at_the_rest_of_the_city(start: Any, api: Any, gallery: list[Any]) -> None:
    pk = start("330102001").json()["id"]
    hits = api.get(f"/api/v1/searches/{pk}/hits/?collapse=none").json()
    assert hits["count"] == 18
    assert {hit["camera"]["code"] for hit in hits["results"]} == {"cam-3", "cam-4"}


def test_likelihoods_are_of_the_whole_search_not_of_its_parts(
    start: Any, api: Any, city: Unit, gallery: list[Any], engine: cast.PaintEngine
) -> None:
    start(city, person=2)
    assert engine.told == [36, 36]
    start("33010100100101")
    assert engine.told[2:] == [9]


def test_a_grid_is_one_part(start: Any, api: Any, gallery: list[Any]) -> None:
    state = start("33010100100101").json()
    state = api.get(f"/api/v1/searches/{state['id']}/").json()
    assert state["counts"]["parts"] == 1 and state["counts"]["crops"] == 9


def test_several_photos_of_one_person_make_one_query(start: Any, api: Any, city: Unit, gallery: list[Any]) -> None:
    photos = [cast.upload(cast.photo_of(3, shot)) for shot in (90, 91, 92)]
    pk = start(city, photos=photos).json()["id"]
    search = Search.objects.get(pk=pk)
    assert [photo.position for photo in search.photos.all()] == [0, 1, 2]
    assert api.get(f"/api/v1/searches/{pk}/hits/").json()["results"][0]["source_name"].startswith("0003")


def test_the_photo_is_kept_without_its_metadata_and_shown_to_the_operator(
    start: Any, api: Any, gallery: list[Any]
) -> None:
    import io

    from PIL import Image

    exif = Image.Exif()
    exif[0x010F] = "Secret Camera Maker"
    sent = cast.photo_of(1, format="JPEG", exif=exif)
    state = start("330100", photos=[cast.upload(sent, "photo.jpg")]).json()
    response = api.get(state["photos"][0]["url"])
    stored = b"".join(response.streaming_content)
    assert response["Content-Type"] == "image/png" and response["X-Content-Type-Options"] == "nosniff"
    assert b"Secret" in sent and b"Secret" not in stored
    before, after = (Image.open(io.BytesIO(data)).convert("RGB") for data in (sent, stored))
    assert before.tobytes() == after.tobytes()


def test_a_unit_is_named_by_its_code_or_its_id(start: Any, city: Unit, gallery: list[Any]) -> None:
    assert start(city.code).json()["unit"] == start(str(city.pk)).json()["unit"]


def test_my_searches_and_those_of_a_case(start: Any, api: Any, city: Unit, supervisor: Any, gallery: list[Any]) -> None:
    from citysearch.searches.tests.conftest import client_of

    mine = start(city, case="A").json()["id"]
    theirs = start(city, case="B", client=client_of(supervisor)).json()["id"]
    ids = lambda query: [row["id"] for row in api.get(f"/api/v1/searches/{query}").json()["results"]]  # noqa: E731
    assert ids("") == [theirs, mine]
    assert ids("?mine=true") == [mine]
    assert ids("?case=B") == [theirs]
    assert ids("?state=failed") == []


def test_a_search_is_run_again_over_a_gallery_that_has_grown(
    start: Any, api: Any, city: Unit, gallery: list[Any], version: Any, django_capture_on_commit_callbacks: Any
) -> None:
    first = start(city).json()["id"]
    cast.walk(gallery[:1], [4])
    cast.index(gallery[:1], version)
    assert api.get(f"/api/v1/searches/{first}/").json()["stale"] is True
    with django_capture_on_commit_callbacks(execute=True):
        second = api.post(f"/api/v1/searches/{first}/rerun/").json()
    state = api.get(f"/api/v1/searches/{second['id']}/").json()
    assert state["counts"]["crops"] == 39 and state["stale"] is False
    assert api.get(f"/api/v1/searches/{first}/").json()["counts"]["crops"] == 36
    assert [photo["sha256"] for photo in state["photos"]] == [photo["sha256"] for photo in second["photos"]]


def test_the_shipped_bundle_finds_rendered_people(
    start: Any, api: Any, city: Unit, cameras: list[Any], tmp_path: Any
) -> None:
    """The real engine from photo to hits: most of the people who are asked for stand first, and none by chance."""
    from django.conf import settings
    from django.core.management import call_command

    from citysearch.research.services import model_activate, model_register
    from reid_engine.data.market1501 import parse_name
    from reid_engine.data.synthetic import write_dataset

    root = write_dataset(tmp_path / "people", people=12, cameras=4, per_camera=2, seed=3)
    model_activate(model_register(settings.BUNDLE), anyway=True)
    options = {"layout": "market1501", "index": True, "cameras": "cam-1,cam-2,cam-3,cam-4", "no_progress": True}
    call_command("import_gallery", root, **options)
    photos = sorted((root / "query").glob("*.jpg"))[::3]
    first = []
    for photo in photos:
        pk = start(city, photos=[cast.upload(photo.read_bytes(), photo.name)]).json()["id"]
        asked = parse_name(photo.name)
        hits = api.get(f"/api/v1/searches/{pk}/hits/?collapse=none&page_size=2000").json()["results"]
        shown = [parse_name(hit["source_name"].split("/")[-1]) for hit in hits]
        elsewhere = [crop for crop in shown if (crop.person_id, crop.camera_id) != (asked.person_id, asked.camera_id)]
        first.append(elsewhere[0].person_id == asked.person_id)
        assert all(0 <= hit["likelihood"] <= 1 for hit in hits)
    assert len(photos) == 8 and sum(first) >= 5, first
