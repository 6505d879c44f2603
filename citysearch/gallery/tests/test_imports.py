"""Imports: what comes in comes in once and whole, what is broken is a line, what stops half way goes on."""

from __future__ import annotations

import errno
import io
import os
import signal
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import translation
from PIL import Image

from citysearch.errors import Conflict, ServiceError
from citysearch.gallery import adding, files, layouts, services, writers
from citysearch.gallery.models import Crop, GalleryImport
from citysearch.gallery.tests.conftest import NOON, at_once, items, picture
from reid_engine.errors import BadPhoto
from reid_engine.photo import load_crop
from reid_engine.picture_writer import PictureWriter


def folder_of(root: Path, pictures: dict[str, bytes]) -> Path:
    for name, data in pictures.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def pictures_of(cameras: list[str], each: int = 3) -> dict[str, bytes]:
    return {
        f"{code}/20240501T1200{number:02d}.jpg": picture(1000 * index + number)
        for index, code in enumerate(cameras)
        for number in range(each)
    }


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be enormous, in 60 bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def lines_of(row: GalleryImport) -> dict[str, str]:
    return dict(row.lines.values_list("name", "code"))


def on_disk() -> list[str]:
    return [image for image, _path in files.pictures_on_disk()]


def named() -> list[str]:
    return sorted(Crop.objects.values_list("image", flat=True))


