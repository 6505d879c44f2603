"""A photo of a whole scene: looked at, boxed, and compared by what is in the box alone."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image

from citysearch.demo.drawing import draw_sample
from citysearch.searches.models import Search
from citysearch.searches.tests import cast
from citysearch.searches.tests.conftest import client_of

AT = (300, 40)


def scene(person: Image.Image, size: tuple[int, int] = (640, 400)) -> bytes:
    """The person at (300, 40) in a street of plain grounds, as a PNG."""
    ground = Image.linear_gradient("L").resize(size).convert("RGB")
    ground.paste(person, AT)
    buffer = io.BytesIO()
    ground.save(buffer, "PNG")
    return buffer.getvalue()


def hits(search: Search) -> list[tuple[int, float]]:
    return list(search.candidates.order_by("distance", "crop_id").values_list("crop_id", "distance"))


def post(api: Any, photos: list[bytes], boxes: object) -> Any:
    data = {"photos": [cast.upload(photo) for photo in photos], "unit": "330100", "purpose": "p", "case": "c"}
    return api.post("/api/v1/searches/", data | {"boxes": json.dumps(boxes)}, format="multipart")


def test_a_boxed_scene_finds_what_the_person_cut_out_by_hand_finds(
    start: Any, api: Any, found: Search, django_capture_on_commit_callbacks: Any
) -> None:
    whole = scene(cast.painted(1, 99, (64, 128)))
    box = [*AT, AT[0] + 64, AT[1] + 128]
    with django_capture_on_commit_callbacks(execute=True):
        answer = post(api, [whole], [box]).json()
    boxed = Search.objects.get(pk=answer["id"])
    assert answer["photos"][0]["box"] == box
    assert (answer["photos"][0]["quality"]["width"], answer["photos"][0]["quality"]["height"]) == (64, 128)
    assert hits(boxed) == hits(found)
    kept = Image.open(io.BytesIO(b"".join(api.get(answer["photos"][0]["url"]).streaming_content)))
    assert kept.size == (640, 400), "the whole photo stays, so that the box can be drawn anew"

    with django_capture_on_commit_callbacks(execute=True):
        again = api.post(f"/api/v1/searches/{boxed.pk}/rerun/").json()
    assert again["photos"][0]["box"] == box
    assert hits(Search.objects.get(pk=again["id"])) == hits(found)


def test_photos_with_and_without_a_box_are_searched_together(
    api: Any, eager_tasks: None, gallery: Any, engine: cast.PaintEngine, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = post(api, [cast.photo_of(1), scene(cast.painted(1))], [None, [*AT, AT[0] + 64, AT[1] + 128]]).json()
    search = Search.objects.get(pk=answer["id"])
    assert [photo["box"] is None for photo in answer["photos"]] == [True, False]
    assert search.state == "done"
    near = search.candidates.order_by("distance").values_list("crop__person_id", flat=True)[:12]
    assert set(near) == {1}


@pytest.mark.parametrize(
    "boxes",
    [
        "x",
        {},
        [[1, 2, 3]],
        [[1, 2, 3, "4"]],
        [[True, 0, 50, 90]],
        [[50, 0, 10, 90]],
        [[0, 0, 1.5, 90]],
        [[0, 0, 10**9, 9]],
    ],
)
def test_what_is_no_list_of_boxes_is_refused_by_name(api: Any, gallery: Any, boxes: object) -> None:
    answer = post(api, [cast.photo_of(1)], boxes)
    assert answer.status_code == 400
    assert "boxes" in answer.json()["error"]["fields"]


def test_a_box_that_leaves_too_little_and_a_box_too_many_are_refused(api: Any, gallery: Any) -> None:
    small = post(api, [cast.photo_of(1)], [[0, 0, 20, 20]]).json()["error"]
    assert small["code"] == "bad_photo" and "Photo 1" in small["message"]
    assert post(api, [cast.photo_of(1)], [None, None]).json()["error"]["code"] == "boxes_count"
    assert not Search.objects.exists()


def test_a_photo_is_looked_at_before_the_search(api: Any, stranger: Any, gallery: Any) -> None:
    walker = draw_sample(7, 2).resize((150, 300))
    data = {"photo": cast.upload(scene(walker, (800, 400)))}
    seen = api.post("/api/v1/photos/look/", data, format="multipart").json()
    assert (seen["width"], seen["height"]) == (800, 400)
    assert "whole_scene" in seen["quality"]["warnings"]
    [(left, top, right, bottom)] = seen["people"]
    assert abs((left + right) / 2 - 375) < 30 and abs((top + bottom) / 2 - 190) < 40
    assert 0 <= left < right <= 800 and 0 <= top < bottom <= 400

    data = {"photo": cast.upload(scene(walker, (800, 400))), "box": json.dumps(seen["people"][0])}
    boxed = api.post("/api/v1/photos/look/", data, format="multipart").json()
    assert "whole_scene" not in boxed["quality"]["warnings"]
    nothing = {"photo": cast.upload(b"GIF89a")}
    assert api.post("/api/v1/photos/look/", nothing, format="multipart").json()["error"]["code"] == "bad_photo"
    assert client_of(stranger).post("/api/v1/photos/look/", data, format="multipart").status_code == 404
    assert not Search.objects.exists()
