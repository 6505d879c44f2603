"""Model versions: which bundle extracts features, and which one searches use."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class ModelVersion(models.Model):
    """A registered bundle.

    registered --(re-index)--> indexing --> ready --(activate)--> active --(another is activated)--> ready
    Exactly one version is active; searches use it until another is complete and activated.
    """

    class State(models.TextChoices):
        REGISTERED = "registered", _("registered")
        INDEXING = "indexing", _("indexing")
        READY = "ready", _("ready")
        ACTIVE = "active", _("active")

    name = models.CharField(_("name"), max_length=80, unique=True)
    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    bundle = models.CharField(_("bundle"), max_length=300, help_text=_("Path below var/, or absolute."))
    dim = models.PositiveIntegerField(_("feature size"))
    backbone = models.CharField(_("backbone"), max_length=40)
    metrics = models.JSONField(_("metrics"), default=dict)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.REGISTERED)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    activated_at = models.DateTimeField(_("activated"), null=True, blank=True)

    class Meta:
        verbose_name = _("model version")
        verbose_name_plural = _("model versions")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["state"], condition=models.Q(state="active"), name="one_active_model")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def model_key(self) -> str:
        """The folder of its features in the segment store."""
        return self.sha256[:16]
