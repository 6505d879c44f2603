"""Reads about model versions."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext as _

from citysearch.errors import ServiceError, Unavailable
from citysearch.research.models import ModelVersion
from citysearch.research.signals import unindexed_asked

# Figure -> its name among a bundle's metrics.
HEADLINE = {"rank1": "attention_rank1", "mean_ap": "attention_map", "mean_inp": "attention_minp"}


def active_model() -> ModelVersion | None:
    """The version that searches use, or None."""
    return ModelVersion.objects.filter(state=ModelVersion.State.ACTIVE).first()


def active_model_or_refuse() -> ModelVersion:
    """The version that searches use. Raises Unavailable where there is none."""
    version = active_model()
    if version is None:
        raise Unavailable(_("No model version is active. Register one with register_model, then activate_model."))
    return version


def bundle_path(version: ModelVersion) -> Path:
    """Where the version's bundle lies."""
    return Path(settings.VAR_DIR) / version.bundle  # an absolute path stays itself


def model_named(word: str) -> ModelVersion:
    """The version with this name, id, or start of its sha256 (8 characters at least). Raises ServiceError."""
    wanted = Q(name=word)
    if word.isdecimal() and len(word) < 10:
        wanted |= Q(pk=int(word))
    if len(word) >= 8:
        wanted |= Q(sha256__startswith=word.lower())
    found = list(ModelVersion.objects.filter(wanted)[:2])
    exact = [version for version in found if version.name == word] or found
    if len(exact) != 1:
        known = ", ".join(ModelVersion.objects.values_list("name", flat=True)) or _("none")
        raise ServiceError(_("There is no model version %(word)r. Known: %(known)s.") % {"word": word, "known": known})
    return exact[0]


def unindexed_crops(version: ModelVersion) -> int:
    """How many crops of the gallery have no features made by this version."""
    answers = unindexed_asked.send(ModelVersion, version=version)
    return sum(int(count or 0) for _receiver, count in answers)


def headline(version: ModelVersion) -> dict[str, float]:
    """rank1, mean_ap and mean_inp (0..1) of diff attention as the bundle states them; empty where it states none."""
    stated = {figure: version.metrics.get(key) for figure, key in HEADLINE.items()}
    return {figure: float(value) for figure, value in stated.items() if isinstance(value, int | float)}
