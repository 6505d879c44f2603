"""From crops to segments and back: nothing twice, nothing lost, only committed rows read."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings

from citysearch.gallery import files, indexing, queries, services
from citysearch.gallery.claims import claimed
from citysearch.gallery.models import Crop, Segment
from citysearch.gallery.tests.conftest import NOON, TinyExtractor, at_once, items, make_version, picture
from reid_engine.errors import StoreCorrupt, StoreFull
from reid_engine.store import SegmentData, SegmentStore


def unindexed(cameras: list[Any], version: Any) -> list[int]:
    return list(indexing.pending_counts([camera.pk for camera in cameras], version))


def indexed_ids(cameras: list[Any], version: Any) -> list[int]:
    return sorted(queries.gallery_of(cameras, version).ids.tolist())


def all_ids() -> list[int]:
    return sorted(Crop.objects.values_list("id", flat=True))


def test_every_crop_gets_features_once(filled: list[Any], version: Any, extractor: TinyExtractor) -> None:
    ids = [camera.pk for camera in filled]
    assert services.index_cameras(ids, version, extractor=extractor) == 10
    assert services.index_cameras(ids, version, extractor=extractor) == 0
    assert extractor.seen == 10
    assert indexed_ids(filled, version) == all_ids()
    assert unindexed(filled, version) == []


def test_rows_carry_the_features_of_their_own_picture(
    filled: list[Any], version: Any, extractor: TinyExtractor
) -> None:
    services.index_cameras([camera.pk for camera in filled], version, extractor=extractor)
    rows = queries.gallery_of(filled, version)
    for crop_id, seen_at, features in zip(rows.ids, rows.seen_at, rows.features, strict=True):
        crop = Crop.objects.get(pk=crop_id)
        image = indexing._picture(crop)
        assert np.array_equal(features, extractor.crop_features([image])[0])
        assert seen_at == crop.captured_at.timestamp()


def test_new_crops_append_a_segment_and_leave_the_old_file_alone(
    filled: list[Any], version: Any, extractor: TinyExtractor
) -> None:
    camera = filled[0]
    services.index_cameras([camera.pk], version, extractor=extractor)
    first = Segment.objects.get(camera=camera)
    services.crops_add_bulk(camera, items(3, start=500))
    assert unindexed([camera], version) == [camera.pk]
    assert services.index_cameras([camera.pk], version, extractor=extractor) == 3
    assert Segment.objects.filter(camera=camera).count() == 2
    assert Segment.objects.filter(pk=first.pk, path=first.path, sha256=first.sha256).exists()


def test_rows_of_another_version_are_not_read(filled: list[Any], version: Any, extractor: TinyExtractor) -> None:
    services.index_cameras([camera.pk for camera in filled], version, extractor=extractor)
    other = make_version("other", state="registered")
    assert len(queries.gallery_of(filled, other)) == 0
    assert queries.gallery_of(filled, other).features.shape == (0, 24)
    assert set(unindexed(filled, other)) == {filled[0].pk, filled[2].pk}


def test_a_file_that_no_row_names_is_not_read(filled: list[Any], version: Any, extractor: TinyExtractor) -> None:
    camera = filled[0]
    store = indexing.segment_store()
    store.write(version.model_key, camera.pk, np.array([1]), np.array([0.0]), np.ones((1, 24), np.float16))
    assert len(queries.gallery_of([camera], version)) == 0


def test_a_kill_between_file_and_row_costs_nothing(
    filled: list[Any], version: Any, extractor: TinyExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: Any) -> None:
        raise SystemExit("killed")

    ids = [camera.pk for camera in filled]
    with monkeypatch.context() as broken:
        broken.setattr(indexing, "segment_create", killed)
        broken.setattr(indexing, "files_unnamed_delete", lambda store, paths: None)
        with pytest.raises(SystemExit):
            services.index_cameras(ids, version, extractor=extractor)
    assert len(list(Path(settings.STORE_DIR).rglob("*.seg"))) == 1
    assert len(queries.gallery_of(filled, version)) == 0
    services.index_cameras(ids, version, extractor=extractor)
    assert indexed_ids(filled, version) == all_ids()


def test_two_indexers_on_two_machines_index_no_crop_twice(
    file_database: None, filled: list[Any], version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No claim keeps them apart: both extract everything, whoever commits second drops what is there already."""
    monkeypatch.setattr(indexing, "claimed", lambda name, wait: nullcontext(True))
    meeting = threading.Barrier(2, timeout=120)

    class Slow(TinyExtractor):
        def crop_features(self, images: list[Any]) -> Any:
            meeting.wait()
            return super().crop_features(images)

    counts: list[int] = []
    at_once(lambda: counts.append(services.index_cameras([filled[0].pk], version, extractor=Slow())))
    assert sorted(counts) == [0, 6]
    ids = queries.gallery_of([filled[0]], version).ids.tolist()
    assert sorted(ids) == sorted(set(ids)) and len(ids) == 6
    assert len(list(Path(settings.STORE_DIR).rglob("*.seg"))) == 1


