"""The commands: what they print, how they end, what they find."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from citysearch.gallery import adding, featured, files, queries, services
from citysearch.gallery.models import Crop, Segment
from citysearch.gallery.tests.conftest import NOON, TinyExtractor, items, make_version, picture


def called(name: str, *arguments: Any, **options: Any) -> str:
    """What a command printed, on both streams; --no-progress always."""
    out = io.StringIO()
    call_command(name, *map(str, arguments), no_progress=True, stdout=out, stderr=out, **options)
    return out.getvalue()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, data in {"cam-1/a.jpg": picture(1), "cam-1/b.jpg": picture(2), "cam-2/c.jpg": b"broken"}.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    return tmp_path / "in"


def test_import_tells_the_lines_and_the_counts(cameras: list[Any], source: Path) -> None:
    printed = called("import_gallery", source)
    assert "cam-2/c.jpg" in printed and "3 pictures: 2 added, 0 known, 1 refused." in printed
    assert "0 added, 2 known" in called("import_gallery", source, layout="folder")


def test_import_indexes_when_asked(cameras: list[Any], source: Path, version: Any, engine_is: TinyExtractor) -> None:
    assert "2 crops indexed." in called("import_gallery", source, index=True)
    assert Segment.objects.get().rows == 2


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Five pictures of two cameras, the fourth of them broken."""
    lines = ["path,camera_code,captured_at"]
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(b"broken" if number == 3 else picture(number))
        lines.append(f"{number}.jpg,cam-{number % 2 + 1},{NOON.isoformat()}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    return tmp_path / "manifest.csv"


def test_features_made_elsewhere_come_with_their_pictures_once(
    cameras: list[Any], manifest: Path, version: Any, tmp_path: Path
) -> None:
    given = np.arange(5 * version.dim, dtype=np.float32).reshape(5, version.dim) / 8
    np.savez(tmp_path / "f.npz", features=given, bundle=version.sha256)
    for _again in range(2):
        called("import_gallery", manifest, features=tmp_path / "f.npz")
    rows = queries.gallery_of(cameras, version)
    names = dict(Crop.objects.values_list("pk", "source_name"))
    found = {names[int(pk)]: row for pk, row in zip(rows.ids, rows.features, strict=True)}
    assert sorted(found) == ["0.jpg", "1.jpg", "2.jpg", "4.jpg"] and len(rows) == 4
    for name, row in found.items():
        np.testing.assert_array_equal(row, given[int(name[0])].astype(np.float16))


def test_of_more_features_than_may_be_held_the_fullest_camera_is_written_first(
    cameras: list[Any], manifest: Path, version: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "BATCH", 2)
    monkeypatch.setattr(featured, "HELD_ROWS", 3)
    np.savez(tmp_path / "f.npz", features=np.ones((5, version.dim)), bundle=version.sha256)
    called("import_gallery", manifest, features=tmp_path / "f.npz")
    written = list(Segment.objects.order_by("pk").values_list("camera__code", "rows"))
    assert written[0] == ("cam-1", 2) and sorted(written[1:]) == [("cam-1", 1), ("cam-2", 1)]


def test_features_that_do_not_fit_are_refused_before_a_picture_is_read(
    cameras: list[Any], manifest: Path, version: Any, tmp_path: Path
) -> None:
    right = np.zeros((5, version.dim), np.float32)
    cases = {
        "other.npz": ({"features": right, "bundle": "0" * 64}, "another bundle"),
        "wide.npz": ({"features": np.zeros((5, version.dim + 1))}, f"rows of {version.dim} numbers"),
        "short.npz": ({"features": right[:4]}, "4 features for 5 pictures"),
        "empty.npz": ({"rows": right}, "cannot be read"),
    }
    for name, (arrays, words) in cases.items():
        np.savez(tmp_path / name, **arrays)
        with pytest.raises(CommandError, match=words):
            called("import_gallery", manifest, features=tmp_path / name)
    np.save(tmp_path / "f.npy", right)
    with pytest.raises(CommandError, match="--model"):
        called("import_gallery", manifest, features=tmp_path / "f.npy")
    assert not Crop.objects.exists()
    right[1, 0] = np.nan
    np.save(tmp_path / "f.npy", right)
    printed = called("import_gallery", manifest, features=tmp_path / "f.npy", model=version.name)
    assert "no numbers" in printed and "5 pictures: 3 added, 0 known, 2 refused." in printed
    assert Segment.objects.get().rows == 3


def test_import_finds_out_the_layout(cameras: list[Any], tmp_path: Path) -> None:
    (tmp_path / "bounding_box_test").mkdir()
    (tmp_path / "bounding_box_test" / "0002_c2s1_000451_03.jpg").write_bytes(picture(1))
    printed = called("import_gallery", tmp_path, cameras="cam-4,cam-3")
    assert Crop.objects.get().camera.code == "cam-3"
    assert "1 crops are older than their unit keeps them" in printed, "its names speak of 2024"


def test_import_names_a_camera_that_is_not_there(cameras: list[Any], source: Path) -> None:
    with pytest.raises(CommandError, match="cam-9"):
        called("import_gallery", source, cameras="cam-1,cam-9")


def test_import_renames_folders(cameras: list[Any], source: Path) -> None:
    called("import_gallery", source, cameras="cam-1=cam-4")
    assert set(Crop.objects.values_list("camera__code", flat=True)) == {"cam-4"}


def test_import_fails_with_the_reason(cameras: list[Any], tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no file or folder"):
        called("import_gallery", tmp_path / "nowhere")


def test_import_ends_on_ctrl_c_as_a_shell_expects(
    cameras: list[Any], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "pictures_flush", interrupted)
    with pytest.raises(CommandError) as error:
        called("import_gallery", source)
    assert error.value.returncode == 130 and "run it again" in str(error.value)
    assert not Crop.objects.exists() and list(files.pictures_on_disk()) == []


def test_index_takes_the_active_model_or_the_one_named(
    filled: list[Any], version: Any, engine_is: TinyExtractor
) -> None:
    assert "6 crops indexed for tiny" in called("index_gallery", cameras="cam-1")
    assert "4 crops indexed for tiny" in called("index_gallery")
    make_version("new", state="registered")
    assert "10 crops indexed for new" in called("index_gallery", model="new")


def test_index_says_what_is_missing(filled: list[Any], version: Any, engine_is: TinyExtractor) -> None:
    files.pictures_remove([Crop.objects.first().image])
    assert "1 crops still have no features" in called("index_gallery")


@pytest.mark.parametrize("options", [{"model": "none"}, {"cameras": "cam-9"}])
def test_index_refuses_what_is_not_there(filled: list[Any], version: Any, options: dict[str, str]) -> None:
    with pytest.raises(CommandError, match="none|cam-9"):
        called("index_gallery", **options)


def test_index_without_an_active_model_says_what_to_do(filled: list[Any]) -> None:
    with pytest.raises(CommandError, match="register_model"):
        called("index_gallery")


@pytest.fixture
def indexed(filled: list[Any], version: Any, extractor: TinyExtractor) -> list[Any]:
    services.index_cameras([camera.pk for camera in filled], version, extractor=extractor)
    return filled


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_verify_is_silent_about_a_whole_store(indexed: list[Any]) -> None:
    assert called("verify_store").strip() == "2 segments and 10 pictures checked."


@pytest.mark.parametrize("at", [0, 20, 200, -1])
def test_verify_finds_a_flipped_byte_in_a_segment(indexed: list[Any], at: int) -> None:
    segment = Segment.objects.first()
    flip(Path(settings.STORE_DIR) / segment.path, at)
    out = io.StringIO()
    with pytest.raises(CommandError, match="1 faults") as error:
        call_command("verify_store", no_progress=True, stdout=out, stderr=out)
    assert error.value.returncode == 1 and segment.path in out.getvalue()


def test_verify_finds_altered_and_missing_pictures(indexed: list[Any]) -> None:
    altered, missing = Crop.objects.all()[:2]
    flip(files.picture_path(altered.image), 100)
    files.pictures_remove([missing.image])
    out = io.StringIO()
    with pytest.raises(CommandError, match="2 faults"):
        call_command("verify_store", no_progress=True, stdout=out, stderr=out)
    assert altered.image in out.getvalue() and missing.image in out.getvalue()
    assert "0 pictures" in called("verify_store", no_pictures=True)


def test_verify_finds_a_missing_segment_a_wrong_log_and_repeated_rows(indexed: list[Any]) -> None:
    first, second = Segment.objects.order_by("camera_id")
    Segment.objects.filter(pk=first.pk).update(rows=5)
    (Path(settings.STORE_DIR) / second.path).unlink()
    with pytest.raises(CommandError, match="2 faults"):
        called("verify_store")
    Segment.objects.filter(pk=first.pk).update(rows=6)
    copy = first.path.replace(".seg", "b.seg")
    (Path(settings.STORE_DIR) / copy).write_bytes((Path(settings.STORE_DIR) / first.path).read_bytes())
    Segment.objects.filter(pk=second.pk).update(
        camera_id=first.camera_id, path=copy, sha256=first.sha256, rows=first.rows
    )
    with pytest.raises(CommandError, match="1 faults"):
        called("verify_store")


def test_verify_finds_features_of_crops_that_are_gone(indexed: list[Any]) -> None:
    Crop.objects.filter(pk=Crop.objects.first().pk).delete()
    out = io.StringIO()
    with pytest.raises(CommandError, match="1 faults"):
        call_command("verify_store", no_progress=True, stdout=out, stderr=out)
    assert "erased" in out.getvalue()


def test_verify_tells_of_orphans_and_sweeps_only_the_old_ones(indexed: list[Any]) -> None:
    segment = Path(settings.STORE_DIR) / Segment.objects.first().path
    picture_file = files.picture_path(Crop.objects.first().image)
    old = [segment.with_name("old.seg"), picture_file.with_name("old.jpg"), picture_file.with_name(".x.jpg.part")]
    young = [segment.with_name("young.seg"), picture_file.with_name("young.jpg")]
    for path in (*old, *young):
        path.write_bytes(b"left over")
    hours_ago = time.time() - 2 * 3600
    for path in (*old, segment, picture_file):
        os.utime(path, (hours_ago, hours_ago))
    printed = called("verify_store", sweep=True)
    assert printed.count("No row names") == 5 and "3 files removed." in printed
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in (*young, segment, picture_file))


def test_purge_shows_the_counts_go_to_zero(filled: list[Any]) -> None:
    assert "10 crops are older" in called("purge_gallery", dry_run=True)
    assert Crop.objects.count() == 10
    printed = called("purge_gallery")
    assert "crops: 10 -> 0" in printed and "pictures: 10 -> 0" in printed
    assert not Crop.objects.exists()


def test_purge_leaves_young_crops_alone(cameras: list[Any]) -> None:
    from django.utils import timezone

    young = [item._replace(captured_at=timezone.now()) for item in items(2)]
    services.crops_add_bulk(cameras[0], young)
    assert "0 crops are older" in called("purge_gallery")
    assert Crop.objects.count() == 2
