"""Two model versions asked for the same people."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.test import Client

from citysearch.errors import ServiceError
from citysearch.gallery import comparing, services, tasks
from citysearch.gallery.comparisons import figures, pairs_of
from citysearch.gallery.models import ComparedHit, Crop
from citysearch.gallery.tests.conftest import Queued
from citysearch.searches.tests import cast


class HalfBlind(cast.PaintEngine):
    """Sees the upper half of a picture only."""

    def crop_features(self, images: Any) -> Any:
        return super().crop_features(images) * HALF.astype(np.float16)

    def query_features(self, photos: Any) -> Any:
        return super().query_features(photos) * HALF.astype(np.float32)


HALF = np.arange(cast.DIM) < cast.DIM // 2


@pytest.fixture
def versions(cameras: list[Any], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Two versions, the gallery of three people before four cameras indexed with both."""
    from citysearch import engine as door

    door.engines_forget()
    monkeypatch.setattr(door, "_load", lambda version: HalfBlind() if version.name == "half" else cast.PaintEngine())
    found = [cast.make_version(), cast.make_version("half", "ready", "e" * 64)]
    cast.walk(cameras, (1, 2, 3))
    for version in found:
        cast.index(cameras, version)
    return found


def test_the_same_queries_are_ranked_by_both(versions: list[Any], administrator: Any, no_broker: Queued) -> None:
    row = comparing.comparison_start(*versions, 5, administrator)
    tasks.compare_task.run(row.pk)
    row.refresh_from_db()
    assert (row.state, row.compared, row.message) == ("done", row.queries, "")
    pairs = pairs_of(row)
    assert len(pairs) == row.queries and [pair.shared for pair in pairs] == sorted(pair.shared for pair in pairs)
    for pair in pairs:
        for sides in (pair.first, pair.second):
            assert [side.rank for side in sides] == list(range(1, comparing.SHOWN + 1))
            assert all(side.crop.camera_id != pair.query.camera_id for side in sides)
        assert {side.crop.person_id for side in pair.first[:9]} == {pair.query.person_id}  # paint tells people apart
    assert any(side.moved for pair in pairs for side in pair.first)
    rank = {side.crop.pk: side.rank for side in pairs[0].second}
    assert all(rank.get(side.crop.pk, side.other) == side.other for side in pairs[0].first)


def test_it_starts_anew_with_the_same_queries(versions: list[Any], administrator: Any, no_broker: Queued) -> None:
    row = comparing.comparison_start(*versions, 3, administrator)
    comparing.comparison_run(row)
    before = set(row.hits.values_list("query", "crop", "first_rank", "second_rank"))
    comparing.comparison_run(row)
    assert set(row.hits.values_list("query", "crop", "first_rank", "second_rank")) == before


def test_what_cannot_be_compared_is_said(versions: list[Any], administrator: Any, no_broker: Queued) -> None:
    with pytest.raises(ServiceError, match="two different"):
        comparing.comparison_start(versions[0], versions[0], 3, administrator)
    with pytest.raises(ServiceError, match="lacks the features of 36 crops"):
        comparing.comparison_start(versions[0], cast.make_version("new", "registered", "d" * 64), 3, administrator)
    row = comparing.comparison_start(*versions, 3, administrator)
    services.crops_erase(Crop.objects.all())
    comparing.comparison_run(row)
    assert row.state == "failed" and "empty" in row.message


def test_erased_crops_leave_the_comparison(versions: list[Any], administrator: Any, no_broker: Queued) -> None:
    row = comparing.comparison_start(*versions, 3, administrator)
    comparing.comparison_run(row)
    gone = row.hits.first().crop
    assert services.crops_erase([gone]).is_complete
    assert not ComparedHit.objects.filter(crop_id=gone.pk).exists() and row.hits.exists()


def test_the_figures_of_both_bundles_stand_side_by_side(versions: list[Any]) -> None:
    versions[0].metrics = {"dataset": "Market-1501", "attention_map": 0.8}
    versions[1].metrics = {"dataset": "Market-1501", "attention_map": 0.85, "loss": 5.5, "module": {}}
    assert figures(*versions) == [
        ("dataset", "Market-1501", "Market-1501", ""),
        ("attention_map", "80.0 %", "85.0 %", "+5.0"),
        ("loss", "-", "5.5", ""),
    ]


def test_only_who_may_choose_the_version_compares(versions: list[Any], administrator: Any, no_broker: Queued) -> None:
    from conftest import make_user
    from units.models import Unit

    client = Client()
    client.force_login(administrator)
    chosen = {"action": "compare", "_selected_action": [version.pk for version in versions]}
    form = client.post("/admin/research/modelversion/", chosen)
    assert form.url == f"/admin/gallery/modelcomparison/add/?first={versions[0].pk}&second={versions[1].pk}"
    given = {"first": versions[0].pk, "second": versions[1].pk, "queries": 2}
    page = client.post("/admin/gallery/modelcomparison/add/", given, follow=True)
    assert b"data-ended" not in page.content and page.status_code == 200
    client.force_login(make_user("east", "administrator", Unit.objects.get(code="330102")))
    assert client.post("/admin/gallery/modelcomparison/add/", given).status_code == 403
    assert client.get("/admin/gallery/modelcomparison/").status_code == 403
