"""Crops, where their features lie, and the imports that brought them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from citysearch.research.models import ModelVersion
from units.models import Camera


class GalleryImport(models.Model):
    """One import. queued --> running --> done | failed. An administrator stops it: queued --> stopped, or running -->
    stopping --> stopped. One that failed, was stopped or killed is resumed by running it again.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        STOPPING = "stopping", _("being stopped")
        STOPPED = "stopped", _("stopped")

    class Layout(models.TextChoices):
        FOLDER = "folder", _("folder per camera")
        ZIP = "zip", _("ZIP")
        MANIFEST = "manifest", _("CSV manifest")
        MARKET1501 = "market1501", _("Market-1501 names")
        MSMT17 = "msmt17", _("MSMT17 names")
        CUHK03 = "cuhk03", _("CUHK03 names")
        GAT1400 = "gat1400", _("GA/T 1400 JSON")
        API = "api", _("API")

    layout = models.CharField(_("layout"), max_length=12, choices=Layout.choices)
    source = models.CharField(_("source"), max_length=500)
    camera_map = models.JSONField(_("names of cameras"), default=dict, blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("user"))
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.QUEUED)
    total = models.PositiveIntegerField(_("pictures"), default=0)
    added = models.PositiveIntegerField(_("added"), default=0)
    known = models.PositiveIntegerField(_("already known"), default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0)
    message = models.TextField(_("message"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("gallery import")
        verbose_name_plural = _("gallery imports")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.layout} {self.source}"


class ImportLine(models.Model):
    """What went wrong with one picture of an import; the import itself goes on."""

    gallery_import = models.ForeignKey(
        GalleryImport, models.CASCADE, related_name="lines", verbose_name=_("gallery import")
    )
    line = models.PositiveIntegerField(_("line"))
    name = models.CharField(_("name"), max_length=500)
    code = models.CharField(_("error"), max_length=40)
    message = models.TextField(_("message"))

    class Meta:
        verbose_name = _("import line")
        verbose_name_plural = _("import lines")
        ordering = ["line"]

    def __str__(self) -> str:
        return f"{self.line}: {self.name}"


class Crop(models.Model):
    """One picture of one person, one camera, one moment.

    `captured_at` is the camera's own clock: true time = captured_at - camera.clock_offset_s.
    `person_id` is known only in research and demo galleries; no page shows it, the search never reads it.
    """

    camera = models.ForeignKey(Camera, models.CASCADE, related_name="crops", verbose_name=_("camera"))
    sha256 = models.CharField(max_length=64)
    image = models.CharField(_("image"), max_length=200, help_text=_("Path below the media folder."))
    source_name = models.CharField(_("source name"), max_length=300, blank=True)
    captured_at = models.DateTimeField(_("captured at"))
    width = models.PositiveSmallIntegerField(_("width"))
    height = models.PositiveSmallIntegerField(_("height"))
    person_id = models.IntegerField(null=True, blank=True, editable=False)
    gallery_import = models.ForeignKey(
        GalleryImport, models.SET_NULL, null=True, blank=True, related_name="crops", verbose_name=_("gallery import")
    )

    class Meta:
        verbose_name = _("crop")
        verbose_name_plural = _("crops")
        ordering = ["captured_at", "id"]
        constraints = [models.UniqueConstraint(fields=["camera", "sha256"], name="one_crop_per_picture")]
        indexes = [models.Index(fields=["camera", "captured_at"])]

    def __str__(self) -> str:
        return f"{self.camera_id} {self.captured_at:%Y-%m-%d %H:%M:%S}"


class CameraCount(models.Model):
    """How many crops a camera has and when its newest was taken, kept by counting.py beside every write of crops.

    `last_captured` is the camera's own clock. A camera that never had a crop has no row.
    """

    camera = models.OneToOneField(Camera, models.CASCADE, primary_key=True, related_name="crop_count")
    crops = models.PositiveIntegerField(default=0)
    last_captured = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("crop count")
        verbose_name_plural = _("crop counts")

    def __str__(self) -> str:
        return f"{self.camera_id}: {self.crops}"


class Segment(models.Model):
    """The commit log of the feature store: only files named here are ever read."""

    camera = models.ForeignKey(Camera, models.CASCADE, related_name="segments", verbose_name=_("camera"))
    model_version = models.ForeignKey(
        ModelVersion, models.CASCADE, related_name="segments", verbose_name=_("model version")
    )
    path = models.CharField(_("path"), max_length=200, unique=True)
    rows = models.PositiveIntegerField(_("rows"))
    sha256 = models.CharField(max_length=64)
    start = models.FloatField(_("first captured"), help_text=_("Seconds since 1970, camera clock."))
    end = models.FloatField(_("last captured"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("feature segment")
        verbose_name_plural = _("feature segments")
        indexes = [models.Index(fields=["model_version", "camera"])]

    def __str__(self) -> str:
        return self.path


class ModelComparison(models.Model):
    """Two model versions asked for the same people. queued --> running --> done | failed.

    Its queries are drawn by lot from the gallery: comparing models is no way to search for somebody.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    first = models.ForeignKey(ModelVersion, models.CASCADE, related_name="+", verbose_name=_("first version"))
    second = models.ForeignKey(ModelVersion, models.CASCADE, related_name="+", verbose_name=_("second version"))
    queries = models.PositiveSmallIntegerField(_("queries"), default=8)
    compared = models.PositiveSmallIntegerField(_("compared"), default=0)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("user"))
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.QUEUED)
    message = models.TextField(_("message"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("model comparison")
        verbose_name_plural = _("model comparisons")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.first} / {self.second}"


class ComparedHit(models.Model):
    """A crop among the nearest of a query for either version. Ranks count from 1; null: beyond what was ranked."""

    comparison = models.ForeignKey(ModelComparison, models.CASCADE, related_name="hits")
    query = models.ForeignKey(Crop, models.CASCADE, related_name="+")
    crop = models.ForeignKey(Crop, models.CASCADE, related_name="+")
    first_rank = models.PositiveIntegerField(null=True)
    first_distance = models.FloatField(null=True)
    first_likelihood = models.FloatField(null=True)
    second_rank = models.PositiveIntegerField(null=True)
    second_distance = models.FloatField(null=True)
    second_likelihood = models.FloatField(null=True)

    class Meta:
        verbose_name = _("compared hit")
        verbose_name_plural = _("compared hits")

    def __str__(self) -> str:
        return f"{self.query_id} {self.crop_id}"
