"""Why a hit was found: drawn once, seen by who sees the hit, gone with crop and photos."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from citysearch.gallery.services import crops_erase
from citysearch.searches import explanations
from citysearch.searches.models import Search
from citysearch.searches.photos import photos_folder, photos_remove
from citysearch.searches.tests.cast import PaintEngine, Queue
from citysearch.searches.tests.conftest import client_of
from reid_engine.explain import Explanation

pytestmark = pytest.mark.django_db


@pytest.fixture
def drawn(engine: PaintEngine, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What the engine was asked to explain, by size of the photo; it blames the upper half."""
    asked: list[tuple[int, int]] = []

    def explain(photo: Image.Image, crop: Image.Image) -> Explanation:
        asked.append(photo.size)
        upper = np.repeat([[1.0], [0.0]], 2, axis=1).astype(np.float32)
        return Explanation(upper, -upper, 0.5, 0.25, "exact")

    monkeypatch.setattr(engine, "explain", explain, raising=False)
    return asked


def url_of(search: Search, crop: int) -> str:
    return f"/api/v1/searches/{search.pk}/hits/{crop}/explanation/"


def first_hit(search: Search) -> int:
    return search.candidates.order_by("distance").values_list("crop_id", flat=True)[0]


def test_a_hit_is_explained_by_one_drawing_that_is_kept(
    found: Search, api: Any, drawn: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "citysearch.searches.explanations")
    answers = [api.get(url_of(found, first_hit(found))) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0]["Content-Type"] == "image/png" and "private" in answers[0]["Cache-Control"]
    sheet = Image.open(io.BytesIO(answers[0].content))
    assert sheet.width > sheet.height and answers[0].content == answers[1].content
    assert len(drawn) == 1
    assert caplog.text.count("read by operator") == 2


def test_who_does_not_see_the_hit_does_not_see_its_explanation(found: Search, operator_east: Any) -> None:
    assert client_of(operator_east).get(url_of(found, first_hit(found))).status_code == 404


def test_only_a_hit_with_its_photo_can_be_explained(found: Search, api: Any, drawn: list[Any]) -> None:
    hit = first_hit(found)
    found.candidates.filter(crop=hit).delete()
    assert api.get(url_of(found, hit)).status_code == 404
    assert api.get(url_of(found, 10**15)).status_code == 404
    hit = first_hit(found)
    assert api.get(url_of(found, hit), {"photo": 7}).json()["error"]["code"] == "picture_missing"
    assert api.get(url_of(found, hit), {"photo": -1}).status_code == 400
    photos_remove(found.pk)
    assert api.get(url_of(found, hit)).status_code == 404
    assert not drawn


def test_an_erased_crop_leaves_no_explanation(
    found: Search, api: Any, drawn: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    hit = first_hit(found)
    api.get(url_of(found, hit))
    assert list(photos_folder(found.pk).glob("explanation-*"))
    with django_capture_on_commit_callbacks(execute=True):
        report = crops_erase([found.candidates.get(crop=hit).crop])
    assert report.erased["explanations"] == 1 and report.left["explanations"] == 0
    assert not list(photos_folder(found.pk).glob("explanation-*"))


def test_a_crop_erased_while_it_is_drawn_leaves_no_explanation(
    found: Search, engine: PaintEngine, drawn: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    crop = found.candidates.get(crop=first_hit(found)).crop
    put = explanations._put
    monkeypatch.setattr(explanations, "_put", lambda path, data: (crops_erase([crop]), put(path, data)))
    explanations.explanation_draw(found.pk, crop.pk, 0)
    assert drawn and not list(photos_folder(found.pk).glob("*explanation-*"))


def test_without_a_worker_the_reader_is_told_to_try_again_and_the_drawing_is_asked_for_once(
    found: Search, api: Any, drawn: list[Any], monkeypatch: pytest.MonkeyPatch, queue: Queue
) -> None:
    from celery import Task

    sent: list[tuple[object, ...]] = []
    monkeypatch.setattr(Task, "delay", lambda self, *arguments: sent.append((self.name, *arguments)))
    monkeypatch.setattr(explanations, "WAIT_S", 0.0)
    hit = first_hit(found)
    for _ in range(2):
        assert api.get(url_of(found, hit)).status_code == 503
    assert sent == [("searches.explanation_draw", str(found.pk), hit, 0)]
    explanations.explanation_draw(found.pk, hit, 0)
    assert api.get(url_of(found, hit)).status_code == 200
