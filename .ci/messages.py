"""Collect every translatable string, fill the English catalogue, name what Chinese lacks, compile both.

Needs Debian's gettext. The compiled catalogues are committed, so that `make run` needs no gettext. Running it twice
changes nothing: dates and places in the sources are left out, and a message is never guessed from a similar one.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "citysearch" / "locale"
PACKAGES = ("citysearch", "frontend", "units", "reid_engine")
SOURCES = {".py", ".html", ".txt", ".js"}
# Modules of libraries that speak no Chinese of their own and whose words the administration shows.
BORROWED = ("axes.models", "axes.admin", "treebeard.admin")
DOMAINS = ("django", "djangojs")
PLURALS = {"en": "nplurals=2; plural=(n != 1);", "zh_Hans": "nplurals=1; plural=0;"}
HEADER = r"""msgid ""
msgstr ""
"Project-Id-Version: CitySearch\n"
"PO-Revision-Date: 2026-01-01 00:00+0000\n"
"Last-Translator: CitySearch\n"
"Language-Team: CitySearch\n"
"Language: {language}\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=UTF-8\n"
"Content-Transfer-Encoding: 8bit\n"
"Plural-Forms: {plurals}\n"

"""


def copy_sources(folder: Path) -> None:
    """The files that hold messages, without tests: makemessages leaves files beside what it reads for a moment."""
    for package in PACKAGES:
        for source in sorted((ROOT / package).rglob("*")):
            if source.suffix in SOURCES and "tests" not in source.parts and source.is_file():
                target = folder / source.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


def copy_borrowed(folder: Path) -> None:
    """The modules of libraries whose words this project translates."""
    for name in BORROWED:
        package, module = name.split(".")
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            raise SystemExit(f"{package} is not installed; run `make` with the project's own environment.")
        target = folder / package / f"{module}.py"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(Path(found.origin).parent / f"{module}.py", target)


def extract(folder: Path) -> dict[str, Path]:
    """{domain: template of every message in the sources}, written below an empty folder."""
    copy_sources(folder)
    copy_borrowed(folder)
    (folder / "locale").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    for domain in DOMAINS:
        command = [sys.executable, "-m", "django", "makemessages", "-d", domain, "-l", "en", "-v", "0"]
        command += ["--keep-pot", "--no-location"]
        subprocess.run(command, cwd=folder, check=True, env=environment)
    return {domain: folder / "locale" / f"{domain}.pot" for domain in DOMAINS}


def gettext_tool(*arguments: object) -> str:
    """The output of one of gettext's commands."""
    words = [str(argument) for argument in arguments]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def with_header(text: str, language: str) -> str:
    """The catalogue with this project's header instead of whatever stands before its first message."""
    messages = re.split(r"\n{2,}", text.strip() + "\n", maxsplit=1)[1]
    return HEADER.format(language=language, plurals=PLURALS[language]) + messages


def english(template: Path) -> str:
    """In English every message stands for itself."""
    return with_header(gettext_tool("msgen", "--lang=en", template), "en")


def chinese(template: Path, catalogue: Path) -> str:
    """What is translated already, plus new messages without a translation, minus those nobody uses any more."""
    known = catalogue if catalogue.exists() else template
    with tempfile.NamedTemporaryFile(suffix=".po") as merged:
        gettext_tool("msgmerge", "--quiet", "--no-fuzzy-matching", "--lang=zh_Hans", "-o", merged.name, known, template)
        return with_header(gettext_tool("msgattrib", "--no-obsolete", merged.name), "zh_Hans")


def missing(catalogue: Path) -> list[str]:
    """The messages that have no translation, or one that is only guessed (fuzzy), as the catalogue spells them."""
    found = [gettext_tool("msgattrib", wanted, catalogue) for wanted in ("--untranslated", "--only-fuzzy")]
    entries = [entry for text in found for entry in text.strip().split("\n\n")]
    return [entry for entry in entries if entry and "Project-Id-Version" not in entry]


def compile_catalogue(catalogue: Path, compiled: Path | None = None) -> None:
    """Write the .mo beside the .po, or elsewhere; fails on a broken header, plural or placeholder."""
    gettext_tool("msgfmt", "--check", "-o", compiled or catalogue.with_suffix(".mo"), catalogue)


def write_catalogues(template: Path, domain: str) -> list[Path]:
    """Bring both languages up to the template; returns the two files."""
    files = [LOCALE / language / "LC_MESSAGES" / f"{domain}.po" for language in PLURALS]
    for file, text in zip(files, (english(template), chinese(template, files[1])), strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return files


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        templates = extract(Path(folder))
        catalogues = [file for domain, template in templates.items() for file in write_catalogues(template, domain)]
    lacking = {catalogue: missing(catalogue) for catalogue in catalogues}
    for catalogue, entries in lacking.items():
        compile_catalogue(catalogue)
        print(f"{catalogue.relative_to(ROOT)}: {len(entries)} not translated")
        print("\n\n".join(entries), end="\n" if entries else "")
    return 1 if any(lacking.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
