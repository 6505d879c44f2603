"""What the gallery, which lies below, asks of the searches (citysearch.gallery.signals); and deleted searches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.signals import post_delete

from citysearch.gallery.signals import Trace, crops_erasing, purge_due
from citysearch.searches.explanations import explanations_left, explanations_remove
from citysearch.searches.models import Candidate, Search


def crops_forget(sender: Any, ids: Collection[int], **kwargs: Any) -> Trace:
    """Take the sightings of these crops out of every path, and have those searches drawn again once that is committed.

    Whatever becomes of the drawing, what is committed names none of the crops.
    """
    shown = _sightings_showing(ids)
    changed = [pk for pk, sightings in sorted(shown.items()) if _forget(pk, sightings)]
    named = Candidate.objects.filter(search__in=list(shown), sighting__in=ids).exclude(crop__in=ids)
    named.update(sighting=None)
    return Trace("paths", len(changed), partial(_naming, changed, ids))


def explanations_forget(sender: Any, ids: Collection[int], **kwargs: Any) -> Trace:
    """Delete the overlays that show these crops, at once and once more when no drawing can begin any more."""
    pairs = list(Candidate.objects.filter(crop__in=ids).order_by().values_list("search", "crop"))
    searches = {search for search, _crop in pairs}
    shown = explanations_left(searches, ids)
    explanations_remove(pairs)
    transaction.on_commit(partial(explanations_remove, pairs), robust=True)
    return Trace("explanations", shown, partial(explanations_left, searches, ids))


def photos_forget(sender: Any, now: datetime, **kwargs: Any) -> Trace:
    """Remove the photos and query features that are beyond their retention, and photos that no search names."""
    from citysearch.searches.forgetting import photos_due, photos_purge

    return Trace("photos", photos_purge(now), lambda: len(photos_due(now)))


def folder_forget(sender: Any, instance: Search, **kwargs: Any) -> None:
    """The photos of a deleted search go once that is committed."""
    from citysearch.searches.photos import photos_remove

    transaction.on_commit(partial(photos_remove, instance.pk), robust=True)


def connect() -> None:
    crops_erasing.connect(crops_forget, dispatch_uid="searches")
    crops_erasing.connect(explanations_forget, dispatch_uid="explanations")
    purge_due.connect(photos_forget, dispatch_uid="searches")
    post_delete.connect(folder_forget, sender=Search, dispatch_uid="searches")


def _sightings_showing(ids: Collection[int]) -> dict[UUID, set[int]]:
    """{search: the sightings any of these crops belong to}."""
    shown: dict[UUID, set[int]] = defaultdict(set)
    rows = Candidate.objects.filter(crop__in=ids).order_by().values_list("search", "crop", "sighting")
    for search, crop, sighting in rows:
        shown[search].add(crop if sighting is None else sighting)
    return shown


def _forget(pk: UUID, sightings: Collection[int]) -> bool:
    """Take the sightings out of one search's path; False where no path is drawn yet."""
    from citysearch.searches.paths import path_without
    from citysearch.searches.tasks import redraw_request

    search = Search.objects.select_for_update().only("trajectory").filter(pk=pk).first()
    if search is None or search.trajectory is None:
        return False
    Search.objects.filter(pk=pk).update(trajectory=path_without(search.trajectory, sightings))
    transaction.on_commit(partial(redraw_request, pk), robust=True)
    return True


def _naming(searches: Collection[UUID], ids: Collection[int]) -> int:
    """How many of the searches have a path that names any of the crops."""
    from citysearch.searches.paths import path_crops

    paths = Search.objects.filter(pk__in=searches).values_list("trajectory", flat=True)
    return sum(bool(path_crops(path).intersection(ids)) for path in paths if path)
