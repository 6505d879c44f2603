"""Feature segments survive what disks and processes do to them: kills, full disks, flipped bytes, missing files."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_engine.errors import BundleMismatch, StoreCorrupt, StoreFull
from reid_engine.store import SegmentFacts, SegmentStore, Window, gather

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path: Path) -> SegmentStore:
    return SegmentStore(tmp_path / "features")


def put(store: SegmentStore, times: list[float], dim: int = 4, first_id: int = 100) -> SegmentFacts:
    """A segment whose row i has id first_id + i and features all equal to i."""
    rows = len(times)
    features = np.repeat(np.arange(rows, dtype=np.float16)[:, None], dim, axis=1)
    return store.write("model-1", 7, np.arange(first_id, first_id + rows), np.array(times, dtype=np.float64), features)


def files(store: SegmentStore) -> list[str]:
    return sorted(p.relative_to(store.root).as_posix() for p in store.root.rglob("*") if p.is_file())


def test_rows_come_back_in_time_order_with_their_own_ids_and_features(store: SegmentStore) -> None:
    facts = put(store, [30.0, 10.0, 20.0])
    segment = store.open(facts.path)
    assert segment.ids.tolist() == [101, 102, 100]
    assert segment.seen_at.tolist() == [10.0, 20.0, 30.0]
    assert segment.features.tolist() == [[1] * 4, [2] * 4, [0] * 4]
    assert (facts.rows, facts.dim, facts.start, facts.end) == (3, 4, 10.0, 30.0)
    assert files(store) == [facts.path] and facts.path.startswith("model-1/7/")


def test_equal_times_are_ordered_by_id_so_the_order_of_import_leaves_no_trace(store: SegmentStore) -> None:
    ids, times = np.array([5, 3, 4]), np.zeros(3)
    facts = store.write("m", 1, ids, times, np.ones((3, 2), np.float16))
    assert store.open(facts.path).ids.tolist() == [3, 4, 5]


def test_an_opened_segment_is_mapped_aligned_and_cannot_be_changed(store: SegmentStore) -> None:
    segment = store.open(put(store, [1.0, 2.0, 3.0], dim=5).path)
    for array in (segment.ids, segment.seen_at, segment.features):
        assert array.ctypes.data % 64 == 0 and not array.flags.owndata
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize(
    ("ids", "times", "features"),
    [
        ([], [], np.empty((0, 4))),
        ([1, 2], [1.0], np.ones((2, 4))),
        ([1, 2], [1.0, 2.0], np.ones(2)),
        ([1, 1], [1.0, 2.0], np.ones((2, 4))),
        ([1], [np.nan], np.ones((1, 4))),
        ([1], [1.0], np.full((1, 4), np.inf)),
    ],
)
def test_rows_that_cannot_be_stored_are_refused_and_leave_no_file(
    store: SegmentStore, ids: list[int], times: list[float], features: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="segment"):
        store.write("m", 1, np.array(ids, np.int64), np.array(times), features)
    assert not store.root.exists()


@pytest.mark.parametrize("key", ["", "..", "a/b", "../x", ".hidden", "ü", "x" * 129])
def test_a_model_key_cannot_lead_out_of_the_store(store: SegmentStore, key: str) -> None:
    with pytest.raises(ValueError, match="model key"):
        store.write(key, 1, np.array([1]), np.array([1.0]), np.ones((1, 2), np.float16))


@pytest.mark.parametrize("path", ["/etc/hostname", "../outside.seg", "m/../../outside.seg"])
def test_a_path_cannot_lead_out_of_the_store(store: SegmentStore, path: str) -> None:
    with pytest.raises(StoreCorrupt, match="outside"):
        store.open(path)


def test_every_single_flipped_byte_is_found(store: SegmentStore) -> None:
    facts = put(store, [1.0, 2.0])
    store.verify(facts.path, facts.sha256)
    file = store.root / facts.path
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(StoreCorrupt, match="checksum"):
            store.verify(facts.path, facts.sha256)


@given(cut=st.integers(0, 10_000), noise=st.binary(max_size=200))
@settings(max_examples=80, deadline=None)
def test_a_cut_or_foreign_file_is_refused_when_opened(
    tmp_path_factory: pytest.TempPathFactory, cut: int, noise: bytes
) -> None:
    store = SegmentStore(tmp_path_factory.mktemp("cut"))
    facts = put(store, [1.0, 2.0])
    whole = (store.root / facts.path).read_bytes()
    for content in (whole[: cut % len(whole)], whole + noise + b"!", noise):
        (store.root / facts.path).write_bytes(content)
        with pytest.raises(StoreCorrupt) as caught:
            store.open(facts.path)
        assert caught.value.data["path"] == facts.path


def test_a_missing_segment_is_reported_by_name(store: SegmentStore) -> None:
    for call in (lambda: store.open("m/1/gone.seg"), lambda: store.verify("m/1/gone.seg", "0" * 64)):
        with pytest.raises(StoreCorrupt, match=r"m/1/gone\.seg"):
            call()


def test_deleting_removes_the_file_and_twice_is_no_error(store: SegmentStore) -> None:
    facts = put(store, [1.0])
    segment = store.open(facts.path)
    store.delete(facts.path)
    store.delete(facts.path)
    assert files(store) == []
    assert segment.ids.tolist() == [100]


def test_a_person_can_be_erased_from_a_segment(store: SegmentStore) -> None:
    old = put(store, [1.0, 2.0, 3.0])
    new = store.rewrite_without(old.path, [101, 999])
    assert new is not None and new.path != old.path
    assert store.open(new.path).ids.tolist() == [100, 102]
    assert (new.rows, new.start, new.end) == (2, 1.0, 3.0)
    assert store.open(old.path).ids.tolist() == [100, 101, 102], "the old rows stay until the new facts are committed"
    assert store.rewrite_without(old.path, [100, 101, 102]) is None
    assert len(files(store)) == 2


def test_a_full_disk_leaves_nothing_behind_and_says_so(store: SegmentStore) -> None:
    first = put(store, [1.0])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StoreFull, match="disk is full") as caught:
            put(store, [float(i) for i in range(2000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert isinstance(caught.value, OSError) and "directory" in caught.value.data
    assert pickle.loads(pickle.dumps(caught.value)).data == caught.value.data
    assert files(store) == [first.path]
    store.verify(first.path, first.sha256)


WRITER = """
import sys, numpy as np
from pathlib import Path
from reid_engine.store import SegmentStore
store = SegmentStore(Path(sys.argv[1]))
for turn in range(100_000):
    facts = store.write("m", 1, np.arange(500), np.arange(500.0), np.full((500, 64), turn % 1000, np.float16))
    print(facts.path, facts.sha256, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_no_corrupt_segment(store: SegmentStore) -> None:
    committed: dict[str, str] = {}
    for turn in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(store.root)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.02 + 0.013 * turn)
        writer.kill()
        lines = writer.stdout.read().splitlines()
        writer.wait()
        committed |= dict(line.split() for line in lines if len(line.split()) == 2 and len(line.split()[1]) == 64)
    assert committed
    for path, sha256 in committed.items():
        store.verify(path, sha256)
    for path in files(store):
        assert path.endswith(".tmp") or len(store.open(path).ids) == 500


