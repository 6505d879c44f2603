"""Two model versions side by side: the same crops as queries, the same gallery, where their ranks differ."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from citysearch.engine import engine_of
from citysearch.errors import ServiceError
from citysearch.gallery import files
from citysearch.gallery.models import ComparedHit, Crop, ModelComparison
from citysearch.gallery.queries import gallery_of
from citysearch.gallery.queueing import sent
from citysearch.research.models import ModelVersion
from citysearch.research.queries import unindexed_crops
from reid_engine.errors import ReidError
from reid_engine.photo import load_crop
from units.access import User
from units.models import Camera

SHOWN = 10
DEPTH = 2000
DRAWS = 20  # how often a crop is drawn again that is there already, before fewer are taken

State = ModelComparison.State


class Found(NamedTuple):
    """Where one version has a crop."""

    rank: int
    distance: float
    likelihood: float


def comparison_start(first: ModelVersion, second: ModelVersion, queries: int, user: User) -> ModelComparison:
    """Queue a comparison. Raises ServiceError for a version beside itself, or one whose index is not complete."""
    if first == second:
        raise ServiceError(_("Choose two different model versions."))
    for version in (first, second):
        if missing := unindexed_crops(version):
            words = {"name": version.name, "count": missing}
            raise ServiceError(_("%(name)s lacks the features of %(count)d crops. Index the gallery first.") % words)
    row = ModelComparison.objects.create(first=first, second=second, queries=queries, user_id=user.pk)
    comparison_request(row)
    return row


def comparison_request(row: ModelComparison) -> None:
    """Queue it, on commit."""
    from citysearch.gallery.tasks import compare_task

    transaction.on_commit(partial(sent, compare_task, row.pk))


def comparison_run(row: ModelComparison) -> None:
    """Compare, query by query; run again, it starts anew with the same queries. What fails is said in the row."""
    row.hits.all().delete()
    _update(row, state=State.RUNNING, compared=0, message="")
    try:
        crops = drawn(row.queries, seed=row.pk)
        for count, query in enumerate(crops, start=1):
            ComparedHit.objects.bulk_create(_hits(row, query))
            _update(row, compared=count, queries=len(crops))
        _update(row, state=State.DONE, finished_at=timezone.now())
    except (ServiceError, ReidError, OSError) as error:
        _update(row, state=State.FAILED, message=str(error), finished_at=timezone.now())


def drawn(count: int, seed: int) -> list[Crop]:
    """So many crops of the gallery, by lot; fewer where there are no more. The same seed draws the same."""
    ends = Crop.objects.order_by("pk")
    first, last = ends.first(), ends.last()
    if first is None or last is None:
        raise ServiceError(_("The gallery is empty."))
    lot = random.Random(seed)
    found: dict[int, Crop] = {}
    for _draw in range(count + DRAWS):
        crop = Crop.objects.filter(pk__gte=lot.randint(first.pk, last.pk)).order_by("pk").first()
        if crop is not None and len(found) < count:
            found[crop.pk] = crop
    return list(found.values())


def _hits(row: ModelComparison, query: Crop) -> Iterator[ComparedHit]:
    """The nearest of either version, with their ranks in both."""
    first, second = (_ranked(version, query) for version in (row.first, row.second))
    near = [crop_id for found in (first, second) for crop_id, place in found.items() if place.rank <= SHOWN]
    for crop_id in dict.fromkeys(near):
        values = {
            f"{side}_{name}": value
            for side, found in (("first", first), ("second", second))
            for name, value in (found[crop_id]._asdict() if crop_id in found else {}).items()
        }
        yield ComparedHit(comparison=row, query=query, crop_id=crop_id, **values)


def _ranked(version: ModelVersion, query: Crop) -> dict[int, Found]:
    """crop id -> where it is among the crops of all other cameras, as a search with the query's picture finds it."""
    engine = engine_of(version)
    features = engine.query_features([load_crop(files.picture_read(query.image))])
    rows = gallery_of(Camera.objects.exclude(pk=query.camera_id), version)
    ranking = engine.rank(features, rows.features, rows.ids, DEPTH)
    triples = zip(ranking.ids, ranking.distances, ranking.likelihoods, strict=True)
    return {int(pk): Found(rank, float(far), float(like)) for rank, (pk, far, like) in enumerate(triples, start=1)}


def _update(row: ModelComparison, **fields: object) -> None:
    ModelComparison.objects.filter(pk=row.pk).update(**fields)
    row.refresh_from_db()
