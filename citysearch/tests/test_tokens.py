"""API tokens expire, say so, and are renewed by asking again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from citysearch.tokens import token_expiry

LOGIN = {"username": "operator", "password": "a long password"}


def asked(key: str) -> Any:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {key}")
    return client.get("/api/v1/units/")


def test_a_token_is_good_for_its_days_and_then_says_what_to_do(operator: Any, settings: Any) -> None:
    settings.TOKEN_DAYS = 7
    told = APIClient().post("/api/v1/token/", LOGIN).json()
    token = Token.objects.get(user=operator)
    assert told["token"] == token.key and told["expires_at"] == token_expiry(token).isoformat()
    Token.objects.update(created=timezone.now() - timedelta(days=6, hours=23))
    assert asked(token.key).status_code == 200
    Token.objects.update(created=timezone.now() - timedelta(days=7))
    refused = asked(token.key)
    assert refused.status_code == 401 and refused.json()["error"]["code"] == "token_expired"
    assert "Get a new one from /api/v1/token/" in refused.json()["error"]["message"]
    renewed = APIClient().post("/api/v1/token/", LOGIN).json()["token"]
    assert renewed != token.key and asked(renewed).status_code == 200 and asked(token.key).status_code == 401


def test_the_administration_shows_until_when_a_token_is_good(admin_user: Any, operator: Any, settings: Any) -> None:
    token = Token.objects.create(user=operator)
    client = Client()
    client.force_login(admin_user)
    page = client.get("/admin/authtoken/tokenproxy/").content.decode()
    assert token.key not in page and token.key[:6] in page and 'class="field-is_good"' in page
