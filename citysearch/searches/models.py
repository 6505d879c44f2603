"""A search from photo to path, its parts, its candidates, and what people said of them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from citysearch.gallery.models import Crop
from citysearch.research.models import ModelVersion
from units.models import Unit


class Search(models.Model):
    """One search of one unit's gallery.

    queued --> running --> done
       |          |------> failed      (error says stage, reason, what was kept)
       '----------'------> cancelled   (between two parts; finished parts' candidates stay)
    A transition is a filtered update that must touch one row. A worker may die at any moment: running is entered
    again by the redelivered task, which goes on with the parts that are not done.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        CANCELLED = "cancelled", _("cancelled")
        FAILED = "failed", _("failed")

    class Stage(models.TextChoices):
        CHECK = "check", _("check")
        AUGMENT = "augment", _("enhance")
        EXTRACT = "extract", _("extract features")
        MATCH = "match", _("compare")
        PATH = "path", _("reconstruct the path")
        DONE = "done", _("done")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="searches", verbose_name=_("user"))
    unit = models.ForeignKey(Unit, models.PROTECT, related_name="searches", verbose_name=_("unit"))
    area = models.JSONField(
        _("drawn area"), null=True, blank=True, help_text=_("GeoJSON; only the cameras of the unit that lie in it.")
    )
    purpose = models.CharField(_("purpose"), max_length=300)
    case = models.CharField(_("case"), max_length=80)
    period_from = models.DateTimeField(_("from"), null=True, blank=True)
    period_to = models.DateTimeField(_("to"), null=True, blank=True)
    conditions = models.JSONField(
        _("sensor conditions"), default=list, blank=True, help_text=_('[{"kind": "footfall", "op": ">", "value": 100}]')
    )
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.QUEUED)
    stage = models.CharField(_("stage"), max_length=10, choices=Stage.choices, default=Stage.CHECK)
    cancel_requested = models.BooleanField(default=False)
    model_version = models.ForeignKey(
        ModelVersion, models.PROTECT, null=True, related_name="searches", verbose_name=_("model version")
    )
    features = models.BinaryField(null=True, editable=False, help_text=_("Query features, float32."))
    counts = models.JSONField(
        _("counts"), default=dict, help_text=_("parts, parts_done, cameras, crops, candidates, sightings")
    )
    coverage = models.JSONField(_("coverage"), default=dict, help_text=_("searched and skipped cameras, and why"))
    timings = models.JSONField(_("timings"), default=dict, help_text=_("seconds per stage"))
    absence = models.FloatField(
        null=True, editable=False, help_text=_("How far the best hit is, as a share of how far strangers are.")
    )
    trajectory = models.JSONField(null=True, editable=False)
    error = models.JSONField(_("error"), null=True, help_text=_("code, stage, message"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    heartbeat_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(
        _("attempts"), default=0, editable=False, help_text=_("How often it was taken up again.")
    )
    scored_verdict = models.BigIntegerField(
        default=0, editable=False, help_text=_("The last verdict that the ranking and the path take account of.")
    )

    class Meta:
        verbose_name = _("search")
        verbose_name_plural = _("searches")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.case} {self.created_at:%Y-%m-%d %H:%M}"


class SearchPhoto(models.Model):
    """A photo the operator uploaded: re-encoded without metadata. Where and when it was taken is optional."""

    search = models.ForeignKey(Search, models.CASCADE, related_name="photos")
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    image = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    quality = models.JSONField(_("quality"), default=dict)
    box = models.JSONField(
        _("box"), null=True, help_text=_("[left, top, right, bottom] in pixels; only this part is compared.")
    )
    taken = models.JSONField(
        _("taken"), null=True, help_text=_("longitude, latitude (WGS-84) and time; the path passes there.")
    )

    class Meta:
        verbose_name = _("photo")
        verbose_name_plural = _("photos")
        ordering = ["position"]

    def __str__(self) -> str:
        return self.sha256[:12]


class SearchPart(models.Model):
    """The search of one child of the unit; `done` once, in the transaction that stores its candidates."""

    search = models.ForeignKey(Search, models.CASCADE, related_name="parts")
    unit = models.ForeignKey(Unit, models.PROTECT, related_name="+", verbose_name=_("unit"))
    position = models.PositiveSmallIntegerField(_("position"))
    done = models.BooleanField(_("done"), default=False)
    cameras = models.PositiveIntegerField(_("cameras"), default=0)
    crops = models.PositiveIntegerField(_("crops"), default=0)
    exact = models.BooleanField(_("exact"), default=True)
    seconds = models.FloatField(_("seconds"), default=0.0)

    class Meta:
        verbose_name = _("part")
        verbose_name_plural = _("parts")
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["search", "unit"], name="one_part_per_unit")]

    def __str__(self) -> str:
        return f"{self.search_id} {self.unit_id}"


class Candidate(models.Model):
    """A ranked crop of a search. Order is (distance, crop id); rank is its place in that order."""

    search = models.ForeignKey(Search, models.CASCADE, related_name="candidates")
    part = models.ForeignKey(SearchPart, models.CASCADE, related_name="candidates")
    crop = models.ForeignKey(Crop, models.CASCADE, related_name="+")
    distance = models.FloatField()
    cosine = models.FloatField()
    likelihood = models.FloatField()
    sighting = models.BigIntegerField(
        null=True, help_text=_("The burst it belongs to: the id of its first crop in time.")
    )

    class Meta:
        verbose_name = _("candidate")
        verbose_name_plural = _("candidates")
        ordering = ["distance", "crop_id"]
        constraints = [models.UniqueConstraint(fields=["search", "crop"], name="one_candidate_per_crop")]
        indexes = [models.Index(fields=["search", "distance", "crop"])]

    def __str__(self) -> str:
        return f"{self.search_id} {self.crop_id}"


class Verdict(models.Model):
    """What a person said of a crop; the latest one per crop counts, all are kept."""

    class Value(models.TextChoices):
        CONFIRMED = "confirmed", _("confirmed")
        REJECTED = "rejected", _("rejected")
        UNDECIDED = "undecided", _("undecided")

    search = models.ForeignKey(Search, models.CASCADE, related_name="verdicts")
    crop = models.ForeignKey(Crop, models.CASCADE, related_name="+", verbose_name=_("crop"))
    value = models.CharField(_("verdict"), max_length=10, choices=Value.choices)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("user"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("verdict")
        verbose_name_plural = _("verdicts")
        ordering = ["created_at", "id"]

    def __str__(self) -> str:
        return f"{self.crop_id} {self.value}"
