"""Helpers of this package's tests; the city and its people come from the root conftest."""

from __future__ import annotations

from typing import Any

from rest_framework.test import APIClient

from units.models import Unit

MILL_STREET, MILL_SOUTH, MILL_GRID = "330101001", "330101001001", "33010100100101"
WEST, EAST = "330101", "330102"


def unit_of(code: str) -> Unit:
    return Unit.objects.get(code=code)


def square(west: float, south: float, side: float = 0.001) -> dict[str, Any]:
    east, north = west + side, south + side
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


def client_of(user: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client
