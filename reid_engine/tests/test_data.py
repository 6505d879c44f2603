"""Every reader on a small made copy of its set: what it reads, what it leaves out, what it refuses."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reid_engine.data import READERS, Record, cuhk03, cuhk03_old, folder, market1501, msmt17, read, read_all
from reid_engine.data.loaders import crop_batches, crop_of, photo_of
from reid_engine.data.records import single_people
from reid_engine.errors import BadConfig, BadDataset


def touch(root: Path, names: Iterable[str]) -> Path:
    """Empty files under `root`: readers look at names only."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def who(records: Iterable[Record]) -> list[tuple[int, int]]:
    return [(record.person_id, record.camera_id) for record in records]


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """Two people to train; two queries; a gallery with a distractor, a junk crop and a Thumbs.db."""
    return touch(
        tmp_path / "market",
        [
            "bounding_box_train/0002_c1s1_000451_03.jpg",
            "bounding_box_train/0002_c2s1_000460_01.jpg",
            "bounding_box_train/0007_c3s2_000001_01.jpg",
            "bounding_box_train/Thumbs.db",
            "query/0001_c1s1_001051_00.jpg",
            "query/0005_c6s1_001051_00.jpg",
            "bounding_box_test/-1_c1s1_000401_03.jpg",
            "bounding_box_test/0000_c1s1_000151_01.jpg",
            "bounding_box_test/0001_c2s1_000301_00.jpg",
            "bounding_box_test/0005_c4s6_000001_00.jpg",
            "bounding_box_test/Thumbs.db",
            "bounding_box_test/0001_c2s1_000301_00.jpg.txt",
        ],
    )


def test_market_reads_person_and_camera_from_the_names(market: Path) -> None:
    dataset = read("market1501", market)
    assert who(dataset.train) == [(2, 1), (2, 2), (7, 3)]
    assert who(dataset.query) == [(1, 1), (5, 6)]
    assert dataset.train[0].path == market / "bounding_box_train/0002_c1s1_000451_03.jpg"


def test_market_keeps_distractors_in_the_gallery_and_drops_junk(market: Path) -> None:
    dataset = market1501.read(market)
    assert who(dataset.gallery) == [(0, 1), (1, 2), (5, 4)]
    assert dataset.skipped == {"junk crops (person -1)": 1, "files of another name": 3}


def test_market_never_asks_for_a_distractor(market: Path) -> None:
    touch(market, ["query/0000_c1s1_000001_01.jpg"])
    dataset = market1501.read(market)
    assert 0 not in {record.person_id for record in dataset.query}
    assert dataset.skipped["distractors outside the gallery"] == 1


def test_people_with_a_single_crop_are_counted_and_told(market: Path) -> None:
    dataset = market1501.read(market)
    assert single_people(dataset.train) == 1
    assert "train: 3 crops, 2 people, 3 cameras, 1 people with a single crop" in dataset.summary()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("0002_c1s1_000451_03.jpg", (2, 1, 1, 451)),
        ("0000_c14_0030.jpg", (0, 14, 0, 0)),
        ("-1_c6s3_000001_01.jpg", (-1, 6, 3, 1)),
        ("0003_c2_21.png", (3, 2, 0, 0)),
    ],
)
def test_names_give_up_their_fields(name: str, fields: tuple[int, ...]) -> None:
    crop = market1501.parse_name(name)
    assert crop is not None
    assert (crop.person_id, crop.camera_id, crop.sequence, crop.frame) == fields


@pytest.mark.parametrize("name", ["Thumbs.db", "0002_1_000451.jpg", "c1s1_000451_03.jpg", "", "0002_c1s1"])
def test_other_names_are_no_crop_names(name: str) -> None:
    assert market1501.parse_name(name) is None


def test_an_evaluation_needs_no_training_part(market: Path) -> None:
    for path in (market / "bounding_box_train").iterdir():
        path.unlink()
    (market / "bounding_box_train").rmdir()
    assert len(market1501.read(market, needs=("query", "gallery")).query) == 2
    with pytest.raises(BadDataset, match="no folder bounding_box_train"):
        market1501.read(market)


@pytest.mark.parametrize("name", [name for name in READERS if name != "synthetic"])
def test_an_empty_folder_is_refused_with_the_layout_expected(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="Expected layout of"):
        read(name, tmp_path)


@pytest.mark.parametrize("name", [name for name in READERS if name != "synthetic"])
def test_a_folder_that_is_not_there_is_refused_with_the_layout_expected(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"there is no such folder(.|\n)*Expected layout of"):
        read(name, tmp_path / "nowhere")


