"""A photo of which place and time are known: the path passes there, whatever the hits say."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from PIL import Image

from citysearch.searches.models import Search
from citysearch.searches.paths import local_time
from citysearch.searches.tests import cast

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
# Some 500 m west of the first camera, which person 1 passes a minute after noon; and a place nobody gets to in time.
NEAR, FAR = (120.005, 30.005), (120.500, 30.300)


def taken(place: tuple[float, float], after: timedelta) -> str:
    """The field `taken` of one photo, so long after noon."""
    time = local_time((cast.NOON + after).timestamp())
    return json.dumps([{"longitude": place[0], "latitude": place[1], "time": time}])


def stops_of(search: Search) -> list[dict[str, Any]]:
    features = [one for one in search.trajectory["features"] if one["properties"]["kind"] == "stop"]
    return [feature["properties"] | {"at": feature["geometry"]["coordinates"]} for feature in features]


def cameras_of(search: Search) -> list[str | None]:
    return [stop["camera"] and stop["camera"]["code"] for stop in stops_of(search)]


def test_the_photo_is_the_first_stop_and_the_rest_of_the_path_starts_from_it(
    start: Any, api: Any, city: Any, gallery: Any
) -> None:
    search = Search.objects.get(pk=start(city, taken=taken(NEAR, -10 * MINUTE)).json()["id"])
    first = stops_of(search)[0]
    assert cameras_of(search) == [None, "cam-1", "cam-2", "cam-3", "cam-4"]
    assert (first["photo"], first["crop"], first["at"], first["confidence"]) == (0, None, list(NEAR), 1.0)
    assert first["start"] == local_time((cast.NOON - 10 * MINUTE).timestamp())
    leg = search.trajectory["features"][0]["properties"]
    assert (leg["from"], leg["to"]) == (1, 2) and 400 < leg["distance_m"] < 600 and leg["seconds"] == 660
    assert api.get(f"/api/v1/searches/{search.pk}/").json()["photos"][0]["taken"]["longitude"] == NEAR[0]
    assert api.get(f"/api/v1/searches/{search.pk}/gaps/").json()[0]["from"] == 1


def test_it_stays_through_verdicts_another_run_and_the_export(
    start: Any, api: Any, city: Any, operator: Any, gallery: Any, django_capture_on_commit_callbacks: Any
) -> None:
    from citysearch.cases.contents import search_files
    from citysearch.cases.models import LogEntry
    from citysearch.cases.queries import evidence_pieces

    search = Search.objects.get(pk=start(city, taken=taken(NEAR, -10 * MINUTE)).json()["id"])
    crop = stops_of(search)[2]["crop"]
    with django_capture_on_commit_callbacks(execute=True):
        api.post(f"/api/v1/searches/{search.pk}/verdicts/", {"crop": crop, "verdict": "confirmed"}, format="json")
        again = Search.objects.get(pk=api.post(f"/api/v1/searches/{search.pk}/rerun/").json()["id"])
    search.refresh_from_db()
    assert search.scored_verdict and cameras_of(search)[0] is None
    again.refresh_from_db()
    assert cameras_of(again)[0] is None

    files = dict(search_files(search, evidence_pieces(search, operator), LogEntry.objects.latest("id")))
    assert b"Query photo 1" in files["trajectory.gpx"]
    assert str(NEAR[0]).encode() in files["report.html"]


def test_what_excludes_the_photo_is_not_on_the_path_and_when_confirmed_a_conflict(
    start: Any, api: Any, city: Any, gallery: Any, django_capture_on_commit_callbacks: Any
) -> None:
    search = Search.objects.get(pk=start(city, taken=taken(FAR, 2 * MINUTE)).json()["id"])
    assert cameras_of(search)[0] is None and "cam-1" not in cameras_of(search)
    crop = search.candidates.filter(crop__camera__code="cam-1").first().crop_id
    with django_capture_on_commit_callbacks(execute=True):
        api.post(f"/api/v1/searches/{search.pk}/verdicts/", {"crop": crop, "verdict": "confirmed"}, format="json")
    search.refresh_from_db()
    [conflict] = search.trajectory["conflicts"]
    assert conflict["first"]["camera"]["code"] == "cam-1"
    assert (conflict["second"]["camera"], conflict["second"]["photo"]) == (None, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        "x",
        {},
        [{"longitude": 120}],
        [{"longitude": 181, "latitude": 30, "time": "2026-03-01T12:00"}],
        [{"longitude": float("nan"), "latitude": 30, "time": "2026-03-01T12:00"}],
        [{"longitude": 120, "latitude": 30, "time": "noon"}],
        [{"longitude": 120, "latitude": 30, "time": (timezone.now() + timedelta(days=1)).isoformat()}],
        [None, None],
    ],
)
def test_what_says_no_place_and_time_is_refused_by_name(start: Any, city: Any, gallery: Any, wrong: object) -> None:
    answer = start(city, taken=json.dumps(wrong))
    assert answer.status_code == 400
    assert "taken" in answer.json()["error"]["fields"]
    assert not Search.objects.exists()


@pytest.mark.parametrize(
    ("degrees", "clock", "said"),
    [
        ((30.0, 15.0, 36.0), ("2026:03:01 11:50:00", "+09:00"), (30.26, "2026-03-01T10:50:00+08:00")),
        ((30.0, 15.0, 36.0), ("2026:03:01 11:50:00", None), (30.26, "2026-03-01T11:50:00+08:00")),
        ((300.0, 0.0, 0.0), ("yesterday", None), (None, None)),
        (None, (None, None), (None, None)),
    ],
)
def test_the_look_says_what_the_file_says_of_place_and_time(
    api: Any, gallery: Any, degrees: Any, clock: Any, said: Any
) -> None:
    exif = Image.Exif()
    if degrees:
        exif.get_ifd(0x8825).update({1: "N", 2: degrees, 3: "E", 4: degrees})
    exif.get_ifd(0x8769).update({tag: text for tag, text in zip((0x9003, 0x9011), clock, strict=True) if text})
    photo = cast.upload(cast.photo_of(1, format="JPEG", exif=exif), "photo.jpg")
    says = api.post("/api/v1/photos/look/", {"photo": photo}, format="multipart").json()["says"]
    assert (says["latitude"], says["time"]) == said
