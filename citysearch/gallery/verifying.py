"""Is everything that a row names on disk, byte for byte, and what is on disk that no row names?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
from django.conf import settings
from django.utils.translation import gettext as _

from citysearch.gallery import files
from citysearch.gallery.indexing import Ids, segment_store
from citysearch.gallery.models import Crop, Segment
from reid_engine.errors import StoreCorrupt

ROWS_AT_ONCE = 2000


@dataclass(frozen=True)
class StoreReport:
    """`faults` are sentences, one per row that does not hold what it says; `orphans` are harmless left-over files."""

    segments: int = 0
    pictures: int = 0
    faults: list[str] = field(default_factory=list)
    orphan_segments: list[str] = field(default_factory=list)
    orphan_pictures: list[str] = field(default_factory=list)


def store_check(pictures: bool = True, progress: Callable[[int, int], object] | None = None) -> StoreReport:
    """Read every committed segment, and every picture unless told not to, and compare it with its checksum.

    Also: no crop twice in one model version, no features without a crop, as many rows as the log says.
    """
    segments = list(Segment.objects.order_by("camera_id", "model_version_id", "id"))
    crops = Crop.objects.count() if pictures else 0
    total = len(segments) + crops
    faults: list[str] = []
    for done, fault in enumerate(_faults(segments, pictures)):
        faults += [fault] if fault else []
        if progress:
            progress(min(done + 1, total), total)
    return StoreReport(len(segments), crops, faults, orphan_segments(segments), orphan_pictures())


def store_sweep(report: StoreReport) -> int:
    """Remove the orphans that are older than an hour; returns how many."""
    named = Segment.objects.filter(path__in=report.orphan_segments).values_list("path", flat=True)
    swept = segment_store().sweep(set(Segment.objects.values_list("path", flat=True)) | set(named))
    return len(swept) + len(files.pictures_sweep(report.orphan_pictures))


def orphan_segments(segments: list[Segment]) -> list[str]:
    """Files in the feature store that none of the rows names, unfinished ones included."""
    root = Path(settings.STORE_DIR)
    named = {segment.path for segment in segments}
    found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return sorted(path for path in found if path not in named)


def orphan_pictures() -> list[str]:
    """Files in the crop folder that no crop names."""
    found = [image for image, _path in files.pictures_on_disk()]
    orphans: list[str] = []
    for start in range(0, len(found), ROWS_AT_ONCE):
        part = found[start : start + ROWS_AT_ONCE]
        named = set(Crop.objects.filter(image__in=part).values_list("image", flat=True))
        orphans += [image for image in part if image not in named]
    return orphans


def _faults(segments: list[Segment], pictures: bool) -> Iterator[str]:
    """One item per segment and picture: what is wrong with it, or nothing."""
    for _camera, group in groupby(segments, key=lambda segment: segment.camera_id):
        yield from _camera_faults(list(group))
    for crop in Crop.objects.order_by("id").iterator(chunk_size=ROWS_AT_ONCE) if pictures else ():
        yield _picture_fault(crop)


def _camera_faults(segments: list[Segment]) -> Iterator[str]:
    """One item per segment of one camera, in the order of their model versions."""
    known = np.fromiter(Crop.objects.filter(camera_id=segments[0].camera_id).values_list("id", flat=True), np.int64)
    seen: dict[int, Ids] = {}
    for segment in segments:
        before = seen.get(segment.model_version_id, np.empty(0, np.int64))
        fault, ids = _segment_fault(segment, before, known)
        seen[segment.model_version_id] = np.concatenate([before, ids])
        yield fault


def _segment_fault(segment: Segment, before: Ids, known: Ids) -> tuple[str, Ids]:
    """What is wrong with a segment, and its ids; `before` are those of earlier ones, `known` the camera's crops."""
    store, nothing = segment_store(), np.empty(0, np.int64)
    try:
        store.verify(segment.path, segment.sha256)
        ids = store.open(segment.path).ids
    except StoreCorrupt as error:
        return str(error), nothing
    words = {"path": segment.path, "rows": segment.rows, "found": len(ids)}
    if len(ids) != segment.rows:
        return _("The segment %(path)s has %(found)d rows, committed were %(rows)d.") % words, ids
    if np.isin(ids, before).any():
        return _("The segment %(path)s repeats crops of another segment.") % words, ids
    if not np.isin(ids, known).all():
        return _("The segment %(path)s holds features of crops that are erased.") % words, ids
    return "", ids


def _picture_fault(crop: Crop) -> str:
    words = {"crop": crop.pk, "image": crop.image}
    try:
        data = files.picture_read(crop.image)
    except OSError:
        return _("The picture of crop %(crop)d is missing: %(image)s.") % words
    if files.sha256_of(data) != crop.sha256:
        return _("The picture of crop %(crop)d was altered: %(image)s.") % words
    return ""
