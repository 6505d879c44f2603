"""The edges of units: numbers no database holds, the ends of time, rights beside the roles, writes at the same time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from citysearch.errors import ServiceError
from units import files, services
from units.models import SensorReading, Unit
from units.queries import windows_of
from units.tests.cast import EAST, MILL_GRID, MILL_SOUTH, WEST, client_of, unit_of
from units.tree import unit_path

pytestmark = pytest.mark.django_db
NO_PROBLEMS: tuple[list[Any], ...] = ([], [], [], [], [])
BEYOND = 10**30


@pytest.mark.parametrize("view", ["import", "export"])
@pytest.mark.parametrize("rows", ["sensorreading", "indicator"])
def test_tables_are_for_administrators_alone(client: Any, operator: Any, rows: str, view: str) -> None:
    get_user_model().objects.filter(pk=operator.pk).update(is_staff=True)
    client.force_login(operator)
    assert client.get(reverse(f"admin:units_{rows}_{view}")).status_code == 403


@pytest.mark.parametrize("address", [f"units/?ids=1,{BEYOND}", f"memberships/?user={BEYOND}"])
def test_an_id_no_database_holds_is_refused(administrator: Any, address: str) -> None:
    assert client_of(administrator).get(f"/api/v1/{address}").status_code == 400


def test_a_reading_of_a_unit_no_database_holds_is_refused(administrator: Any) -> None:
    row = {"unit": BEYOND, "kind": "weather", "value": 1, "time": "2026-01-01T00:00:00Z"}
    answer = client_of(administrator).post("/api/v1/readings/bulk/", {"readings": [row]}, format="json")
    assert answer.status_code == 400 and "unit" in json.dumps(answer.json())


def test_nought_days_of_retention_would_erase_everything_and_are_refused(client: Any, administrator: Any) -> None:
    client.force_login(administrator)
    grid = unit_of(MILL_GRID)
    form = {"parent": unit_of(MILL_SOUTH).pk, "name": grid.name, "code": grid.code, "polygon": json.dumps(grid.polygon)}
    page = client.post(reverse("admin:units_unit_change", args=[grid.pk]), {**form, "retention_days": "0"})
    assert "retention_days" in page.context["adminform"].form.errors
    grid.refresh_from_db()
    assert grid.retention_days is None


@pytest.mark.parametrize("days", [0, -1, 36501])
def test_retention_is_some_days_whoever_asks(city: Unit, days: int) -> None:
    with pytest.raises(ServiceError) as refused:
        services.unit_update(city, retention_days=days)
    assert "retention_days" in refused.value.fields


def test_a_condition_holds_from_the_first_to_the_last_moment_there_is(city: Unit) -> None:
    rain = datetime(2026, 3, 1, 8, tzinfo=UTC)
    SensorReading.objects.create(unit=city, kind="weather", value=3, time=rain)
    ends = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    raining = [{"kind": "weather", "op": ">", "value": 0}]
    assert windows_of(city, raining, ends) == [(rain.timestamp(), rain.timestamp() + 3600)]


def test_a_change_does_not_take_back_a_move_made_meanwhile(city: Unit) -> None:
    fair = services.unit_create(unit_of(WEST), name="Fair", code="fair", free_code=True)
    services.unit_create(fair, name="Fair ground", code="fair-1", free_code=True)
    stale = Unit.objects.get(pk=fair.pk)
    services.unit_move(fair, unit_of(EAST))
    services.unit_update(stale, name="Great Fair", parent=unit_of(EAST))
    assert unit_path(unit_of("fair-1")) == "Lakeside / East / Great Fair / Fair ground"
    assert Unit.objects.find_problems() == NO_PROBLEMS


def test_a_file_larger_than_the_memory_may_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    for layout in ("csv", "geojson"):
        with pytest.raises(files.BadFile):
            list(files.unit_rows(BytesIO(b"x" * 101), layout))