def test_a_folder_per_camera_with_times_in_the_names(cameras: list[Any], tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", pictures_of(["cam-1", "cam-3"]))
    row = services.crops_import(source, "folder")
    assert (row.state, row.total, row.added, row.known, row.refused) == ("done", 6, 6, 0, 0)
    assert Crop.objects.filter(camera=cameras[0]).count() == Crop.objects.filter(camera=cameras[2]).count() == 3
    first = Crop.objects.get(camera=cameras[0], source_name="cam-1/20240501T120000.jpg")
    assert first.captured_at == datetime(2024, 5, 1, 4, 0, tzinfo=UTC)  # noon in Asia/Shanghai
    assert (first.width, first.height) == (48, 96)
    assert files.picture_read(first.image) == picture(0)


def test_the_same_import_twice_adds_nothing(cameras: list[Any], tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", pictures_of(["cam-1"]))
    services.crops_import(source, "folder")
    before = on_disk()
    row = services.crops_import(source, "folder")
    assert (row.state, row.added, row.known, row.refused) == ("done", 0, 3, 0)
    assert Crop.objects.count() == 3 and on_disk() == before == named()


def test_the_same_picture_twice_in_one_import_is_one_crop_per_camera(cameras: list[Any], tmp_path: Path) -> None:
    same = picture(1)
    source = folder_of(tmp_path / "in", {"cam-1/a.jpg": same, "cam-1/b.jpg": same, "cam-2/a.jpg": same})
    row = services.crops_import(source, "folder")
    assert (row.added, row.known) == (2, 1)
    assert sorted(Crop.objects.values_list("camera__code", flat=True)) == ["cam-1", "cam-2"]


def test_broken_pictures_are_lines_and_the_rest_comes_in(cameras: list[Any], tmp_path: Path) -> None:
    good = picture(1)
    source = folder_of(
        tmp_path / "in",
        {
            "cam-1/1-good.jpg": good,
            "cam-1/2-text.jpg": b"this is no picture",
            "cam-1/3-cut.jpg": picture(2, (200, 400))[:900],
            "cam-1/4-bomb.png": png_header(30_000, 30_000),
            "cam-1/5-small.png": picture(3, (8, 8), "PNG"),
            "cam-1/6-empty.jpg": b"",
            "cam-1/7-heavy.jpg": good + b"\0" * (20 * 1024 * 1024),
            "nowhere/8-good.jpg": picture(4),
            "cam-1/9-good.webp": picture(5, form="WEBP"),
            "cam-1/.DS_Store": b"junk",
        },
    )
    row = services.crops_import(source, "folder")
    assert (row.state, row.total, row.added, row.refused) == ("done", 9, 2, 7)
    assert lines_of(row) == {
        "cam-1/2-text.jpg": "not_a_picture",
        "cam-1/3-cut.jpg": "truncated",
        "cam-1/4-bomb.png": "too_large",
        "cam-1/5-small.png": "too_small",
        "cam-1/6-empty.jpg": "not_a_picture",
        "cam-1/7-heavy.jpg": "too_large",
        "nowhere/8-good.jpg": "unknown_camera",
    }
    assert all(line.message for line in row.lines.all())
    assert on_disk() == named()


def test_a_picture_far_wider_than_a_database_column_is_a_line(cameras: list[Any]) -> None:
    wide = io.BytesIO()
    Image.new("1", (40_000, 40)).save(wide, "PNG")
    report = services.crops_add_bulk(cameras[0], [services.CropItem(wide.getvalue(), NOON, "wide.png")])
    assert [outcome.code for outcome in report.refused] == ["too_large"]


def test_a_manifest_gives_times_people_and_errors_by_line(cameras: list[Any], tmp_path: Path) -> None:
    folder_of(tmp_path, {f"p/{number}.jpg": picture(number) for number in range(6)})
    (tmp_path.parent / "outside.jpg").write_bytes(picture(99))
    (tmp_path / "list.csv").write_text(
        "path,camera_code,captured_at,person_id\n"
        "p/0.jpg,cam-1,2024-05-01T12:00:00+08:00,7\n"
        "p/1.jpg,cam-2,2024-05-01 12:00:01,\n"
        "p/2.jpg,cam-9,2024-05-01T12:00:02Z,1\n"
        "p/3.jpg,cam-1,yesterday,1\n"
        "p/4.jpg,cam-1,2024-05-01T12:00:04Z,seven\n"
        "p/missing.jpg,cam-1,2024-05-01T12:00:05Z,1\n"
        "../outside.jpg,cam-1,2024-05-01T12:00:06Z,1\n"
        "p/5.jpg\n",
        encoding="utf-8-sig",
    )
    row = services.crops_import(tmp_path / "list.csv", "manifest")
    assert (row.state, row.total, row.added, row.refused) == ("done", 8, 2, 6)
    assert {line.line: line.code for line in row.lines.all()} == {
        4: "unknown_camera",
        5: "bad_time",
        6: "bad_person",
        7: "missing",
        8: "unsafe_name",
        9: "bad_line",
    }
    first, second = Crop.objects.order_by("captured_at")
    assert (first.person_id, second.person_id) == (7, None)
    assert second.captured_at - first.captured_at == timedelta(seconds=1)


@pytest.mark.parametrize("content", [b"camera,time\nx,y\n", b"\xff\xfe\x00\x01", b""])
def test_a_manifest_without_its_columns_fails_as_a_whole(cameras: list[Any], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    row = services.crops_import(tmp_path / "list.csv", "manifest")
    assert row.state == "failed" and "manifest" in row.message


def test_a_zip_with_nested_folders_and_hostile_members(cameras: list[Any], tmp_path: Path) -> None:
    source = zip_of(
        tmp_path / "in.zip",
        {
            "export/cam-1/monday/1714536000.jpg": picture(1),
            "cam-2/2024-05-01_12-00-00.250.png": picture(2, form="PNG"),
            "../../cam-1/evil.jpg": picture(3),
            "/cam-1/absolute.jpg": picture(4),
            "cam-1/bomb.jpg": b"\0" * 5_000_000,
            "cam-1/inner.zip": b"PK\x03\x04",
            "__MACOSX/cam-1/._x.jpg": b"resource fork",
            "cam-1/.hidden": b"",
        },
    )
    row = services.crops_import(source, "zip")
    assert (row.state, row.total, row.added) == ("done", 6, 2)
    assert lines_of(row) == {
        "../../cam-1/evil.jpg": "unsafe_name",
        "/cam-1/absolute.jpg": "unsafe_name",
        "cam-1/bomb.jpg": "bomb",
        "cam-1/inner.zip": "not_a_picture",
    }
    times = {crop.camera_id: crop.captured_at for crop in Crop.objects.all()}
    assert times[cameras[0].pk] == datetime.fromtimestamp(1714536000, UTC)
    assert times[cameras[1].pk] == datetime(2024, 5, 1, 4, 0, 0, 250000, tzinfo=UTC)
    assert not (tmp_path.parent / "cam-1").exists() and on_disk() == named()


def test_a_zip_may_bring_its_own_manifest(cameras: list[Any], tmp_path: Path) -> None:
    text = "path,camera_code,captured_at\na/1.jpg,cam-4,2024-05-01T12:00:00Z\na/2.jpg,cam-4,2024-05-01T12:00:01Z\n"
    source = zip_of(tmp_path / "in.zip", {"manifest.csv": text.encode(), "a/1.jpg": picture(1)})
    row = services.crops_import(source, "zip")
    assert (row.added, lines_of(row)) == (1, {"a/2.jpg": "missing"})
    assert Crop.objects.get().captured_at == NOON


def test_a_zip_with_a_flipped_byte_loses_that_picture_only(cameras: list[Any], tmp_path: Path) -> None:
    source = zip_of(tmp_path / "in.zip", {"cam-1/a.jpg": picture(1), "cam-1/b.jpg": picture(2)})
    data = bytearray(source.read_bytes())
    data[data.index(b"cam-1/a.jpg") + 60] ^= 0xFF
    source.write_bytes(data)
    row = services.crops_import(source, "zip")
    assert (row.state, row.added, row.refused) == ("done", 1, 1)
    assert lines_of(row) == {"cam-1/a.jpg": "truncated"}


def test_what_is_no_zip_fails_with_a_message(cameras: list[Any], tmp_path: Path) -> None:
    (tmp_path / "in.zip").write_bytes(b"not a zip")
    row = services.crops_import(tmp_path / "in.zip", "zip")
    assert row.state == "failed" and "ZIP" in row.message


def test_market_names_give_person_camera_and_time(cameras: list[Any], tmp_path: Path) -> None:
    names = ["0002_c1s1_000451_03.jpg", "0002_c3s2_000100_01.jpg", "-1_c1s1_000001_01.jpg", "notes.jpg"]
    folder_of(tmp_path / "bounding_box_test", {name: picture(index) for index, name in enumerate(names)})
    folder_of(tmp_path / "query", {"0002_c2s1_000500_01.jpg": picture(9)})
    row = services.crops_import(tmp_path, "market1501")
    assert (row.total, row.added) == (4, 2)
    assert lines_of(row) == {"-1_c1s1_000001_01.jpg": "junk", "notes.jpg": "bad_name"}
    first = Crop.objects.get(camera__code="cam-1")
    assert first.person_id == 2
    assert first.captured_at == datetime(2024, 3, 1, tzinfo=UTC) + timedelta(seconds=451 / 25)
    assert Crop.objects.get(camera__code="cam-3").captured_at == datetime(2024, 3, 1, 2, 0, 4, tzinfo=UTC)


def test_market_cameras_stand_for_the_cameras_given(cameras: list[Any], tmp_path: Path) -> None:
    folder_of(tmp_path, {"0002_c1s1_000451_03.jpg": picture(1), "0002_c6s1_000451_03.jpg": picture(2)})
    row = services.crops_import(tmp_path, "market1501", camera_map={"1": "cam-4"})
    assert Crop.objects.get().camera.code == "cam-4"
    assert lines_of(row) == {"0002_c6s1_000451_03.jpg": "unknown_camera"}


def test_an_administrator_imports_into_his_own_units_only(cameras: list[Any], tmp_path: Path) -> None:
    from conftest import make_user
    from units.models import Unit

    east = make_user("east", "administrator", Unit.objects.get(code="330102"))
    source = folder_of(tmp_path / "in", pictures_of(["cam-1", "cam-3"], each=1))
    row = services.crops_import(source, "folder", user=east)
    assert Crop.objects.get().camera.code == "cam-3"
    assert set(lines_of(row).values()) == {"unknown_camera"}


@pytest.fixture
def helped(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Writers from the first picture on; how many pictures each of their answers held. None is left at the end."""
    answers: list[int] = []
    written = PictureWriter.written

    def noted(writer: PictureWriter, pictures: Any, side_max: int) -> Any:
        sizes = written(writer, pictures, side_max)
        answers.append(sum(size is not None for size in sizes))
        return sizes

    monkeypatch.setattr(writers, "ENOUGH", 1)
    monkeypatch.setattr(adding, "THREADS", 2)
    monkeypatch.setattr(PictureWriter, "written", noted)
    before = children()
    yield answers
    assert children() <= before


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_writers_bring_in_what_threads_bring_in(
    cameras: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helped: list[int]
) -> None:
    monkeypatch.setattr(adding, "PIECE", 3)
    good = {f"{number}.{form.lower()}": picture(number, form=form) for number, form in enumerate(["JPEG", "PNG"] * 4)}
    bad = {"text.jpg": b"this is no picture", "cut.jpg": picture(20)[:-99], "small.png": picture(21, (8, 8), "PNG")}
    folder_of(tmp_path, good | bad | {"old.jpg": picture(22)})
    lines = [f"{name},CAMERA,2024-05-01T12:00:00Z,7\n" for name in [*good, *bad, "0.jpeg"]]
    text = "path,camera_code,captured_at,person_id\n" + "".join(lines) + "old.jpg,CAMERA,1024-05-01T12:00:00Z,7\n"
    found = []
    for code, enough in (("cam-1", 99), ("cam-2", 1)):
        monkeypatch.setattr(writers, "ENOUGH", enough)
        (tmp_path / "list.csv").write_text(text.replace("CAMERA", code))
        row = services.crops_import(tmp_path / "list.csv", "manifest")
        crops = Crop.objects.filter(gallery_import=row).order_by("sha256")
        facts = list(crops.values_list("sha256", "source_name", "captured_at", "width", "height", "person_id"))
        found.append((row.state, row.added, row.known, list(row.lines.values_list("line", "code", "message")), facts))
        assert {files.picture_read(crop.image) for crop in crops} == set(good.values())
    assert found[0] == found[1] and found[0][:3] == ("done", 8, 1) and len(found[0][3]) == 4
    assert sum(helped) == 8 and on_disk() == named()


def test_an_import_goes_on_when_a_writer_is_killed(
    cameras: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helped: list[int]
) -> None:
    """It may have written pictures of which it has not told."""
    written = PictureWriter.written

    def killed(writer: PictureWriter, pictures: Any, side_max: int) -> Any:
        if helped:
            written(writer, pictures, side_max)
            os.kill(writer._process.pid, signal.SIGKILL)
            raise BrokenPipeError("gone")
        return written(writer, pictures, side_max)

    monkeypatch.setattr(adding, "BATCH", 4)
    monkeypatch.setattr(PictureWriter, "written", killed)
    row = services.crops_import(folder_of(tmp_path / "in", pictures_of(["cam-1"], each=20)), "folder")
    assert (row.state, row.added, row.refused) == ("done", 20, 0)
    assert on_disk() == named() and len(helped) >= 2


def test_ctrl_c_leaves_no_writer_and_no_picture_without_a_row(
    cameras: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helped: list[int]
) -> None:
    monkeypatch.setattr(adding, "BATCH", 4)
    source = folder_of(tmp_path / "in", pictures_of(["cam-1"], each=20))

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        services.crops_import(source, "folder", progress=interrupt)
    assert Crop.objects.count() == 4 and sum(helped) >= 8 and on_disk() == named()


def test_a_full_disk_of_a_writer_is_said_in_words(
    cameras: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helped: list[int]
) -> None:
    """What a writer cannot write we try ourselves."""
    monkeypatch.setattr(PictureWriter, "written", lambda writer, pictures, side_max: [None] * len(pictures))
    with monkeypatch.context() as full:
        FullDisk(full, writes=1)
        row = services.crops_import(folder_of(tmp_path / "in", pictures_of(["cam-1"], each=4)), "folder")
    assert row.state == "failed" and "disk is full" in row.message and on_disk() == []


def test_without_writers_the_import_does_it_all(
    cameras: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helped: list[int]
) -> None:
    monkeypatch.setattr("reid_engine.picture_writer.sys.executable", "/nowhere/python")
    row = services.crops_import(folder_of(tmp_path / "in", pictures_of(["cam-1"], each=4)), "folder")
    assert (row.state, row.added) == ("done", 4) and helped == []


def test_a_large_picture_and_one_behind_a_link_come_in_whole(cameras: list[Any], tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((400, 800), 90).convert("RGB").save(buffer, "PNG")
    given = {"large.png": buffer.getvalue(), "small.jpg": picture(1)}
    for name, data in given.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "link.jpg").symlink_to(tmp_path / "small.jpg")
    lines = ["path,camera_code,captured_at", f"large.png,cam-1,{NOON:%FT%TZ}", f"link.jpg,cam-1,{NOON:%FT%TZ}"]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    assert services.crops_import(tmp_path / "manifest.csv", "manifest").added == 2
    assert len(given["large.png"]) > 2 * layouts.FIRST_BYTES
    assert {files.picture_read(crop.image) for crop in Crop.objects.all()} == set(given.values())


def test_no_row_names_a_picture_that_could_not_be_flushed(cameras: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "_sync_file_system", full)
    with translation.override("zh-hans"), pytest.raises(files.DiskFull, match="磁盘已满"):
        services.crops_add_bulk(cameras[0], items(3))
    assert not Crop.objects.exists() and not list(files.pictures_on_disk())


class FullDisk:
    """os.write that works a number of times, then the disk is full after half of the bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
        self.left, self.write = writes, os.write
        monkeypatch.setattr(files.os, "write", self)

    def __call__(self, handle: int, data: Any) -> int:
        if self.left <= 0:
            self.write(handle, bytes(data)[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        self.left -= 1
        return self.write(handle, data)


@pytest.mark.parametrize(("threads", "kept"), [(1, {4}), (3, {0, 4})])
def test_a_full_disk_fails_the_import_and_keeps_what_was_committed(
    cameras: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, kept: set[int]
) -> None:
    """Of several threads one may already write a picture of the second batch when the last of the first is due."""
    monkeypatch.setattr(adding, "BATCH", 4)
    monkeypatch.setattr(adding, "THREADS", threads)
    source = folder_of(tmp_path / "in", pictures_of(["cam-1"], each=10))
    with monkeypatch.context() as full:
        FullDisk(full, writes=6)
        row = services.crops_import(source, "folder")
    assert row.state == "failed" and "disk is full" in row.message
    assert row.total == 10 and row.added == Crop.objects.count() and row.added in kept
    assert on_disk() == named(), "no half-written file, no file without a row"
    again = services.crops_import(source, "folder")
    assert (again.state, again.added, again.known) == ("done", 10 - row.added, row.added)
    assert on_disk() == named()


def test_a_database_without_space_is_a_full_disk_too(
    cameras: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(adding, "_rows_add", full)
    monkeypatch.setattr(adding, "BATCH", 4)
    row = services.crops_import(folder_of(tmp_path / "in", pictures_of(["cam-1"], each=10)), "folder")
    assert row.state == "failed" and "disk is full" in row.message
    assert on_disk() == []


def test_reasons_are_in_the_language_of_who_asked(cameras: list[Any]) -> None:
    """Pictures are checked by threads, which know of no request."""
    with translation.override("zh-hans"):
        refused = services.crops_add_bulk(cameras[0], [services.CropItem(b"no picture", NOON)]).refused
        with pytest.raises(BadPhoto) as error:
            load_crop(b"no picture")
        assert [outcome.message for outcome in refused] == [str(error.value)]
    with pytest.raises(BadPhoto) as error:
        load_crop(b"no picture")
    assert refused[0].message != str(error.value)


def test_a_manifest_follows_links_that_stay_below_it(cameras: list[Any], tmp_path: Path) -> None:
    inside, outside = (
        folder_of(tmp_path / "in", {"p/1.jpg": picture(1)}),
        folder_of(tmp_path, {"out/2.jpg": picture(2)}),
    )
    (inside / "there").symlink_to(inside / "p")
    (inside / "away").symlink_to(outside / "out")
    (inside / "p/file.jpg").symlink_to(outside / "out/2.jpg")
    names = ["there/1.jpg", "p/../away/2.jpg", "p/file.jpg", "a\0b.jpg", f"{outside}/out/2.jpg"]
    rows = [f"{name},cam-1,2024-05-01T12:00:00Z\n" for name in names]
    (inside / "list.csv").write_text("path,camera_code,captured_at\n" + "".join(rows))
    row = services.crops_import(inside / "list.csv", "manifest")
    assert row.added == 1 and [line.code for line in row.lines.all()] == ["unsafe_name"] * 4


def test_a_batch_of_many_cameras_keeps_what_each_has_apart(cameras: list[Any]) -> None:
    """The same picture is known before one camera and new before another."""
    services.crops_add_bulk(cameras[0], items(4))
    report = services.crops_add_all((camera, item) for item in items(6) for camera in cameras[:3])
    assert (len(report.added), report.known) == (3 * 6 - 4, 4)
    assert Crop.objects.count() == 18 and on_disk() == named()


def test_ctrl_c_keeps_the_committed_batches_and_running_again_goes_on(
    cameras: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "BATCH", 4)
    source = folder_of(tmp_path / "in", pictures_of(["cam-1"], each=10))

    def interrupt(done: int, total: int) -> None:
        if done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        services.crops_import(source, "folder", progress=interrupt)
    row = GalleryImport.objects.get()
    assert (row.state, row.added) == ("failed", 8) and Crop.objects.count() == 8
    assert on_disk() == named()
    assert services.crops_import(source, "folder").added == 2


def test_the_same_row_run_again_counts_its_own_crops_as_added(cameras: list[Any], tmp_path: Path) -> None:
    """A killed worker's task is delivered again with the same import."""
    source = folder_of(tmp_path / "in", pictures_of(["cam-1"], each=4) | {"cam-1/z.jpg": b"broken"})
    row = services.import_create("folder", str(source))
    services.import_run(row, source)
    GalleryImport.objects.update(state="running")
    services.import_run(row, source)
    assert (row.state, row.added, row.known, row.refused) == ("done", 4, 0, 1)
    assert row.lines.count() == 1
    with pytest.raises(Conflict):
        services.import_run(row, source)


def test_a_kill_between_file_and_row_leaves_only_an_orphan(cameras: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*args: Any, **kwargs: Any) -> None:
        raise SystemExit("killed")

    with monkeypatch.context() as broken:
        broken.setattr(adding.Batch, "_commit", killed)
        broken.setattr(adding, "_discard", lambda drafts: None)
        with pytest.raises(SystemExit):
            services.crops_add_bulk(cameras[0], items(2))
    assert len(on_disk()) == 2 and not Crop.objects.exists()
    report = services.crops_add_bulk(cameras[0], items(2))
    assert len(report.added) == 2
    assert set(named()) < set(on_disk()) and len(on_disk()) == 4


def test_two_imports_of_the_same_pictures_at_once(file_database: None, cameras: list[Any], tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", pictures_of(["cam-1", "cam-2"], each=20))
    start = threading.Barrier(2, timeout=120)
    rows: list[GalleryImport] = []

    def work() -> None:
        start.wait()
        rows.append(services.crops_import(source, "folder"))

    at_once(work)
    assert [row.state for row in rows] == ["done", "done"]
    assert sum(row.added for row in rows) == Crop.objects.count() == 40
    assert all(row.added + row.known == 40 for row in rows)
    assert on_disk() == named()


def test_the_second_of_two_writers_takes_its_own_file_away_again(
    file_database: None, cameras: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have checked and written the same picture before either commits."""
    meeting = threading.Barrier(2, timeout=120)
    flush = files.pictures_flush
    added: list[int] = []

    def meet() -> None:
        flush()
        meeting.wait()

    monkeypatch.setattr(files, "pictures_flush", meet)
    at_once(lambda: added.append(len(services.crops_add_bulk(cameras[0], items(5)).added)))
    assert sorted(added) == [0, 5]
    assert on_disk() == named() and len(named()) == 5


def test_a_crop_that_cannot_be_used_is_refused_with_its_reason(cameras: list[Any]) -> None:
    with pytest.raises(ServiceError) as error:
        services.crop_add(cameras[0], b"no picture", NOON)
    assert error.value.data["reason"] == "not_a_picture"
    crop, created = services.crop_add(cameras[0], picture(1), NOON)
    again, created_again = services.crop_add(cameras[0], picture(1), NOON + timedelta(days=1))
    assert (created, created_again) == (True, False) and again == crop and again.captured_at == NOON


def test_names_that_no_database_takes_are_cleaned(cameras: list[Any]) -> None:
    name = "a\0b\udcff" + "x" * 400
    report = services.crops_add_bulk(cameras[0], [services.CropItem(picture(1), NOON, name)])
    assert len(Crop.objects.get(pk=report.added[0]).source_name) == 300


@pytest.mark.parametrize("layout", ["folder", "zip", "manifest", "market1501", "tarball"])
def test_a_source_that_is_not_there_is_said(cameras: list[Any], tmp_path: Path, layout: str) -> None:
    row = services.crops_import(tmp_path / "nowhere", layout)
    assert row.state == "failed" and ("nowhere" in row.message or "tarball" in row.message)


def test_without_a_single_camera_the_import_says_what_to_do(city: Any, tmp_path: Path) -> None:
    row = services.crops_import(folder_of(tmp_path / "in", pictures_of(["cam-1"])), "folder")
    assert row.state == "failed" and "no camera yet" in row.message and row.refused == 0


def test_a_bulk_is_bounded_in_bytes_as_well(cameras: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "BATCH_BYTES", 1)
    commits: list[int] = []
    commit = adding.Batch._commit

    def counted(batch: adding.Batch) -> Any:
        commits.append(len(batch.arrivals))
        return commit(batch)

    monkeypatch.setattr(adding.Batch, "_commit", counted)
    services.crops_add_bulk(cameras[0], items(3))
    assert commits == [1, 1, 1]


def test_a_failure_after_the_commit_does_not_take_committed_pictures(
    cameras: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C may arrive when the transaction is through but the call has not returned."""
    remove = files.pictures_remove

    def interrupted(images: Any) -> int:
        monkeypatch.setattr(files, "pictures_remove", remove)
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "pictures_remove", interrupted)
    with pytest.raises(KeyboardInterrupt):
        services.crops_add_bulk(cameras[0], items(2))
    assert Crop.objects.count() == 2 and on_disk() == named()
