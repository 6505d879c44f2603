"""How far long work is, as the administration shows it: imports, and the indexing with model versions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Count
from django.utils.translation import gettext as _

from citysearch.gallery.indexing import pending_counts
from citysearch.gallery.models import CameraCount, Crop, GalleryImport, ModelComparison
from citysearch.gallery.queries import index_progress
from citysearch.gallery.reasons import REASONS
from citysearch.research.models import ModelVersion
from citysearch.research.queries import active_model


@dataclass(frozen=True)
class Work:
    """One bar: `total` 0 while it is not known; `ended` when nothing moves any more, well or badly (`failed`)."""

    title: str
    state: str
    done: int
    total: int
    ended: bool
    failed: bool = False
    message: str = ""
    facts: tuple[tuple[str, int], ...] = ()

    @property
    def percent(self) -> int:
        """Whole per cent, 100 only when all is done."""
        return 100 * self.done // self.total if self.total else 0


def import_work(row: GalleryImport) -> list[Work]:
    """An import and, once it brought something, the indexing of its cameras."""
    state = GalleryImport.State
    facts = ((_("added"), row.added), (_("already known"), row.known), (_("refused"), row.refused))
    reading = Work(
        title=_("Pictures"), state=row.get_state_display(), total=row.total,
        done=row.added + row.known + row.refused, ended=row.state in (state.DONE, state.FAILED, state.STOPPED),
        failed=row.state == state.FAILED, message=row.message, facts=facts,
    )  # fmt: skip
    version = active_model()
    if version is None or not row.added:
        return [reading]
    cameras = list(Crop.objects.filter(gallery_import=row).order_by().values_list("camera_id", flat=True).distinct())
    return [reading, cameras_work(cameras, version)] if cameras else [reading]


def cameras_work(camera_ids: Collection[int], version: ModelVersion) -> Work:
    """The features of all crops of these cameras."""
    counts = CameraCount.objects.filter(camera_id__in=camera_ids).values_list("crops", flat=True)
    return _features(version, sum(counts), sum(pending_counts(camera_ids, version).values()))


def version_work(version: ModelVersion) -> Work:
    """The features of the whole gallery. A version that nobody asked to index does not move."""
    counts = index_progress(version)
    moving = version.state in (ModelVersion.State.INDEXING, ModelVersion.State.ACTIVE)
    missing = max(0, counts["crops"] - counts["indexed"])
    return _features(version, counts["crops"], missing, moving)


def comparison_work(row: ModelComparison) -> Work:
    """The queries of a comparison."""
    failed = row.state == ModelComparison.State.FAILED
    return Work(
        title=_("Queries"), state=row.get_state_display(), done=row.compared, total=row.queries,
        ended=row.finished_at is not None, failed=failed, message=row.message,
    )  # fmt: skip


def refusals_by_reason(row: GalleryImport) -> list[tuple[str, int]]:
    """How many pictures of an import were refused for each reason, most frequent first."""
    counts = row.lines.order_by().values_list("code").annotate(n=Count("pk")).order_by("-n", "code")
    return [(str(REASONS.get(code, code)), count) for code, count in counts]


def _features(version: ModelVersion, total: int, missing: int, moving: bool = True) -> Work:
    words = {False: _("complete"), True: _("being indexed") if moving else _("waits to be indexed")}
    return Work(
        title=_("Features of %(name)s") % {"name": version.name}, state=words[missing > 0], done=total - missing,
        total=total, ended=not missing or not moving, facts=((_("crops without features"), missing),),
    )  # fmt: skip
