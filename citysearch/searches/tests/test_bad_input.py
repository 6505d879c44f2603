"""Bad input: each with a clear message that names what is wrong, and nothing is stored."""

from __future__ import annotations

import struct
import zlib
from datetime import timedelta
from typing import Any

import pytest

from citysearch.gallery.models import Crop
from citysearch.searches.models import Search
from citysearch.searches.tests import cast
from units.models import Camera, SensorReading, Unit

pytestmark = pytest.mark.django_db


def huge_png() -> bytes:
    """A few bytes that claim to be 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def small_png() -> bytes:
    import io

    buffer = io.BytesIO()
    cast.painted(1, size=(30, 60)).save(buffer, "PNG")
    return buffer.getvalue()


BAD_PHOTOS = {
    "is not a JPEG, PNG or WEBP": b"MZ this is a program, not a picture",
    "is too large": huge_png(),
    "is damaged or cut short": cast.photo_of(1, format="JPEG")[:700],
    "must be at least 32x64": small_png(),
    "is not a JPEG, PNG": b"",
}


def refused(response: Any, code: str, field: str | None = None, status: int = 400) -> str:
    """The message of a refusal in the one error shape; nothing was stored."""
    body = response.json()
    assert response.status_code == status, body
    assert set(body) == {"error"} and set(body["error"]) == {"code", "message", "fields"}
    assert body["error"]["code"] == code, body
    if field:
        assert field in body["error"]["fields"], body
    assert not Search.objects.exists()
    return str(body["error"]["message"])


@pytest.mark.parametrize("words", BAD_PHOTOS)
def test_a_photo_that_cannot_be_used_is_named_with_the_reason(start: Any, city: Unit, gallery: Any, words: str) -> None:
    good = cast.upload(cast.photo_of(1))
    response = start(city, photos=[good, cast.upload(BAD_PHOTOS[words])])
    message = refused(response, "bad_photo", "photos")
    assert "2" in message and words in message


def test_six_photos_or_none_are_refused(start: Any, city: Unit, gallery: Any) -> None:
    refused(start(city, photos=[cast.upload(cast.photo_of(1, n)) for n in range(6)]), "invalid", "photos")
    refused(start(city, photos=None), "invalid", "photos")


def test_a_photo_of_too_many_bytes_is_refused_before_it_is_read(
    start: Any, city: Unit, gallery: Any, settings: Any
) -> None:
    settings.PHOTO_MAX_BYTES = 1000
    response = start(city, photos=[cast.upload(b"\0" * 1001)])
    refused(response, "invalid", "photos")
    assert "1001" in str(response.json()["error"]["fields"]["photos"])


def test_purpose_and_case_are_asked_for_by_name(start: Any, city: Unit, gallery: Any) -> None:
    response = start(city, purpose=None, case="  ")
    refused(response, "invalid", "purpose")
    assert "case" in response.json()["error"]["fields"]


def test_a_unit_without_a_camera_says_so(start: Any, city: Unit, gallery: Any) -> None:
    Camera.objects.filter(code="cam-2").update(unit=Unit.objects.get(code="33010100100101"))
    message = refused(start("330101001002"), "no_camera", "unit")
    assert "Mill North" in message and "no camera" in message


def test_an_empty_unit_says_so(start: Any, city: Unit, gallery: Any) -> None:
    Crop.objects.filter(camera__code="cam-2").delete()
    message = refused(start("330101001002"), "empty_gallery", "unit")
    assert "Mill North" in message and "empty" in message


def test_a_unit_that_does_not_exist_is_not_there(start: Any, city: Unit, gallery: Any) -> None:
    refused(start("999999"), "not_found", status=404)
    refused(start("9" * 30), "not_found", status=404)


def test_a_period_that_ends_before_it_starts_is_refused(start: Any, city: Unit, gallery: Any) -> None:
    response = start(city, **{"from": "2026-03-02T10:00:00Z", "to": "2026-03-01T10:00:00Z"})
    assert "ends before it starts" in refused(response, "bad_period", "to")
    refused(start(city, **{"from": "yesterday"}), "invalid", "from")


def test_a_period_without_a_crop_is_no_error_but_says_so(start: Any, api: Any, city: Unit, gallery: Any) -> None:
    pk = start(city, **{"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}).json()["id"]
    state = api.get(f"/api/v1/searches/{pk}/").json()
    assert state["state"] == "done" and state["counts"]["candidates"] == 0
    assert state["notice"]["code"] == "no_crops_in_period" and "nothing to compare" in state["notice"]["message"]
    assert state["coverage"]["searched"] == 0 and state["coverage"]["reasons"] == {"no_crops_in_period": 4}
    assert api.get(f"/api/v1/searches/{pk}/hits/").json()["results"] == []
    assert api.get(f"/api/v1/searches/{pk}/trajectory.geojson").json()["features"] == []


def test_only_the_period_is_searched_by_true_time(start: Any, api: Any, city: Unit, gallery: Any, version: Any) -> None:
    """cam-1's clock is an hour ahead: its pictures of noon say one o'clock."""
    camera = gallery[0]
    Camera.objects.filter(pk=camera.pk).update(clock_offset_s=3600)
    camera.refresh_from_db()
    cast.walk([camera], [7])
    cast.index([camera], version)
    window = {"from": cast.NOON.isoformat(), "to": (cast.NOON + timedelta(minutes=10)).isoformat()}
    pk = start(city, person=7, **window).json()["id"]
    hits = api.get(f"/api/v1/searches/{pk}/hits/?collapse=none").json()["results"]
    assert {hit["source_name"][:4] for hit in hits} == {"0007"} and len(hits) == 3
    assert hits[0]["time"].startswith("2026-03-01T12:07") and hits[0]["camera_time"].startswith("2026-03-01T13:07")


def test_a_condition_that_cannot_be_read_is_refused(start: Any, city: Unit, gallery: Any) -> None:
    for conditions in ('[{"kind": "moon", "op": ">", "value": 1}]', "rain", '{"kind": "weather"}', "[3]"):
        response = start(city, conditions=conditions)
        refused(response, response.json()["error"]["code"], "conditions")


def test_while_it_rained_picks_the_hours(start: Any, api: Any, city: Unit, gallery: Any) -> None:
    from units.models import SensorReading

    SensorReading.objects.create(unit=city, kind="weather", value=4.0, time=cast.NOON)
    SensorReading.objects.create(unit=city, kind="weather", value=0.0, time=cast.NOON + timedelta(minutes=30))
    pk = start(city, conditions='[{"kind": "weather", "op": ">", "value": 1}]').json()["id"]
    hits = api.get(f"/api/v1/searches/{pk}/hits/?collapse=none").json()["results"]
    assert {hit["camera"]["code"] for hit in hits} == {"cam-1"} and len(hits) == 9


def test_a_gallery_of_another_model_version_asks_for_a_new_index(start: Any, city: Unit, gallery: Any) -> None:
    from citysearch.research.models import ModelVersion

    ModelVersion.objects.update(state="ready")
    cast.make_version("newer", sha256="e" * 64)
    message = refused(start(city), "bundle_mismatch", "unit", status=409)
    assert "another model version" in message and "index_gallery" in message


def test_a_gallery_indexed_in_part_is_searched_in_part_and_says_so(
    start: Any, api: Any, city: Unit, gallery: Any, version: Any
) -> None:
    from citysearch.gallery.models import Segment
    from citysearch.research.models import ModelVersion

    other = cast.make_version("older", state="ready", sha256="d" * 64)
    Segment.objects.filter(camera=gallery[0]).update(model_version=other)
    Segment.objects.filter(camera=gallery[1]).delete()
    Camera.objects.filter(pk=gallery[2].pk).update(status="offline")
    cast.walk(gallery[3:], [5])
    pk = start(city).json()["id"]
    coverage = api.get(f"/api/v1/searches/{pk}/").json()["coverage"]
    assert coverage["reasons"] == {"other_model": 1, "not_indexed": 1}
    assert coverage["marked"] == {"offline": 1, "partly_indexed": 1}
    said = {line["code"]: line.get("reason") or line["mark"] for line in coverage["list"]}
    assert said == {"cam-1": "other_model", "cam-2": "not_indexed", "cam-3": "offline", "cam-4": "partly_indexed"}
    hits = api.get(f"/api/v1/searches/{pk}/hits/?collapse=none").json()["results"]
    assert {hit["camera"]["code"] for hit in hits} == {"cam-3", "cam-4"}
    assert ModelVersion.objects.count() == 2


def test_a_gallery_that_lost_its_index_meanwhile_fails_with_words(
    api: Any, city: Unit, gallery: Any, operator: Any, version: Any
) -> None:
    from citysearch.gallery.models import Segment
    from citysearch.searches import services, tasks

    search = services.search_start(operator, city, [cast.photo_of(1)], "purpose", "case")
    other = cast.make_version("older", state="ready", sha256="d" * 64)
    Segment.objects.update(model_version=other)
    tasks.search_run(str(search.pk))
    state = api.get(f"/api/v1/searches/{search.pk}/").json()
    assert state["state"] == "failed" and state["error"]["code"] == "bundle_mismatch"
    assert "another model version" in state["error"]["message"] and state["error"]["stage"] == "check"


def test_no_active_model_is_said(start: Any, city: Unit, gallery: Any) -> None:
    from citysearch.research.models import ModelVersion

    ModelVersion.objects.update(state="ready")
    assert "No model version is active" in refused(start(city), "unavailable", status=503)


def test_a_damaged_segment_fails_the_search_and_names_the_remedy(
    start: Any, api: Any, city: Unit, gallery: Any, settings: Any
) -> None:
    for segment in settings.STORE_DIR.rglob("*.seg"):
        segment.write_bytes(segment.read_bytes()[:-8])
    pk = start(city).json()["id"]
    state = api.get(f"/api/v1/searches/{pk}/").json()
    assert state["state"] == "failed" and state["error"]["code"] == "store_corrupt"
    assert "verify_store" in state["error"]["message"] and state["error"]["stage"] == "match"


def test_a_full_disk_keeps_no_half_search(
    start: Any, city: Unit, gallery: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    import errno
    from pathlib import Path

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    message = refused(start(city), "unavailable", status=503)
    assert "No space left" in message
    assert not list((settings.MEDIA_ROOT / "photos").glob("*"))


def test_an_unexpected_error_is_told_without_its_innards(
    start: Any, api: Any, city: Unit, gallery: Any, engine: cast.PaintEngine
) -> None:
    def burst() -> None:
        raise RuntimeError("a bug")

    engine.before_rank = burst
    state = api.get(f"/api/v1/searches/{start(city).json()['id']}/").json()
    assert state["state"] == "failed" and state["error"]["code"] == "internal"
    assert "a bug" not in state["error"]["message"] and "a bug" in state["error"]["detail"]


def test_messages_come_in_the_language_of_the_reader(start: Any, api: Any, city: Unit, gallery: Any) -> None:
    """The worker stores code and data; the words are chosen when the search is read."""
    from django.utils.translation import override

    from citysearch.searches.refusals import error_words

    with override("zh-hans"):
        told = error_words({"code": "broker_gone", "stage": "check", "message": "raw"})
    assert told is not None and told["detail"] == "raw" and told["message"] != "raw"


def test_coverage_says_of_each_camera_what_its_own_part_searches(
    start: Any, api: Any, city: Any, gallery: list[Any]
) -> None:
    """Every district is searched while it was busy itself: the first one early, the second one late."""
    for district, busy in zip(Unit.objects.filter(depth=2).order_by("path"), (-600, 4800), strict=True):
        for seconds in range(-600, 7200, 1800):
            moment = cast.NOON + timedelta(seconds=seconds)
            SensorReading.objects.create(unit=district, kind="footfall", value=9 * (seconds == busy), time=moment)
    pk = start(city, conditions='[{"kind": "footfall", "op": ">", "value": 5}]').json()["id"]
    coverage = api.get(f"/api/v1/searches/{pk}/").json()["coverage"]
    hits = api.get(f"/api/v1/searches/{pk}/hits/?collapse=none").json()["results"]
    seen = {hit["camera"]["code"] for hit in hits}
    assert seen == {"cam-1", "cam-4"} and coverage["searched"] == 2
    assert {line["code"]: line["reason"] for line in coverage["list"]} == dict.fromkeys(
        ("cam-2", "cam-3"), "no_crops_in_period"
    )