def test_the_folder_above_the_right_one_names_the_right_one(market: Path) -> None:
    with pytest.raises(BadDataset, match="did you mean that(.|\n)*0002_c1s1_000451_03.jpg") as error:
        market1501.read(market.parent)
    assert str(market) in str(error.value)


def test_folders_without_a_single_crop_are_refused(tmp_path: Path) -> None:
    root = touch(tmp_path, ["bounding_box_train/a.txt", "query/b.jpg", "bounding_box_test/Thumbs.db"])
    with pytest.raises(BadDataset, match="no crop was found for the part 'train' .skipped: 3 files of another name"):
        market1501.read(root)


def test_crops_of_one_camera_only_are_refused(tmp_path: Path) -> None:
    names = [f"{part}/000{person}_c1s1_000001_01.jpg" for part in market1501.FOLDERS.values() for person in (1, 2)]
    with pytest.raises(BadDataset, match="every crop is from one camera .1.; at least two"):
        market1501.read(touch(tmp_path, names))


def test_an_unknown_format_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="'coco'; allowed: market1501, cuhk03"):
        read("coco", tmp_path)


# MSMT17

MSMT_LISTS = {
    "list_train.txt": ["0000/0000_000_01_0303morning_0015_0.jpg 0", "0001/0001_000_14_0303noon_0020_1.jpg 1"],
    "list_val.txt": ["0002/0002_000_15_0303noon_0020_1.jpg 2"],
    "list_query.txt": ["0000/0000_005_02_0303afternoon_0001_0.jpg 0"],
    "list_gallery.txt": ["0000/0000_006_15_0303morning_0001_0.jpg 0", "0003/0003_001_01_0303noon_0001_0.jpg 3"],
}


def msmt(root: Path, folders: tuple[str, str]) -> Path:
    for name, lines in MSMT_LISTS.items():
        side = folders[0] if name in ("list_train.txt", "list_val.txt") else folders[1]
        touch(root, [f"{side}/{line.split()[0]}" for line in lines])
        (root / name).write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize(("version", "folders"), msmt17.VERSIONS.items())
def test_msmt_reads_lists_two_digit_cameras_and_says_its_version(
    version: str,
    folders: tuple[str, str],
    tmp_path: Path,
) -> None:
    dataset = read("msmt17", msmt(tmp_path, folders))
    assert dataset.name == f"MSMT17 {version}"
    assert who(dataset.train) == [(0, 1), (1, 14), (2, 15)]
    assert who(dataset.query) == [(0, 2)]
    assert who(dataset.gallery) == [(0, 15), (3, 1)]


def test_person_0_of_msmt_is_a_real_person_in_market_folders_too(tmp_path: Path) -> None:
    root = touch(
        tmp_path,
        [
            "bounding_box_train/0000_c14_0030.jpg",
            "bounding_box_train/0001_c2_0030.jpg",
            "query/0000_c1_0000.jpg",
            "bounding_box_test/0000_c15_0001.jpg",
        ],
    )
    dataset = msmt17.read(root)
    assert who(dataset.train) == [(0, 14), (1, 2)]
    assert (who(dataset.query), who(dataset.gallery)) == ([(0, 1)], [(0, 15)])


@pytest.mark.parametrize("line", ["0000/0000_000_01.jpg", "0000/nothing.jpg 0", "0000/0000_000_xx_a_0.jpg 0", "a b c"])
def test_a_list_line_that_cannot_be_read_is_named(line: str, tmp_path: Path) -> None:
    root = msmt(tmp_path, ("train", "test"))
    (root / "list_query.txt").write_text(f"{MSMT_LISTS['list_query.txt'][0]}\n{line}\n")
    with pytest.raises(BadDataset, match="list_query.txt, line 2 cannot be read"):
        msmt17.read(root)


def test_a_listed_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    root = msmt(tmp_path, ("train", "test"))
    (root / "test/0000/0000_006_15_0303morning_0001_0.jpg").unlink()
    with pytest.raises(BadDataset, match="list_gallery.txt, line 1 names 0000/0000_006_15_0303morning_0001_0.jpg"):
        msmt17.read(root)


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    root = msmt(tmp_path, ("train", "test"))
    (root / "list_gallery.txt").unlink()
    with pytest.raises(BadDataset, match="there is no list_gallery.txt"):
        msmt17.read(root)


# CUHK03


