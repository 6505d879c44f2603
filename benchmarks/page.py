"""Row k: what the server does for the page of a large city, and from a verdict to the new ranking and path."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.city import FULL, TINY, Size, inside_city
from benchmarks.figure import Figure
from benchmarks.timing import interleaved, seconds

SECONDS = 1.5
HITS = 500  # what the page reads at first


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Seconds of all requests of the page of a finished search, one after the other; without the browser's own."""
    size = TINY if quick else FULL
    found = inside_city("page", size)
    grids = 1 + size.districts * (1 + size.streets * (1 + size.regions * (1 + size.grids)))
    return Figure(
        "k",
        f"page of {size.cameras:,} cameras, {grids:,} units, 2,000 hits: the server's part, request after request",
        "s",
        found.pop("ours"),
        target=None if quick else SECONDS,
        more_is_better=False,
        text=(
            "Page, tree, panel, map areas, cameras, the first hits, status and path of a finished search of a "
            "district of 100,000 rows, each request alone in one process; what the browser adds is not in it. A "
            "verdict's way is that of a worker: the district ranked again, candidates stored, sightings and the path "
            "drawn. That was wanted within 0.3 s for the page and one for an operator; where it takes longer, it "
            "is the rows of 2,000 candidates and the path through as many cameras, not the ranking."
        ),
        details=found,
    )


def inside(size: Size) -> dict[str, float]:
    """In the city: a finished search of a district, every request of its page, then verdicts."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    from benchmarks.city import query_photo
    from citysearch.engine import engine_of
    from citysearch.research.queries import active_model
    from citysearch.searches import pipeline
    from citysearch.searches.models import Search, Verdict
    from reid_engine.photo import load_photo
    from units.models import Unit

    version, user = active_model(), get_user_model().objects.get(username="bench")
    city, district = (Unit.objects.filter(depth=depth).order_by("path")[0] for depth in (1, 2))
    assert version is not None
    query = engine_of(version).query_features([load_photo(query_photo())])
    search = Search.objects.create(
        unit=district, user=user, purpose="benchmark", case="b", model_version=version, features=query.tobytes()
    )
    for part in pipeline.search_prepare(search.pk):
        pipeline.part_match(part)
    pipeline.search_close(search.pk)
    client = Client()
    client.force_login(user)
    api = f"/api/v1/searches/{search.pk}"
    addresses = {
        "the page": f"/search/{search.pk}",
        "a branch of the tree": f"/units/tree?parent={city.pk}",
        "the panel of the district": f"/units/{district.pk}/panel",
        "the areas of the map": f"/api/v1/units/geojson/?parent={district.pk}",
        "every camera of the city": "/api/v1/cameras/geojson/",
        f"the first {HITS} hits": f"{api}/hits/?page_size={HITS}",
        "the status": f"/search/{search.pk}/status",
        "the path": f"{api}/trajectory.geojson",
    }
    best = interleaved({name: partial(_asked, client, address) for name, address in addresses.items()}, 3)
    judged = iter(search.candidates.order_by("distance").values_list("crop_id", flat=True)[:20])

    def verdict() -> None:
        Verdict.objects.create(search=search, crop_id=next(judged), value="confirmed", user=user)
        pipeline.search_rescore(search.pk)

    rescored = seconds(verdict, 4)
    return {
        "ours": sum(best.values()),
        "seconds from a verdict to the new ranking and path, stored": rescored,
        **{f"seconds for {name}": value for name, value in best.items()},
    }


def _asked(client: Any, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
