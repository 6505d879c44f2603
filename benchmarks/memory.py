"""Row j: the memory of a worker that serves a million rows, beyond the pages of the rows themselves."""

from __future__ import annotations

from benchmarks.city import FULL, TINY, Size, inside_city
from benchmarks.figure import Figure
from benchmarks.timing import resident_bytes

MEGABYTES = 300


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Megabytes that belong to the process after it has searched the whole city several times."""
    size = TINY if quick else FULL
    found = inside_city("memory", size)
    total = size.cameras * size.crops
    return Figure(
        "j",
        f"memory of a worker serving {total:,} rows, beyond the pages of the map",
        "MB",
        found.pop("ours"),
        target=None if quick else MEGABYTES,
        more_is_better=False,
        text=(
            "The process's own memory (RssAnon: interpreter, Django, torch, compiled kernels, model, ids, scores) at "
            f"its highest and after three searches of all {size.cameras:,} cameras with one segment each. "
            "Mapped pages (RssFile) are the system's to take back; they hold the rows and the programs' own code. "
            "Most of it is there before the first search (below): libraries, not rows."
        ),
        details=found,
    )


def inside(size: Size) -> dict[str, float]:
    """In the city: search all of it, part by part as a worker does, and look at the kernel's books."""
    from django.contrib.auth import get_user_model

    from benchmarks.city import query_photo
    from citysearch.engine import engine_of
    from citysearch.research.queries import active_model
    from citysearch.searches import pipeline
    from citysearch.searches.models import Search
    from reid_engine.photo import load_photo
    from units.models import Unit

    version, user = active_model(), get_user_model().objects.get(username="bench")
    assert version is not None
    query = engine_of(version).query_features([load_photo(query_photo())])
    before, highest = resident_bytes()["RssAnon"], 0
    for _ in range(3):
        search = Search.objects.create(
            unit=Unit.objects.get(depth=1), user=user, purpose="benchmark", case="b", model_version=version,
            features=query.tobytes(),
        )  # fmt: skip
        for part in pipeline.search_prepare(search.pk):
            pipeline.part_match(part)
            highest = max(highest, resident_bytes()["RssAnon"])
        pipeline.search_close(search.pk)
        highest = max(highest, resident_bytes()["RssAnon"])
    now = resident_bytes()
    return {
        "ours": highest / 1e6,
        "megabytes of its own before the first search": before / 1e6,
        "megabytes of its own after the last": now["RssAnon"] / 1e6,
        "megabytes of mapped pages after the last": now["RssFile"] / 1e6,
    }