def test_two_indexers_on_one_machine_do_the_work_once(
    file_database: None, filled: list[Any], version: Any, extractor: TinyExtractor
) -> None:
    counts: list[int] = []
    at_once(lambda: counts.append(services.index_cameras([filled[0].pk], version, extractor=extractor)))
    assert sorted(counts) == [0, 6] and extractor.seen == 6


def test_a_slice_leaves_a_camera_that_is_being_indexed(
    filled: list[Any], version: Any, extractor: TinyExtractor
) -> None:
    ids = [camera.pk for camera in filled]
    with claimed(f"index-{version.model_key}-{filled[0].pk % indexing.CLAIMS}") as ours:
        assert ours
        assert indexing.index_slice(ids, version, 60, extractor) == indexing.Slice(4, "busy")
    assert indexing.index_slice(ids, version, 60, extractor) == indexing.Slice(6, "")
    assert indexed_ids(filled, version) == all_ids()


def test_slices_without_time_still_get_to_the_end(
    filled: list[Any], version: Any, extractor: TinyExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "EXTRACT_ROWS", 4)
    ids, slices = [camera.pk for camera in filled], []
    while not slices or slices[-1].left:
        slices.append(indexing.index_slice(ids, version, 0, extractor))
    assert [part.committed for part in slices] == [4, 2, 4]
    assert [part.left for part in slices] == ["time", "time", ""]
    assert extractor.seen == 10 and indexed_ids(filled, version) == all_ids()


