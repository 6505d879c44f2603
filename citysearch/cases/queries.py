"""What is evidence of a search (the hits that were added, and those that were confirmed), and what the log says."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from citysearch.cases.access import log_of
from citysearch.cases.models import Evidence, LogEntry
from citysearch.gallery.access import crops_of
from citysearch.gallery.models import Crop
from citysearch.gallery.queries import crop_url, true_time
from citysearch.searches.models import Candidate, Search, Verdict
from citysearch.searches.queries import verdicts_latest
from units.access import User
from units.tree import unit_paths

Piece = dict[str, Any]


def log_lines(user: User, words: str = "", action: str = "") -> QuerySet[LogEntry]:
    """The lines an auditor may read, newest first, narrowed by words and action."""
    lines = log_of(user)
    if action in LogEntry.Action.values:
        lines = lines.filter(action=action)
    found = Q(case__icontains=words) | Q(purpose__icontains=words) | Q(user__icontains=words)
    return lines.filter(found) if words else lines


def evidence_rows(search: Search) -> list[dict[str, Any]]:
    """The hits that were added, in the order in which they were."""
    rows = search.evidence.select_related("user")
    return [{"crop": row.crop_id, "user": row.user.get_username(), "time": _local(row.created_at)} for row in rows]


def evidence_crops(search: Search) -> set[int]:
    """The ids of added and confirmed hits, whoever may see them."""
    said = dict(search.verdicts.order_by("id").values_list("crop", "value"))
    confirmed = {crop for crop, value in said.items() if value == Verdict.Value.CONFIRMED}
    return confirmed | set(search.evidence.values_list("crop", flat=True))


def evidence_pieces(search: Search, user: User) -> list[Piece]:
    """Added and confirmed hits in order of true time, with all that is known of each; only what the user may see."""
    verdicts = {row["crop"]: row for row in verdicts_latest(search)}
    added = {row.crop_id: row for row in search.evidence.select_related("user")}
    crops = crops_of(user).filter(pk__in=evidence_crops(search)).select_related("camera__unit")
    found = {crop.pk: crop for crop in crops}
    hits = search.candidates.filter(crop__in=found)
    paths = unit_paths({crop.camera.unit_id: crop.camera.unit for crop in found.values()}.values())
    pieces = [
        _piece(hit, found[hit.crop_id], verdicts.get(hit.crop_id), added.get(hit.crop_id))
        | {"unit_path": paths[found[hit.crop_id].camera.unit_id]}
        for hit in hits
    ]
    return sorted(pieces, key=lambda piece: (piece["time"], piece["crop"]))


def _piece(hit: Candidate, crop: Crop, verdict: dict[str, Any] | None, added: Evidence | None) -> Piece:
    camera = crop.camera
    return {
        "crop": crop.pk,
        "sha256": crop.sha256,
        "image": crop.image,
        "thumbnail": crop_url(crop),
        "camera": camera.code,
        "camera_name": camera.name,
        "longitude": camera.longitude,
        "latitude": camera.latitude,
        "time": _local(true_time(crop)),
        "camera_time": _local(crop.captured_at),
        "clock_offset_s": camera.clock_offset_s,
        "clock_uncertainty_s": camera.clock_uncertainty_s,
        "likelihood": hit.likelihood,
        "distance": hit.distance,
        "sighting": hit.sighting or hit.crop_id,
        "verdict": verdict["verdict"] if verdict else None,
        "verdict_by": verdict["user"] if verdict else None,
        "added_by": added.user.get_username() if added else None,
    }


def _local(moment: Any) -> str:
    return timezone.localtime(moment, timezone.get_default_timezone()).isoformat()
