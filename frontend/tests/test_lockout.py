"""Guessing passwords on the page ends at a page that says so, in the reader's language."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils.html import escape
from django.utils.translation import gettext, override


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("address", ["login", "admin:login"])
def test_guessing_a_password_ends_at_a_page_that_says_so(
    client: Client, operator: Any, address: str, language: str
) -> None:
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = language
    guess = {"username": operator.username, "password": "guess"}
    answers = [client.post(reverse(address), guess) for _ in range(settings.AXES_FAILURE_LIMIT)]
    assert [answer.status_code for answer in answers] == [200] * (len(answers) - 1) + [429]
    with override(language):
        words = escape(gettext("Too many failed attempts. Try again later."))
    assert words in answers[-1].content.decode() and f'lang="{language}"' in answers[-1].content.decode()
    right = client.post(reverse(address), {**guess, "password": "a long password"})
    assert right.status_code == 429, "not even the right one, for a while"
