"""The log of what people did with searches and of what administrators changed, and the hits kept as evidence."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from citysearch.gallery.models import Crop
from citysearch.searches.models import Search


class LogEntry(models.Model):
    """One line of the log. It carries the digest of the line before, so that nothing is changed or lost unnoticed.

    It names the search and the crop by number only: the line stays when they are gone. What administrators change
    belongs to no search, case and purpose.
    """

    class Action(models.TextChoices):
        SEARCH = "search", _("search started")
        VERDICTS = "verdicts", _("verdicts given")
        VIEW = "view", _("full-size crop viewed")
        KEEP = "keep", _("added to the evidence")
        DROP = "drop", _("taken from the evidence")
        PRINT = "print", _("evidence shown for printing")
        EXPORT = "export", _("evidence exported")
        ASK = "ask", _("export asked for")
        APPROVE = "approve", _("export approved")
        REFUSE = "refuse", _("export refused")
        HOLD = "hold", _("put on hold")
        LIFT = "lift", _("hold lifted")
        UNIT = "unit", _("unit")
        CAMERA = "camera", _("camera")
        MEMBERSHIP = "membership", _("membership")
        PERSON = "person", _("person")
        GROUP = "group", _("group")
        TOKEN = "token", _("token")
        INDICATOR = "indicator", _("government data")
        READING = "reading", _("sensor readings")
        MODEL = "model", _("model version")
        IMPORT = "import", _("gallery import")
        ERASURE = "erasure", _("erasure")

    time = models.DateTimeField(_("time"))
    user = models.CharField(_("user"), max_length=150)
    action = models.CharField(_("action"), max_length=12, choices=Action.choices)
    search = models.UUIDField(_("search"), db_index=True, null=True)
    case = models.CharField(_("case"), max_length=80, blank=True)
    purpose = models.CharField(_("purpose"), max_length=300, blank=True)
    details = models.JSONField(_("details"), default=dict)
    previous = models.CharField(max_length=64, unique=True)
    digest = models.CharField(max_length=64, unique=True)

    class Meta:
        verbose_name = _("log entry")
        verbose_name_plural = _("log entries")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.pk} {self.action}"

    def save(self, *args: Any, **options: Any) -> None:
        """Lines are added, never changed."""
        super().save(*args, **(options | {"force_insert": True}))


class Evidence(models.Model):
    """A hit that somebody keeps for the case; an erased crop leaves it too."""

    search = models.ForeignKey(Search, models.CASCADE, related_name="evidence", verbose_name=_("search"))
    crop = models.ForeignKey(Crop, models.CASCADE, related_name="+", verbose_name=_("crop"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("user"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("piece of evidence")
        verbose_name_plural = _("evidence")
        ordering = ["created_at", "id"]
        constraints = [models.UniqueConstraint(fields=["search", "crop"], name="one_evidence_per_crop")]

    def __str__(self) -> str:
        return f"{self.search_id} {self.crop_id}"


class Hold(models.Model):
    """A search whose evidence and photos outlive retention and erasure until a supervisor lifts the hold.

    `crops` is what was evidence when it was put on hold: taking it from the evidence afterwards does not let it go.
    It names the crops by number only, as the log does.
    """

    search = models.ForeignKey(Search, models.CASCADE, related_name="holds", verbose_name=_("search"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("user"))
    reason = models.CharField(_("reason"), max_length=300)
    crops = models.JSONField(_("crops"), default=list)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True, verbose_name=_("lifted by")
    )
    lifted_at = models.DateTimeField(_("lifted"), null=True, blank=True)
    lift_reason = models.CharField(_("reason for lifting"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["search"], condition=models.Q(lifted_at=None), name="one_open_hold")
        ]

    def __str__(self) -> str:
        return f"{self.search.case}: {self.reason}"


class ExportRequest(models.Model):
    """An operator asks to export exactly these crops; a supervisor approves or refuses.

    It names the crops by number only, as the log does. One that was asked anew, for other crops, is replaced.
    """

    class State(models.TextChoices):
        ASKED = "asked", _("asked for")
        APPROVED = "approved", _("approved")
        REFUSED = "refused", pgettext_lazy("of a request", "refused")
        REPLACED = "replaced", _("replaced")

    search = models.ForeignKey(Search, models.CASCADE, related_name="export_requests", verbose_name=_("search"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("user"))
    crops = models.JSONField(_("crops"))
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.ASKED)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True, verbose_name=_("decided by")
    )
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("request for an export")
        verbose_name_plural = _("requests for exports")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["search", "user"], condition=models.Q(state="asked"), name="one_open_request"
            )
        ]

    def __str__(self) -> str:
        return f"{self.search_id} {self.state}"
