"""The catalogues tell their story: every message of the sources speaks both languages, and the compiled files say so.

Needs gettext, which `make test` installs.
"""

from __future__ import annotations

import gettext
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

ROOT = Path(__file__).resolve().parent.parent.parent
LOCALE = ROOT / "citysearch" / "locale"
DOMAINS = ["django", "djangojs"]
CATALOGUES = sorted(LOCALE.glob("*/LC_MESSAGES/*.po"))
PLACEHOLDER = re.compile(r"%\(\w+\)[#0 +-]?[\d.]*[a-zA-Z]|%%|\{\w+\}|</?\w+[^>]*>|\b\w+_\w+\b")
JAVASCRIPT_TEXT = re.compile(r"""\bn?gettext\(\s*"((?:[^"\\]|\\.)*)"(?:\s*,\s*"((?:[^"\\]|\\.)*)")?""")
# design.md, "One word per thing": the English word, and what every Chinese message that names the thing must contain
# (or the English word itself, where a file or a command asks for it).
VOCABULARY = {
    "crops?": "截图",
    "cameras?": "摄像机",
    "galler(?:y|ies)": "图库",
    "sightings?": "出现",
    "candidates?": "候选",
    "verdicts?": "判定",
    "likelihood": "可能性",
    "model versions?": "模型版本",
    "bundles?": "模型包",
    "trajector(?:y|ies)": "轨迹",
    "purpose": "用途",
    "case": "案件",
    "street": "街道",
    "regions?": "片区",
    "grids?": "网格",
    "operator": "操作员",
    "supervisor": "主管",
    "administrators?": "管理员",
    "auditor": "审计员",
    "researcher": "研究员",
}


@pytest.fixture(scope="module")
def messages() -> ModuleType:
    """The script behind `make messages`, which lives outside every package."""
    found = importlib.util.spec_from_file_location("messages", ROOT / ".ci" / "messages.py")
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def loaded(compiled: Path) -> dict[Any, str]:
    """{message id, or (id, number) for a form of a plural: text} of a .mo, without its header."""
    with compiled.open("rb") as file:
        catalogue: dict[Any, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    return {message: text for message, text in catalogue.items() if message}


def committed(language: str, domain: str) -> dict[Any, str]:
    return loaded(LOCALE / language / "LC_MESSAGES" / f"{domain}.mo")


def ids(catalogue: dict[Any, str]) -> set[str]:
    return {message[0] if isinstance(message, tuple) else message for message in catalogue}


def pairs(domain: str) -> list[tuple[str, str]]:
    """(English, Chinese) of every message; Chinese has one form, which stands beside the English plural."""
    english = committed("en", domain)
    chinese = committed("zh_Hans", domain)
    return [
        (english[(message[0], 1)] if isinstance(message, tuple) else english[message], text)
        for message, text in chinese.items()
    ]


def names(word: str, text: str) -> bool:
    """Whether the text holds the word (a pattern), other than as a placeholder or a part of a machine's name."""
    return re.search(rf"(?<![\w%(.]){word}(?![\w)])", text, re.IGNORECASE | re.ASCII) is not None


def shown(path: Path) -> str:
    return f"{path.parent.parent.name}-{path.stem}"


def test_both_languages_have_catalogues_of_both_domains() -> None:
    assert [shown(path) for path in CATALOGUES] == ["en-django", "en-djangojs", "zh_Hans-django", "zh_Hans-djangojs"]


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=shown)
def test_no_message_is_untranslated_or_guessed(catalogue: Path, messages: ModuleType) -> None:
    assert messages.missing(catalogue) == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_chinese_knows_what_english_knows(domain: str) -> None:
    assert ids(committed("zh_Hans", domain)) == ids(committed("en", domain))


@pytest.mark.parametrize("domain", DOMAINS)
def test_in_english_every_message_stands_for_itself(domain: str) -> None:
    english = committed("en", domain)
    first = {
        message[0] if isinstance(message, tuple) else message: text
        for message, text in english.items()
        if not isinstance(message, tuple) or message[1] == 0
    }
    # A message that means several things has its context before it, cut off by \x04.
    assert [message for message, text in first.items() if text != message.rpartition("\x04")[2]] == []
    assert all(english.values())


