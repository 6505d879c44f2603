"""What is too long is refused before anybody reads it."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

pytestmark = pytest.mark.django_db


def test_a_body_too_long_is_refused_without_a_login(client: Client, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    body = b'{"username": "' + b"x" * 1000 + b'"}'
    answer = client.post("/api/v1/token/", body, content_type="application/json")
    assert answer.status_code == 413 and answer.json()["error"]["code"] == "too_large"
    assert client.post("/api/v1/token/", b"{}", content_type="application/json").status_code == 400


def test_an_upload_has_limits_of_its_own(client: Client, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    file = SimpleUploadedFile("day.zip", b"x" * 2000)
    assert client.post("/api/v1/imports/", {"file": file}).status_code == 401, "read, then asked for a login"
