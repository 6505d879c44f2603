"""When a crop was taken: its name, its EXIF, its file's date."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from citysearch.gallery.moments import moment_in_exif, moment_in_name, moment_of, moment_read

SHANGHAI = timezone(timedelta(hours=8))
CHANGED = datetime(2020, 1, 1, tzinfo=UTC)


def with_exif(taken: str, zone: str = "") -> bytes:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({36867: taken} | ({36881: zone} if zone else {}))
    buffer = io.BytesIO()
    Image.new("RGB", (32, 64)).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("20240131T081500.jpg", datetime(2024, 1, 31, 8, 15, tzinfo=SHANGHAI)),
        ("cam7_2024-01-31_08-15-00_0003.jpg", datetime(2024, 1, 31, 8, 15, tzinfo=SHANGHAI)),
        ("2024-01-31_08-15-00.250.jpg", datetime(2024, 1, 31, 8, 15, 0, 250000, tzinfo=SHANGHAI)),
        ("2024-01-31T08:15:00Z.jpg", datetime(2024, 1, 31, 8, 15, tzinfo=UTC)),
        ("2024-01-31T08:15:00+0200.jpg", datetime(2024, 1, 31, 6, 15, tzinfo=UTC)),
        ("p_1706659200.jpg", datetime.fromtimestamp(1706659200, UTC)),
        ("p_1706659200123.jpg", datetime.fromtimestamp(1706659200, UTC) + timedelta(milliseconds=123)),
        ("20249931081500.jpg", None),
        ("0002_c1s1_000451_03.jpg", None),
        ("330101001001_17066592001234.jpg", None),
        ("walker.jpg", None),
    ],
)
def test_times_in_names(name: str, moment: datetime | None) -> None:
    assert moment_in_name(name) == moment


@given(st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31)).map(lambda moment: moment.replace(microsecond=0)))
def test_every_time_written_into_a_name_is_read_back(moment: datetime) -> None:
    for form in ("%Y%m%dT%H%M%S", "%Y-%m-%d_%H-%M-%S", "%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%S"):
        assert moment_in_name(f"cam_{moment.strftime(form)}Z.jpg") == moment.replace(tzinfo=UTC)


def test_the_name_comes_before_the_exif_and_the_exif_before_the_file() -> None:
    data = with_exif("2024:05:01 12:00:00", "+02:00")
    taken = datetime(2024, 5, 1, 10, 0, tzinfo=UTC)
    assert moment_in_exif(data) == taken
    assert moment_in_exif(with_exif("2024:05:01 12:00:00")) == datetime(2024, 5, 1, 12, 0, tzinfo=SHANGHAI)
    assert moment_of("walker.jpg", data, CHANGED) == taken
    assert moment_of("2024-01-31T08:15:00Z.jpg", data, CHANGED) == datetime(2024, 1, 31, 8, 15, tzinfo=UTC)
    assert moment_of("walker.jpg", b"no picture", CHANGED) == CHANGED


@pytest.mark.parametrize("taken", ["", "0000:00:00 00:00:00", "noon", "2024:13:41 99:00:00"])
def test_exif_that_is_no_time_is_passed_over(taken: str) -> None:
    assert moment_in_exif(with_exif(taken)) is None


@pytest.mark.parametrize("text", ["", "yesterday", "2024-02-30T00:00:00", "12:00"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert moment_read(text) is None