def cuhk_mat(root: Path) -> Path:
    """A cuhk-03.mat with one camera pair, three people, two pictures per view, and a split of them."""
    import h5py
    from scipy.io import savemat

    names, labels = [], []
    with h5py.File(root / "cuhk-03.mat", "w") as store:
        cells = np.empty((10, 3), dtype=object)
        reference = h5py.special_dtype(ref=h5py.Reference)
        for person in range(3):
            for number in range(10):
                filled = number in (0, 1, 5, 6)
                shape = (3, 60, 160) if filled else (2,)
                pixels = np.full(shape, 40 * person + number, np.uint8)
                picture = store.create_dataset(f"p{person}_{number}", data=pixels)
                cells[number, person] = picture.ref
                if filled:
                    names.append(f"1_{person + 1:03d}_{1 if number < 5 else 2}_{number + 1:02d}.png")
                    labels.append(person + 1)
        pair = store.create_dataset("pair", (10, 3), dtype=reference)
        pair[...] = cells
        top = store.create_dataset("detected", (1, 1), dtype=reference)
        top[0, 0] = pair.ref
    savemat(
        root / cuhk03.SPLIT.format(kind="detected"),
        {
            "filelist": np.array(names, dtype=object)[:, None],
            "labels": np.array(labels)[:, None],
            "train_idx": np.array([1, 2, 3, 4]),
            "query_idx": np.array([5, 7, 9, 11]),
            "gallery_idx": np.array([6, 8, 10, 12]),
        },
    )
    return root


def test_cuhk_reads_mat_files_and_unpacks_the_pictures_once(tmp_path: Path) -> None:
    dataset = read("cuhk03", cuhk_mat(tmp_path))
    assert who(dataset.train) == [(1, 0), (1, 0), (1, 1), (1, 1)]
    assert who(dataset.query) == [(2, 0), (2, 1), (3, 0), (3, 1)]
    picture = Image.open(dataset.query[0].path)
    assert (picture.size, picture.getpixel((0, 0))) == ((60, 160), (40, 40, 40))
    (tmp_path / "cuhk-03.mat").unlink()
    assert read("cuhk03", tmp_path).query == dataset.query


def test_cuhk_takes_the_split_file_by_its_path(tmp_path: Path) -> None:
    split = cuhk_mat(tmp_path) / cuhk03.SPLIT.format(kind="detected")
    assert cuhk03.read(split).name == "CUHK03 detected"


def with_test_sets(root: Path, count: int = cuhk03_old.SPLITS) -> Path:
    """The same with its test sets: person 1, 2 or 3 of pair 1, in turn, and person 2 always."""
    import h5py

    with h5py.File(cuhk_mat(root) / "cuhk-03.mat", "a") as store:
        sets = store.create_dataset("testsets", (1, count), dtype=h5py.special_dtype(ref=h5py.Reference))
        for number in range(count):
            people = sorted({2, number % 3 + 1})
            sets[0, number] = store.create_dataset(f"set{number}", data=[[1.0] * len(people), people]).ref
    return root


def test_cuhks_old_protocol_is_twenty_splits_and_one_crop_of_each_view(tmp_path: Path) -> None:
    root = with_test_sets(tmp_path)
    found = read_all("cuhk03_old", root)
    assert len(found) == 20 and found[2].name == "CUHK03 detected, old protocol, split 3 of 20"
    assert who(found[0].query) == [(10001, 0), (10002, 0)] and who(found[0].gallery) == [(10001, 1), (10002, 1)]
    assert {record.person_id for record in found[0].train} == {10003} and len(found[0].train) == 4
    drawn = {dataset.query[0].path.name for dataset in found[::3]}
    assert len(drawn) == 2, "both crops of a view are drawn, in one split or another"
    assert read("cuhk03_old", f"{root}#detected-3") == found[2] == read_all("cuhk03_old", f"{root}#detected-3")[0]
    assert found[2].query[0].path.is_file()


def test_cuhks_old_protocol_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"there is no cuhk-03.mat"):
        read("cuhk03_old", tmp_path)
    root = with_test_sets(tmp_path, 3)
    for place in (f"{root}#detected-21", f"{root}#drawn", f"{root}#labeled-0"):
        with pytest.raises(BadDataset, match="no kind and split, 1 to 20"):
            read("cuhk03_old", place)
    with pytest.raises(BadDataset, match="has no test set 4"):
        read("cuhk03_old", f"{root}#detected-4")


