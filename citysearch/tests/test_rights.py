"""Every address there is, asked by who has no right to it: a new one is in this test as soon as it exists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone
from drf_spectacular.generators import EndpointEnumerator
from rest_framework.test import APIClient

from citysearch.cases.models import LogEntry
from citysearch.gallery.models import Crop, GalleryImport, ModelComparison, Segment
from citysearch.searches.models import Search
from citysearch.searches.tests.conftest import api, engine, found, gallery, start, version
from units.models import Camera, Indicator, Membership, SensorReading, Unit

__all__ = ["api", "engine", "found", "gallery", "start", "version"]
pytestmark = pytest.mark.django_db

# What everybody who is logged in may ask: who one is oneself, the ground the map is drawn on, how the API is described.
OPEN = {"/api/docs/", "/api/schema/", "/api/v1/token/", "/api/v1/basemap.geojson"}
# Nothing is told there but what was sent, or in what is empty.
HARMLESS = {("POST", "/api/v1/photos/look/")}


@pytest.fixture
def world(found: Search, administrator: Any) -> dict[str, Any]:
    """One of everything an address can name, all of it in the West; what its parts are called in addresses."""
    west = Unit.objects.get(code="330101")
    camera = Camera.objects.get(code="cam-1")
    crop = Crop.objects.filter(camera=camera).first()
    datum = Indicator.objects.create(unit=west, indicator="population", value=1, year=2020, source="census")
    reading = SensorReading.objects.create(unit=west, kind="weather", value=1, time=timezone.now())
    row = GalleryImport.objects.create(layout="zip", source="day.zip", user=administrator)
    version = found.model_version
    comparison = ModelComparison.objects.create(first=version, second=version, user=administrator)
    return {
        "units": west, "cameras": camera, "crops": crop, "imports": row, "indicators": datum, "readings": reading,
        "memberships": administrator.memberships.get(), "models": version, "searches": found,
        "unit": west, "camera": camera, "crop": crop, "galleryimport": row, "indicator": datum,
        "sensorreading": reading, "membership": administrator.memberships.get(), "modelversion": version,
        "search": found, "segment": Segment.objects.filter(camera=camera).first(), "modelcomparison": comparison,
        "user": administrator, "version": version,
    }  # fmt: skip


def endpoints(world: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(method, address) of the whole API, each with the numbers of things that are there."""
    for path, _regex, method, _view in EndpointEnumerator().get_api_endpoints():
        if path in OPEN:
            continue
        subject = path.split("/")[3]
        row = world[subject].pk if subject in world else ""
        yield method, path.format(pk=row, crop=world["crop"].pk, position=0)


def everything() -> list[int]:
    models = (Unit, Camera, Crop, Search, GalleryImport, Indicator, SensorReading, Membership, LogEntry)
    return [model.objects.count() for model in models]


def tells_nothing(answer: Any) -> bool:
    """Refused, or a list of nothing."""
    if answer.status_code in (400, 401, 404, 405):
        return True
    body = answer.json()
    rows = body if isinstance(body, list) else body.get("results", body.get("features"))
    return answer.status_code == 200 and rows == []


@pytest.mark.parametrize("who", [None, "stranger"])
def test_the_whole_api_tells_a_stranger_nothing(
    world: dict[str, Any], who: str | None, request: pytest.FixtureRequest
) -> None:
    client = APIClient()
    if who:
        client.force_authenticate(request.getfixturevalue(who))
    asked, before = list(endpoints(world)), everything()
    assert len(asked) > 55
    for method, address in asked:
        answer = getattr(client, method.lower())(address, {}, format="json")
        if who is None:
            assert answer.status_code == 401, (method, address, answer.status_code)
        elif (method, address) not in HARMLESS:
            assert tells_nothing(answer), (method, address, answer.status_code, answer.content[:300])
    assert everything() == before


def test_an_administrator_of_the_east_reaches_nothing_of_the_west_over_the_api(
    world: dict[str, Any], operator_east: Any
) -> None:
    operator_east.memberships.update(role="administrator")
    client = APIClient()
    client.force_authenticate(operator_east)
    before = everything()
    named = [
        (method, address) for method, address in endpoints(world) if any(part.isdigit() for part in parts(address))
    ]
    for method, address in named:
        if address.startswith("/api/v1/models/"):  # which versions there are is told to every administrator
            continue
        answer = getattr(client, method.lower())(address, {}, format="json")
        assert answer.status_code == 404, (method, address, answer.status_code)
    assert everything() == before


def parts(address: str) -> list[str]:
    return address.strip("/").split("/")


def admin_addresses(world: dict[str, Any], patterns: Any = None, before: str = "") -> Iterator[str]:
    """Every page of the administration, each with the number of something that is there."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        address = before + str(entry.pattern)
        if hasattr(entry, "url_patterns"):
            yield from admin_addresses(world, entry.url_patterns, address)
        elif (
            len(parts(address)) > 2
            and parts(address)[2] in world
            and address.startswith("admin/")
            and "jsi18n" not in address
        ):
            name = "version" if "/version/" in address else parts(address)[2]
            for slot in ("<path:object_id>", "<int:pk>", "<str:parent_id>", "<id>"):
                address = address.replace(slot, str(world[name].pk))
            yield f"/{address}"


def test_every_page_of_the_administration_refuses_staff_without_a_role(
    world: dict[str, Any], stranger: Any, client: Client
) -> None:
    pages = list(admin_addresses(world))
    assert len(pages) > 80 and any("/stop/" in page for page in pages) and any("/version/" in page for page in pages)
    for page in pages:
        assert client.get(page).status_code == 302, page  # to the login
    type(stranger).objects.filter(pk=stranger.pk).update(is_staff=True)
    client.force_login(stranger)
    before = everything()
    for page in pages:
        for method in (client.get, client.post):
            answer = method(page)
            fallback = answer.status_code == 302 and answer["Location"] in ("/admin/", f"{page}change/")
            refused = (400, 403, 404, 405)  # 400: a unit that is not there cannot be moved
            assert fallback or answer.status_code in refused, (page, answer.status_code)
    assert everything() == before


# Where the number of a thing of the West stands in the address, and the thing belongs to a unit.
BOUNDED = (
    "unit",
    "camera",
    "crop",
    "galleryimport",
    "indicator",
    "sensorreading",
    "membership",
    "search",
    "segment",
    "user",
)


def test_no_page_of_the_administration_shows_the_west_to_an_administrator_of_the_east(
    world: dict[str, Any], operator_east: Any, client: Client
) -> None:
    operator_east.memberships.update(role="administrator")
    type(operator_east).objects.filter(pk=operator_east.pk).update(is_staff=True)
    client.force_login(operator_east)
    pages = [page for page in admin_addresses(world) if parts(page)[2] in BOUNDED and "/version/" not in page]
    named = [page for page in pages if str(world[parts(page)[2]].pk) in parts(page)]
    assert len(named) > 35
    before = everything()
    for page in named:
        answer = client.get(page)
        away = answer.status_code == 302 and answer["Location"] in ("/admin/", f"{page}change/")
        assert away or answer.status_code in (403, 404), (page, answer.status_code)
        assert client.post(page, {"post": "yes"}).status_code in (302, 403, 404), page
    assert everything() == before
