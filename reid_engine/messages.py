"""The words the engine says, and who translates them.

The engine knows no web framework, so it marks its words where they stand and leaves the translation to whoever runs
it: `install` takes a function such as Django's gettext. The names are those every extractor of messages looks for.
"""

from __future__ import annotations

import gettext as standard
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

Translate = Callable[[str], str]
CATALOGUES = Path(__file__).resolve().parent.parent / "citysearch" / "locale"
DOMAIN = "django"
VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")

_translate: Translate = str
_as_it_stands: ContextVar[bool] = ContextVar("as_it_stands", default=False)


class Message:
    """Words of a marked template with their data, said in the reader's language each time they are read."""

    def __init__(self, template: str, /, **data: object) -> None:
        self.template = template
        self.data = data

    def __str__(self) -> str:
        return gettext(self.template) % self.data


def install(translate: Translate) -> None:
    """Let `translate` turn every message into the language of whoever reads it."""
    global _translate
    _translate = translate


def gettext(text: str) -> str:
    """`text` in the reader's language now."""
    return text if _as_it_stands.get() else _translate(text)


@contextmanager
def untranslated() -> Iterator[None]:
    """Inside, every message stays as it stands."""
    token = _as_it_stands.set(True)
    try:
        yield
    finally:
        _as_it_stands.reset(token)


def gettext_noop(text: str) -> str:
    """`text` as it stands: it is marked for the catalogues and translated later, when somebody reads it."""
    return text


def catalogue(language: str, folder: Path = CATALOGUES) -> Translate:
    """The translation a compiled catalogue gives, for programs without Django; English where there is none."""
    chinese = language.lower().startswith("zh")
    found = standard.translation(DOMAIN, folder, ["zh_Hans" if chinese else "en"], fallback=True)
    return found.gettext


def environment_language() -> str:
    """The language of the shell, as gettext's own tools read it; English where it names none."""
    return next((value for name in VARIABLES if (value := os.environ.get(name))), "en")