@pytest.mark.parametrize("package", ["h5py", "scipy"])
def test_cuhk_mat_files_without_their_package_say_what_to_install(
    package: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = cuhk_mat(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BadDataset, match=f"need {package}, which is not installed: pip install h5py scipy"):
        cuhk03.read(root)


def test_cuhk_says_when_the_pictures_are_missing(tmp_path: Path) -> None:
    (cuhk_mat(tmp_path) / "cuhk-03.mat").unlink()
    with pytest.raises(BadDataset, match=r"there is no cuhk-03.mat to take the pictures from"):
        cuhk03.read(tmp_path)


@pytest.mark.parametrize("below", ["", "detected/"])
def test_cuhk_folders_count_cameras_from_0(below: str, tmp_path: Path) -> None:
    touch(
        tmp_path,
        [
            f"{below}bounding_box_train/0003_c1_21.png",
            f"{below}query/0001_c1_1.png",
            f"{below}bounding_box_test/0001_c2_6.png",
        ],
    )
    dataset = cuhk03.read(tmp_path)
    assert (who(dataset.train), who(dataset.query), who(dataset.gallery)) == ([(3, 0)], [(1, 0)], [(1, 1)])


# Users' own data


def test_a_directory_per_person_is_split_by_person_and_nobody_finds_himself(tmp_path: Path) -> None:
    dataset = read(
        "folder",
        touch(
            tmp_path,
            [
                "anna/c1_01.jpg",
                "anna/c2_01.png",
                "bob/c1_01.jpg",
                "bob/c1_02.jpg",
                "bob/c2_01.jpg",
                "notes.txt",
            ],
        ),
    )
    assert who(dataset.train) == [(0, 1), (0, 2)]
    assert [record.path.name for record in dataset.query] == ["c1_01.jpg", "c2_01.jpg"]
    assert who(dataset.gallery) == [(1, 1), (1, 1), (1, 2)]
    assert dataset.skipped == {"files that are no crop of a person's directory": 1}


def test_numbers_as_names_are_kept(tmp_path: Path) -> None:
    dataset = folder.read(touch(tmp_path, ["17/3/a.jpg", "17/4/a.jpg", "23/3/a.jpg", "23/4/b.jpg"]))
    assert who(dataset.train) == [(17, 3), (17, 4)]


def test_fixed_parts_are_kept(tmp_path: Path) -> None:
    dataset = folder.read(touch(tmp_path, ["train/5/c1_a.jpg", "query/6/c1_a.jpg", "gallery/6/cam12_a.jpg"]))
    assert (who(dataset.train), who(dataset.query), who(dataset.gallery)) == ([(5, 1)], [(6, 1)], [(6, 12)])


def test_a_file_that_does_not_say_its_camera_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="anna/holiday.jpg does not say its camera"):
        folder.read(touch(tmp_path, ["anna/holiday.jpg"]))


def table(root: Path, *lines: str, header: str = "path,person_id,camera_id,captured_at") -> Path:
    touch(root, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    (root / "crops.csv").write_text("\n".join([header, *lines]) + "\n")
    return root / "crops.csv"


def test_a_csv_gives_paths_people_cameras_and_times(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "a.jpg,1,1,2024-05-01T08:30:00+08:00",
        "b.jpg,1,2,1714523400.5",
        "c.jpg,2,1,",
        "d.jpg,2,2,2024-05-01",
    )
    for source in (path, tmp_path):
        dataset = folder.read(source)
        times = [record.captured_at for record in (*dataset.train, *dataset.gallery)]
        assert times == [1714523400.0, 1714523400.5, None, datetime(2024, 5, 1, tzinfo=UTC).timestamp()]
        assert who(dataset.query) == [(2, 1), (2, 2)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("z.jpg,1,1,", "line 3 names z.jpg, and there is no such file"),
        ("a.jpg,,1,", "line 3 needs a path, a person_id"),
        ("a.jpg", "line 3 needs a path, a person_id"),
        ("a.jpg,1,1,noon", "line 3: captured_at is no time: 'noon'"),
    ],
)
def test_a_csv_line_at_fault_is_named(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=message):
        folder.read(table(tmp_path, "a.jpg,1,1,", line))


def test_a_csv_without_a_needed_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="lacks the column camera_id"):
        folder.read(table(tmp_path, "a.jpg,1", header="path,person_id"))


# Pictures


def test_records_become_pictures_in_order_and_batches(tmp_path: Path) -> None:
    records = []
    for number in range(5):
        Image.new("RGB", (64, 128), (40 * number, 0, 0)).save(tmp_path / f"{number}.png")
        records.append(Record(tmp_path / f"{number}.png", 1, 1))
    batches = list(crop_batches(records, size=2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert [image.getpixel((0, 0))[0] for batch in batches for image in batch] == [0, 40, 80, 120, 160]
    assert photo_of(records[1]).size == (64, 128)


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(BadDataset, match="broken.jpg cannot be used"):
        crop_of(Record(tmp_path / "broken.jpg", 1, 1))


@pytest.mark.slow
def test_the_real_cut_has_the_published_counts(real_data: Path) -> None:
    dataset = read("market1501", real_data / "market1501-451")
    assert (len(dataset.train), len(dataset.query), len(dataset.gallery)) == (7670, 422, 1316)
    assert len({record.person_id for record in dataset.train}) == 451
