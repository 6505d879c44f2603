"""Research sets by their names, and GA/T 1400 documents: who, where, when, and what is refused."""

from __future__ import annotations

import base64
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from citysearch.gallery import services
from citysearch.gallery.layouts import BadSource, camera_map_read, layout_of
from citysearch.gallery.models import Crop
from citysearch.gallery.tests.conftest import picture
from citysearch.gallery.tests.test_imports import folder_of, lines_of

MSMT = ["0000_000_01_0303morning_0015_0.jpg", "0000_001_04_0303afternoon_0050_0.jpg", "0000_x.jpg"]
CUHK = ["1_001_1_01.png", "1_001_2_06.png", "2_001_1_01.png", "6_001_1_01.png"]


def zipped(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for seed, name in enumerate(names):
            archive.writestr(name, picture(seed))
    return path


def facts() -> list[tuple[str, int | None, datetime]]:
    return list(Crop.objects.order_by("captured_at").values_list("camera__code", "person_id", "captured_at"))


def test_msmt17_is_read_from_a_zip(cameras: list[Any], tmp_path: Path) -> None:
    row = services.crops_import(zipped(tmp_path / "msmt.zip", [f"test/0000/{name}" for name in MSMT]), "msmt17")
    assert (row.added, lines_of(row)) == (2, {"0000_x.jpg": "bad_name"})
    assert facts() == [
        ("cam-1", 0, datetime(2017, 3, 3, 8, 0, 0, 600_000, UTC)),
        ("cam-4", 0, datetime(2017, 3, 3, 15, 0, 2, tzinfo=UTC)),
    ]


def test_cuhk03_has_two_views_in_each_pair_and_persons_of_each_pair(cameras: list[Any], tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", {name: picture(seed) for seed, name in enumerate(CUHK)})
    assert layout_of(source) == "cuhk03"
    row = services.crops_import(source, "cuhk03")
    assert (row.added, lines_of(row)) == (3, {"6_001_1_01.png": "bad_name"})
    assert {(camera, person) for camera, person, _moment in facts()} == {
        ("cam-1", 10_001), ("cam-2", 10_001), ("cam-3", 20_001)
    }  # fmt: skip


def document(**changes: Any) -> bytes:
    image = {"ImageID": "i-1", "Type": "10", "ShotTime": "20240501120000", "DeviceID": "cam-2"}
    image |= {"FileFormat": "Jpeg", "Data": base64.b64encode(picture(1)).decode()}
    person = {"PersonID": "p-1", "DeviceID": "cam-1", "SubImageList": {"SubImageInfoObject": [image | changes]}}
    return json.dumps({"PersonListObject": {"PersonObject": [person]}}).encode()


def test_a_gat1400_list_brings_its_pictures(cameras: list[Any], tmp_path: Path, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Shanghai"
    (tmp_path / "a.json").write_bytes(document())
    row = services.crops_import(tmp_path / "a.json", "gat1400")
    assert (row.total, row.added) == (1, 1)
    crop = Crop.objects.get()
    assert (crop.camera.code, crop.source_name) == ("cam-2", "i-1")
    assert crop.captured_at == datetime(2024, 5, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (document(Data=""), "missing"), (document(Data="A"), "unreadable"), (document(ShotTime="soon"), "bad_time"),
        (document(DeviceID="x"), "unknown_camera"), (b"{}", "bad_json"), (b"[" * 100_000, "bad_json"),
        (b"\xff", "bad_json"),
        (b'{"PersonListObject": {"PersonObject": [3]}}', "bad_json"),
    ],
)  # fmt: skip
def test_what_gat1400_brings_wrong_is_a_line(cameras: list[Any], tmp_path: Path, data: bytes, reason: str) -> None:
    folder_of(tmp_path / "in", {"a.json": data, "b.json": document(Type="14")})  # a scene is no crop
    row = services.crops_import(tmp_path / "in", "gat1400")
    assert (row.total, row.state, list(lines_of(row).values())) == (1, "done", [reason])


def test_names_of_cameras_are_kept_for_when_the_import_runs_again(cameras: list[Any], tmp_path: Path) -> None:
    source = zipped(tmp_path / "in.zip", MSMT[:1])
    row = services.import_create("msmt17", "in.zip", camera_map={"1": "cam-3"})
    services.import_run(row, source)
    assert Crop.objects.get().camera.code == "cam-3"


def test_a_camera_map_is_read() -> None:
    assert camera_map_read("A, B", ["A", "B"]) == {"1": "A", "2": "B"}
    assert camera_map_read("x=A", ["A"]) == {"x": "A"} and camera_map_read("", []) == {}
    with pytest.raises(BadSource, match="no camera with the code C"):
        camera_map_read("A,C", ["A"])
