"""Row j: the memory of a worker that serves a million rows, beyond the pages of the rows themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

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
            "The process's own memory (RssAnon: interpreter, Django, compiled kernels, model, ids, scores) at its "
            f"highest, looked at every 5 ms in three searches of all {size.cameras:,} cameras with one segment each. "
            "Mapped pages (RssFile) are the system's to take back; they hold the rows and the programs' own code. "
            "A worker of a CPU searches without torch, which took 268 MB more. Added up library by library: "
            "interpreter and numpy 13 MB, Django and the apps 82, Numba 18, onnxruntime with the network 15, the "
            "bundle 3, the onnx package 3, compiled kernels, threads and their buffers 41; the rest are the rows' ids, "
            "times and scores and the path of a search. Two threads that embed crops keep some 30 more. An explanation "
            "of a hit loads torch, which then stays."
        ),
        details=found,
    )


def inside(size: Size) -> dict[str, float]:
    """In the city: search all of it, task by task as a worker does, and look at the kernel's books all the while."""
    from django.contrib.auth import get_user_model

    from benchmarks.city import query_photo
    from citysearch.engine import engine_of
    from citysearch.research.queries import active_model
    from citysearch.searches.models import Search
    from citysearch.searches.tasks import search_run
    from reid_engine.photo import load_photo
    from units.models import Unit

    libraries = resident_bytes()["RssAnon"]
    version, user = active_model(), get_user_model().objects.get(username="bench")
    assert version is not None
    query = engine_of(version).query_features([load_photo(query_photo())])
    before = resident_bytes()["RssAnon"]
    with _highest() as highest:
        for _ in range(3):
            search = Search.objects.create(
                unit=Unit.objects.get(depth=1), user=user, purpose="benchmark", case="b", model_version=version,
                features=query.tobytes(),
            )  # fmt: skip
            search_run.run(str(search.pk))
            search.refresh_from_db()
            assert search.state == Search.State.DONE, search.error
    now = resident_bytes()
    return {
        "ours": max(highest) / 1e6,
        "megabytes of its own with libraries and Django, before a model is loaded": libraries / 1e6,
        "megabytes of its own before the first search": before / 1e6,
        "megabytes of its own after the last": now["RssAnon"] / 1e6,
        "megabytes of mapped pages after the last": now["RssFile"] / 1e6,
    }


@contextmanager
def _highest() -> Iterator[list[int]]:
    """RssAnon of this process, again and again while the block runs."""
    seen, over = [resident_bytes()["RssAnon"]], Event()

    def look() -> None:
        while not over.wait(0.005):
            seen.append(resident_bytes()["RssAnon"])

    watch = Thread(target=look, daemon=True)
    watch.start()
    try:
        yield seen
    finally:
        over.set()
        watch.join()