def test_a_crop_erased_while_it_was_extracted_does_not_come_back(
    filled: list[Any], version: Any, extractor: TinyExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = filled[0]
    gone = Crop.objects.filter(camera=camera).first()
    extract = extractor.crop_features

    def erasing(images: list[Any]) -> Any:
        services.crops_erase([gone])
        return extract(images)

    monkeypatch.setattr(extractor, "crop_features", erasing)
    assert services.index_cameras([camera.pk], version, extractor=extractor) == 5
    assert gone.pk not in indexed_ids([camera], version)


def rows_of(camera: Any, dim: int) -> SegmentData:
    """Made features of all of a camera's crops."""
    ids = np.array(Crop.objects.filter(camera=camera).order_by("pk").values_list("pk", flat=True))
    return SegmentData(ids, np.arange(len(ids), dtype=np.float64), np.ones((len(ids), dim), np.float16))


def test_segments_of_several_cameras_leave_out_what_is_gone_or_there_already(
    filled: list[Any], version: Any, extractor: TinyExtractor
) -> None:
    first, _other, third = filled[:3]
    rows = {camera.pk: rows_of(camera, version.dim) for camera in (first, third)}
    services.crops_erase([Crop.objects.filter(camera=first).first()])
    assert indexing.segments_commit(rows, version) == 5 + 4
    assert indexed_ids(filled, version) == all_ids()
    services.crops_add_bulk(third, items(2, start=300))
    again = {first.pk: rows_of(first, version.dim), third.pk: rows_of(third, version.dim)}
    assert indexing.segments_commit(again | {10**6: rows[third.pk]}, version) == 2, "the last camera is not there"
    assert indexed_ids(filled, version) == all_ids()
    assert Segment.objects.count() == 3 == len(list(Path(settings.STORE_DIR).rglob("*.seg")))


def test_segments_of_several_cameras_are_committed_all_or_none(
    filled: list[Any], version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = SegmentStore.write

    def fails_at_last(store: SegmentStore, key: str, camera_id: int, *rows: Any) -> Any:
        if camera_id == filled[2].pk:
            raise StoreFull("no space")
        return write(store, key, camera_id, *rows)

    monkeypatch.setattr(SegmentStore, "write", fails_at_last)
    with pytest.raises(files.DiskFull):
        indexing.segments_commit({camera.pk: rows_of(camera, version.dim) for camera in filled[::2]}, version)
    assert not Segment.objects.exists() and not list(Path(settings.STORE_DIR).rglob("*.seg"))


def test_of_several_cameras_only_those_with_too_many_small_segments_are_compacted(
    filled: list[Any], version: Any, extractor: TinyExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for start in (300, 310, 320):
        services.crops_add_bulk(filled[0], items(2, start=start))
        services.index_cameras([camera.pk for camera in filled], version, extractor=extractor)
    monkeypatch.setattr(indexing, "SEGMENTS_MAX", 2)
    monkeypatch.setattr(indexing.segments_compact, "__defaults__", (2,))
    third = Segment.objects.get(camera=filled[2])
    indexing.cameras_compact([camera.pk for camera in filled], version)
    assert Segment.objects.filter(camera=filled[0]).count() == 1 and Segment.objects.filter(pk=third.pk).exists()
    assert indexed_ids(filled, version) == all_ids()


def test_many_small_segments_become_one_with_the_same_rows(
    cameras: list[Any], version: Any, extractor: TinyExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "SEGMENTS_MAX", 4)
    monkeypatch.setattr(indexing.segments_compact, "__defaults__", (4,))
    camera = cameras[0]
    for start in (30, 20, 40, 10):
        services.crops_add_bulk(camera, items(2, start=start))
        services.index_cameras([camera.pk], version, extractor=extractor)
    before = queries.gallery_of([camera], version)
    assert Segment.objects.count() == 4
    services.crops_add_bulk(camera, items(2, start=0))
    services.index_cameras([camera.pk], version, extractor=extractor)
    after = queries.gallery_of([camera], version)
    assert Segment.objects.count() == 1 == len(list(Path(settings.STORE_DIR).rglob("*.seg")))
    assert list(after.seen_at) == sorted(after.seen_at) and len(after) == 10
    rows = {int(pk): row.tobytes() for pk, row in zip(after.ids, after.features, strict=True)}
    assert all(rows[int(pk)] == row.tobytes() for pk, row in zip(before.ids, before.features, strict=True))


def test_a_reader_whose_segment_is_compacted_away_looks_again(
    filled: list[Any], version: Any, extractor: TinyExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = filled[0]
    services.index_cameras([camera.pk], version, extractor=extractor)
    services.crops_add_bulk(camera, items(2, start=300))
    services.index_cameras([camera.pk], version, extractor=extractor)
    look, looks = queries._paths, []

    def compacting(*args: Any) -> list[str]:
        paths = look(*args)
        if not looks:
            indexing.segments_compact(camera.pk, version, most=1)
        looks.append(paths)
        return paths

    monkeypatch.setattr(queries, "_paths", compacting)
    assert len(queries.gallery_of([camera], version)) == 8
    assert len(looks) > 1


def test_a_lost_segment_is_said_and_not_passed_over(filled: list[Any], version: Any, extractor: TinyExtractor) -> None:
    services.index_cameras([filled[0].pk], version, extractor=extractor)
    indexing.segment_store().delete(Segment.objects.get().path)
    with pytest.raises(StoreCorrupt):
        queries.gallery_of([filled[0]], version)


def test_a_crop_whose_picture_is_gone_does_not_stop_the_others(
    filled: list[Any], version: Any, extractor: TinyExtractor, caplog: pytest.LogCaptureFixture
) -> None:
    lost = Crop.objects.filter(camera=filled[0])[2]
    files.pictures_remove([lost.image])
    assert services.index_cameras([filled[0].pk], version, extractor=extractor) == 5
    assert f"crop {lost.pk} cannot be indexed" in caplog.text
    assert unindexed(filled, version)[0] == filled[0].pk


def test_progress_counts_every_crop_up_to_the_total(filled: list[Any], version: Any, extractor: TinyExtractor) -> None:
    told: list[tuple[int, int]] = []
    services.index_cameras(
        [camera.pk for camera in filled], version, lambda done, total: told.append((done, total)), extractor
    )
    assert told[-1] == (10, 10)
    assert [done for done, _total in told] == sorted(done for done, _total in told)


def test_a_new_version_is_built_beside_the_old_one(filled: list[Any], version: Any, extractor: TinyExtractor) -> None:
    services.index_cameras([camera.pk for camera in filled], version, extractor=extractor)
    new = make_version("new", state="registered")
    assert queries.index_progress(new) == {"crops": 10, "indexed": 0}
    assert services.version_index(new, extractor=extractor) == 10
    assert new.state == "ready"
    assert queries.index_progress(new) == queries.index_progress(version) == {"crops": 10, "indexed": 10}
    version.refresh_from_db()
    assert version.state == "active"
    assert indexed_ids(filled, version) == indexed_ids(filled, new) == all_ids()


def test_an_incomplete_version_stays_in_indexing(filled: list[Any], version: Any, extractor: TinyExtractor) -> None:
    files.pictures_remove([Crop.objects.first().image])
    new = make_version("new", state="registered")
    assert services.version_index(new, extractor=extractor) == 9
    assert new.state == "indexing"


def test_pictures_keep_their_bytes(cameras: list[Any]) -> None:
    data = picture(7, form="PNG")
    crop, created = services.crop_add(cameras[0], data, NOON)
    assert created and files.picture_read(crop.image) == data and crop.image.endswith(".png")
