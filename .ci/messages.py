"""Collect every translatable string, fill the English catalogue, name what Chinese lacks, compile both.

Needs Debian's gettext. The compiled catalogues are committed, so that `make run` needs no gettext.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "citysearch" / "locale"
IGNORED = [".venv/*", "var/*", "*/tests/*", "benchmarks/*", "staticfiles/*"]


def collect(domain: str) -> None:
    ignore = [argument for pattern in IGNORED for argument in ("--ignore", pattern)]
    languages = ["-l", "en", "-l", "zh_Hans"]
    command = [
        sys.executable,
        "manage.py",
        "makemessages",
        "-d",
        domain,
        *languages,
        *ignore,
        "--no-location",
        "--no-obsolete",
    ]
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"DJANGO_SETTINGS_MODULE": "citysearch.settings"})


def fill_english(catalogue: Path) -> None:
    """In English every message stands for itself."""
    filled = subprocess.run(["msgen", str(catalogue)], check=True, capture_output=True).stdout
    catalogue.write_bytes(filled)


def missing(catalogue: Path) -> int:
    """How many messages have no translation, or one that is only guessed (fuzzy)."""
    found = subprocess.run(
        ["msgattrib", "--untranslated", str(catalogue)], check=True, capture_output=True, text=True
    ).stdout
    fuzzy = subprocess.run(
        ["msgattrib", "--only-fuzzy", str(catalogue)], check=True, capture_output=True, text=True
    ).stdout
    return sum(
        text.count('\nmsgid "') - (1 if 'msgid ""\nmsgstr ""\n"' in text else 0) for text in (found, fuzzy) if text
    )


def compile_catalogue(catalogue: Path) -> None:
    subprocess.run(["msgfmt", "--check", "-o", str(catalogue.with_suffix(".mo")), str(catalogue)], check=True)


def main() -> int:
    for domain in ("django", "djangojs"):
        collect(domain)
    for catalogue in sorted((LOCALE / "en").rglob("*.po")):
        fill_english(catalogue)
    open_messages = {path: missing(path) for path in sorted(LOCALE.rglob("*.po"))}
    for path, count in open_messages.items():
        compile_catalogue(path)
        print(f"{path.relative_to(ROOT)}: {count} not translated")
    return 1 if any(open_messages.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
