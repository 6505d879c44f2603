"""An evaluation as large as MSMT17's, 82,161 gallery crops, in bounded memory: measured, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

GALLERY = 82_161
MEASURE = """
import sys, tracemalloc
import numpy as np
from reid_engine.contracts import Ranking
from reid_engine.data import Dataset, Record
from reid_engine.evaluation.evaluate import study

queries, gallery, memory = map(int, sys.argv[1:])
rng = np.random.default_rng(0)

class Cosine:
    calibration = None

    def rank(self, query, features, ids, limit):
        cosine = (features.astype(np.float32) @ query).clip(-1, 1)
        order = np.argsort(-cosine, kind="stable")
        far = (1 - cosine[order]).astype(np.float32)
        return Ranking(ids[order], far, cosine[order], np.exp(-far), len(ids), True)
    def situation(self, query, rows):
        return None
    def absence(self, query, hits):
        return None

def part(name, count):
    vectors = rng.normal(size=(count, 32)).astype(np.float32)
    people = rng.integers(0, 3060, count)
    cameras = rng.integers(1, 16, count)
    records = tuple(Record(name, int(person), int(camera)) for person, camera in zip(people, cameras))
    return records, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

(asked, wanted), (shown, there) = part("query", queries), part("gallery", gallery)
dataset = Dataset("synthetic", (), asked, shown, vectors={"query": wanted, "gallery": there})
tracemalloc.start()  # numpy tells it of every array; a process's own peak would be that of the test runner it came of
report = study(Cosine(), dataset, pair_memory=memory).report
assert report.queries == queries and 0 < report.rows[0].mean_ap < 0.1
print(tracemalloc.get_traced_memory()[1] / 2**20)
"""


def peak(queries: int, memory: int) -> float:
    """MiB that an evaluation of so many queries adds to its process at the most."""
    command = [sys.executable, "-c", MEASURE, str(queries), str(GALLERY), str(memory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


@pytest.mark.slow
def test_memory_is_that_of_one_tile_however_many_queries_there_are() -> None:
    """A tile of 64 MiB holds 12 queries against this gallery; MSMT17's 11,659 queries are more tiles of the same."""
    few, many = peak(24, 64), peak(120, 64)
    print(f"peak above the features: {few:.0f} MiB for 24 queries, {many:.0f} MiB for 120")
    assert many < few + 40
    assert many < 4 * 64
