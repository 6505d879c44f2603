"""The report on paper: everything in it, in both scripts, on as many pages as it takes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.utils import translation
from PIL import Image

from citysearch.cases.models import LogEntry
from citysearch.cases.report import Report, report_pdf
from citysearch.cases.tests.papers import pdf_pages, pdf_text

SEARCH = "0123abcd-0000-4000-8000-000000000000"
CASE = "西湖区走失老人协查案第一百一十七号"
CAMERA = "湖滨东路与梧桐路交叉口西北角第三杆高清摄像机面向地铁口人行横道方向"
TIME = "2026-03-01T12:00:07+08:00"


@pytest.fixture
def picture(settings: Any, tmp_path: Path) -> str:
    settings.MEDIA_ROOT = str(tmp_path)
    Image.new("RGB", (64, 128), (200, 30, 30)).save(tmp_path / "crop.png")
    return "crop.png"


def piece_of(number: int, image: str) -> dict[str, Any]:
    facts = {"crop": number, "sha256": f"{number:064x}", "image": image, "camera": f"cam-{number}", "time": TIME}
    facts |= {
        "camera_name": CAMERA,
        "unit_path": "杭州市 / 湖滨区 Lakeside",
        "camera_time": TIME,
        "clock_offset_s": 3.0,
    }
    facts |= {"clock_uncertainty_s": 2.5, "likelihood": 0.86, "verdict": "confirmed", "verdict_by": "supervisor"}
    return facts | {"added_by": "colleague"}


def report_of(pieces: list[dict[str, Any]], image: str, **changes: Any) -> Report:
    search = {
        "id": SEARCH,
        "case": CASE,
        "purpose": "missing <b>person</b> & dog",
        "created_at": TIME,
        "user": "operator",
    }
    search |= {"unit_path": "杭州市", "area": None, "period": {"from": TIME, "to": None}, "model": "paint"}
    search |= {"counts": {"crops": 36, "cameras": 4}, "coverage": {"reasons": {"no_crops": 2}}}
    search |= {"photos": [{"sha256": "cd" * 32, "taken": {"longitude": 120.005, "latitude": 30.005, "time": TIME}}]}
    stop = {"kind": "stop", "number": 1, "camera": {"name": CAMERA, "code": "cam-9"}, "start": TIME, "end": TIME}
    stop |= {"likelihood": 0.95, "verdict": "undecided"}
    path = {"features": [{"properties": stop}, {"properties": {"kind": "leg"}}]}
    time = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
    entry = LogEntry(pk=77, time=time, user="李警官", case=CASE, search=UUID(SEARCH), digest="ab" * 32)
    return Report(search | changes, pieces, [image], path, entry)


def test_it_says_all_that_is_known(picture: str) -> None:
    said = pdf_text(report_pdf(report_of([piece_of(1, picture)], picture)))
    wanted = [CASE, "missing <b>person</b> & dog", SEARCH, "杭州市", "2026-03-01 12:00:07 UTC+08:00 – …", "paint"]
    wanted += ["36 crops of 4 cameras", "Cameras left out (without crops): 2", "李警官", "ab" * 32, "cd" * 32]
    wanted += ["120.005, 30.005", CAMERA, "cam-1", "湖滨区 Lakeside", "± 2.5 s", "offset 3.0 s", "likely (0.860)"]
    wanted += ["confirmed (supervisor)", "colleague", f"{1:064x}", "cam-9", "very likely (0.950)", "page 1 of"]
    spaceless = said.replace(" ", "")
    assert [words for words in wanted if words.replace(" ", "") not in spaceless] == []


def test_each_of_many_pages_has_creed_and_number_and_no_piece_is_lost(picture: str) -> None:
    pages = pdf_pages(report_pdf(report_of([piece_of(n, picture) for n in range(40)], picture)))
    assert len(pages) > 8
    for number, page in enumerate(pages, start=1):
        assert "Appearance match, not identification." in page and f"page {number} of {len(pages)}" in page
    for n in range(40):
        assert sum(f"{n:064x}" in page for page in pages) == 1


def test_it_is_the_same_for_the_same_input_and_speaks_the_readers_language(picture: str) -> None:
    report = report_of([piece_of(1, picture)], picture)
    assert report_pdf(report) == report_pdf(report)
    with translation.override("zh-hans"):
        said = pdf_text(report_pdf(report))
    assert "外观匹配，非身份认定" in said and "已确认" in said and "Likelihood" not in said and "page" not in said


def test_an_erased_or_damaged_picture_is_said_to_be_gone_and_the_longest_names_fit(
    picture: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    pieces = [piece_of(1, "gone.png"), piece_of(2, "broken.png")]
    long = [piece_of(3, picture) | {"unit_path": "很长的名字" * 200, "camera_name": "w" * 200}]
    said = pdf_text(report_pdf(report_of(pieces + long, picture, case="长" * 80, purpose="用" * 300)))
    assert said.replace(" ", "").count("Thepictureisnotthereanymore.") == 2
    assert "很长的名字" * 200 in said and "w" * 200 in said and "用" * 300 in said


def test_pictures_are_in_it_small(picture: str, tmp_path: Path) -> None:
    Image.effect_noise((1000, 1500), 80).convert("RGB").save(tmp_path / "large.png")
    without = len(report_pdf(report_of([piece_of(1, "gone.png")], picture)))
    larger = len(report_pdf(report_of([piece_of(1, "large.png")], picture)))
    assert 20_000 < larger - without < 400_000


def test_no_likeness_is_said_to_be_certain(picture: str) -> None:
    pieces = [piece_of(n, picture) | {"likelihood": likelihood} for n, likelihood in enumerate((0.99999, 0.0), 1)]
    text = pdf_text(report_pdf(report_of(pieces, picture)))
    assert "(0.999)" in text and "(0.001)" in text and "(1.000)" not in text and "(0.000)" not in text
