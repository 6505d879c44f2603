"""The command line speaks the language of LANGUAGE_CODE too: what a command is for, its options, its answers."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import translation

from citysearch.tests.documents import our_commands, own_actions

CHINESE = re.compile(r"[\u4e00-\u9fff]")
NAMES = sorted(our_commands())
FILE_NAMES = {"FILE.csv"}


def helped(name: str, language: str) -> str:
    """What --help prints, with every run of spaces as one."""
    with translation.override(language):
        return re.sub(r"\s+", " ", our_commands()[name].create_parser("manage.py", name).format_help())


@pytest.mark.parametrize("name", NAMES)
def test_help_says_what_a_command_is_for_in_both_languages(name: str) -> None:
    with translation.override("en"):
        english = str(our_commands()[name].help)
    assert not CHINESE.search(english) and english in helped(name, "en")
    with translation.override("zh-hans"):
        chinese = str(our_commands()[name].help)
    assert CHINESE.search(chinese) and chinese[:20] in helped(name, "zh-hans")


@pytest.mark.parametrize("name", NAMES)
def test_every_option_of_the_application_is_explained_in_chinese(name: str) -> None:
    with translation.override("zh-hans"):
        texts = {str(action.help) for action in own_actions(name, our_commands()[name])}
    assert {text for text in texts - FILE_NAMES if not CHINESE.search(text)} == set()


@pytest.mark.django_db
def test_a_refusal_is_told_in_the_readers_language() -> None:
    with translation.override("zh-hans"), pytest.raises(CommandError, match="没有编码为 339900 的单元"):
        call_command("generate_grid", "339900", stdout=StringIO())
    with translation.override("en"), pytest.raises(CommandError, match="There is no unit with the code 339900"):
        call_command("generate_grid", "339900", stdout=StringIO())