def test_sweeping_removes_only_old_files_that_no_row_names(store: SegmentStore) -> None:
    kept, orphan, young = put(store, [1.0]), put(store, [2.0]), put(store, [3.0])
    unfinished = store.root / "model-1/7/killed.tmp"
    unfinished.write_bytes(b"half")
    foreign = store.root / "README"
    foreign.write_text("not ours")
    for path in (kept.path, orphan.path, "model-1/7/killed.tmp", "README"):
        os.utime(store.root / path, (time.time() - 7200, time.time() - 7200))
    assert store.sweep({kept.path}) == sorted([orphan.path, "model-1/7/killed.tmp"])
    assert files(store) == sorted(["README", kept.path, young.path])


def test_gathering_whole_segments_does_not_copy_them(store: SegmentStore) -> None:
    path = put(store, [1.0, 2.0, 3.0]).path
    for windows in (None, [(0.0, 5.0)], [(1.0, 3.0)], [(0.0, 2.0), (2.0, 9.0)]):
        ids, seen_at, features = gather(store, [path], windows)
        assert len(ids) == len(seen_at) == 3
        assert not features.blocks[0].flags.owndata and not features.blocks[0].flags.writeable


def test_gathering_nothing_gives_empty_arrays_of_the_right_shape(store: SegmentStore) -> None:
    path, other = put(store, [1.0], dim=6).path, put(store, [2.0], dim=6).path
    assert gather(store, [], None)[2].shape == (0, 0)
    assert gather(store, [path], [(5.0, 6.0)])[2].shape == (0, 6)
    assert gather(store, [path, other], [])[2].shape == (0, 6)


def test_segments_of_two_feature_sizes_do_not_mix(store: SegmentStore) -> None:
    paths = [put(store, [1.0], dim=4).path, put(store, [1.0], dim=8).path]
    with pytest.raises(BundleMismatch, match=r"\[4, 8\]"):
        gather(store, paths, None)


times_of = st.lists(st.integers(0, 20).map(float), min_size=1, max_size=8)
windows_of = st.lists(st.tuples(st.integers(-2, 22).map(float), st.integers(-2, 22).map(float)), max_size=5)


@given(segments=st.lists(times_of, max_size=4), windows=st.none() | windows_of)
@settings(max_examples=150, deadline=None)
def test_gathering_equals_looking_at_every_row(
    tmp_path_factory: pytest.TempPathFactory, segments: list[list[float]], windows: list[Window] | None
) -> None:
    store = SegmentStore(tmp_path_factory.mktemp("gather"))
    paths = [put(store, times, first_id=100 * i).path for i, times in enumerate(segments)]
    ids, seen_at, features = gather(store, paths, windows)
    expected = {
        100 * i + row: time_
        for i, times in enumerate(segments)
        for row, time_ in enumerate(times)
        if windows is None or any(start <= time_ <= end for start, end in windows)
    }
    assert dict(zip(ids.tolist(), seen_at.tolist(), strict=True)) == expected
    assert len(ids) == len(expected)
    assert np.array(features).tolist() == [[id_ % 100] * features.shape[1] for id_ in ids.tolist()]


FEW_FILES = """
import resource, sys
from pathlib import Path
import numpy as np
from reid_engine.errors import TooManyFiles
from reid_engine.store import SegmentStore, gather
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
store = SegmentStore(Path(sys.argv[1]))
one = np.array([1]), np.array([2.0]), np.ones((1, 4), np.float16)
paths = [store.write("model", camera, *one).path for camera in range(60)]
assert len(gather(store, paths[:20])[0]) == 20
try:
    gather(store, paths)
except TooManyFiles as error:
    print(error)
assert len(gather(store, paths[40:])[0]) == 20
"""


def test_more_segments_than_files_may_be_open_are_no_damage(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FEW_FILES, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "40 at most" in done.stdout and "ulimit -n" in done.stdout