@pytest.mark.parametrize("domain", DOMAINS)
def test_placeholders_markup_and_names_of_the_machine_survive_translation(domain: str) -> None:
    different = [
        (english, chinese)
        for english, chinese in pairs(domain)
        if sorted(set(PLACEHOLDER.findall(english))) != sorted(set(PLACEHOLDER.findall(chinese)))
    ]
    assert different == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_one_thing_has_one_word_in_chinese_too(domain: str) -> None:
    other = [
        (english, chinese)
        for english, chinese in pairs(domain)
        for word, needed in VOCABULARY.items()
        if names(word, english) and needed not in chinese and not names(word, chinese)
    ]
    assert other == []


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=shown)
def test_a_compiled_catalogue_says_what_its_source_says(catalogue: Path, messages: ModuleType, tmp_path: Path) -> None:
    messages.compile_catalogue(catalogue, tmp_path / "fresh.mo")
    assert loaded(tmp_path / "fresh.mo") == loaded(catalogue.with_suffix(".mo"))


def test_the_sources_hold_no_message_that_the_catalogues_lack(messages: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    for domain, template in messages.extract(tmp_path / "sources").items():
        source = tmp_path / f"{domain}.po"
        source.write_text(messages.english(template), encoding="utf-8")
        messages.compile_catalogue(source)
        assert ids(loaded(source.with_suffix(".mo"))) - ids(committed("en", domain)) == set(), "run `make messages`"


def test_every_text_of_the_modules_in_the_browser_is_collected() -> None:
    texts = {
        text.replace('\\"', '"')
        for package in ("frontend", "units")
        for module in sorted((ROOT / package / "static").rglob("*.js"))
        for text, _plural in JAVASCRIPT_TEXT.findall(module.read_text(encoding="utf-8"))
    }
    assert len(texts) > 50
    assert texts - ids(committed("en", "djangojs")) == set()


def test_merging_keeps_translations_leaves_new_messages_open_and_drops_old_ones(
    messages: ModuleType, tmp_path: Path
) -> None:
    template, catalogue = tmp_path / "new.pot", tmp_path / "old.po"
    head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
    template.write_text(head + 'msgid "photo"\nmsgstr ""\n\nmsgid "the photos"\nmsgstr ""\n', encoding="utf-8")
    catalogue.write_text(
        head + 'msgid "photo"\nmsgstr "照片"\n\nmsgid "the photo"\nmsgstr "此照片"\n', encoding="utf-8"
    )
    catalogue.write_text(messages.chinese(template, catalogue), encoding="utf-8")
    assert messages.missing(catalogue) == ['msgid "the photos"\nmsgstr ""']
    messages.compile_catalogue(catalogue)
    assert loaded(catalogue.with_suffix(".mo")) == {"photo": "照片"}
    assert messages.chinese(template, catalogue) == catalogue.read_text(encoding="utf-8")


def test_the_creed_is_said_in_the_language_of_the_reader() -> None:
    with translation.override("zh-hans"):
        assert translation.gettext("Appearance match, not identification.") == "外观匹配，非身份认定。"
        assert translation.ngettext("%(n)s sighting", "%(n)s sightings", 3) % {"n": 3} == "3 条出现记录"
    with translation.override("en"):
        assert translation.ngettext("%(n)s sighting", "%(n)s sightings", 3) % {"n": 3} == "3 sightings"


@pytest.mark.django_db
@pytest.mark.parametrize(("language", "word"), [("zh-hans", "极有可能"), ("en", "very likely")])
def test_the_browser_gets_the_texts_of_the_readers_language(client: Client, language: str, word: str) -> None:
    answer = client.get(reverse("javascript-catalog"), headers={"accept-language": language})
    assert f'"very likely": {json.dumps(word)}' in answer.content.decode()
