"""What the demo city offers: sample photos, logins, and whether it is there."""

from __future__ import annotations

from pathlib import Path

from django.urls import reverse
from django.utils.translation import gettext as _

from citysearch.demo.facts import facts_read, samples_folder
from citysearch.demo.names import CITY_CODE
from citysearch.demo.users import LOGINS, demo_password
from units.models import Unit


def demo_city() -> Unit | None:
    """The demo city, or None where it was not built."""
    return Unit.objects.filter(code=CITY_CODE, depth=1).defer("polygon").first()


def sample_photos() -> list[dict[str, str]]:
    """Photos of walkers to try a search with: name, file, url, label. Empty without a demo city."""
    facts = facts_read()
    if facts is None:
        return []
    return [
        {
            "name": Path(sample.file).stem, "file": sample.file, "url": reverse("demo-sample", args=[sample.file]),
            "label": _("Sample photo %(number)d: a walker of the demo city") % {"number": number},
        }
        for number, sample in enumerate(facts.samples, start=1)
        if (samples_folder() / sample.file).is_file()
    ]  # fmt: skip


def demo_logins() -> list[str]:
    """Lines such as 'operator / citysearch', for the console of the machine that serves the demo."""
    return [f"{name} / {demo_password()}" for name in LOGINS] if demo_city() else []
