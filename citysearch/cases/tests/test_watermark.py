"""Watermarked copies: their words can be read on light and dark, whatever fonts there are."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import pytest
from django.utils import translation
from PIL import Image

from citysearch.cases import watermark
from citysearch.cases.models import LogEntry
from reid_engine.errors import BadPhoto

CHINESE_CASE = "西湖区走失老人协查案第一百一十七号"


def entry_of(case: str, user: str = "operator") -> LogEntry:
    time = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
    return LogEntry(pk=77, time=time, user=user, case=case, search=UUID("0123abcd" + 24 * "0"))


def picture(width: int, height: int, grey: int, suffix: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (grey,) * 3).save(buffer, suffix)
    return buffer.getvalue()


@pytest.fixture
def no_chinese(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without any Chinese font."""
    monkeypatch.setattr(watermark, "CHINESE", ())
    watermark._font.cache_clear()
    yield
    watermark._font.cache_clear()


def test_the_lines_name_case_user_time_search_and_log_line() -> None:
    assert watermark.watermark_lines(entry_of("2026-17")) == [
        "Appearance match, not identification.",
        "Case 2026-17",
        "Exported by operator",
        "2026-03-01 12:00:00 UTC+08:00",
        "Search 0123abcd, log entry 77",
    ]


def test_without_a_chinese_font_what_cannot_be_drawn_is_left_out(no_chinese: None) -> None:
    with translation.override("zh-hans"):
        lines = watermark.watermark_lines(entry_of(CHINESE_CASE))
    assert lines[0] == "Appearance match, not identification."
    assert lines[1:] == ["Exported by operator", "2026-03-01 12:00:00 UTC+08:00", "Search 0123abcd, log entry 77"]
    assert not watermark.drawable("案") and watermark.drawable("case 17")


def test_with_a_chinese_font_the_case_is_drawn_in_the_readers_language() -> None:
    if not watermark.drawable("案"):
        pytest.skip("no Chinese font on this machine")
    with translation.override("zh-hans"):
        lines = watermark.watermark_lines(entry_of(CHINESE_CASE, "李警官"))
    assert CHINESE_CASE in lines[1] and "李警官" in lines[2] and "外观匹配" in lines[0]


@pytest.mark.parametrize("grey", [0, 255])
@pytest.mark.parametrize(("suffix", "kind"), [(".png", "PNG"), (".jpg", "JPEG"), (".webp", "WEBP")])
def test_words_stand_out_on_light_and_dark_and_small_pictures_grow(grey: int, suffix: str, kind: str) -> None:
    data = picture(32, 64, grey, kind)
    copy = Image.open(io.BytesIO(watermark.watermarked(data, suffix, watermark.watermark_lines(entry_of("2026-17")))))
    assert (copy.format, copy.size) == (kind, (480, 960))
    levels = np.asarray(copy.convert("L")).astype(int)
    assert (abs(levels - grey) > 150).mean() > 0.02, "words differ from the ground"
    halves = [(abs(half - grey) > 150).any() for half in (levels[:480], levels[480:])]
    assert halves == [True, True]


def test_large_pictures_keep_their_size_and_long_lines_are_wrapped_not_cut() -> None:
    lines = [*watermark.watermark_lines(entry_of("x" * 80)), "Exported by " + "a long name " * 12]
    for width, height in ((600, 300), (480, 960)):
        levels = np.asarray(Image.open(io.BytesIO(watermark.watermarked(picture(width, height, 0), ".png", lines))))
        assert levels.shape[:2] == (height, width)
        assert not levels[:, :3].any() and not levels[:, -3:].any(), "nothing runs over the edge"
    font = watermark._font(24)
    parts = list(watermark._wrapped(lines[1], font, 300))
    assert "".join(parts).replace(" ", "") == lines[1].replace(" ", "")
    assert all(font.getlength(part) <= 300 for part in parts)


def test_a_damaged_picture_has_no_copy() -> None:
    with pytest.raises(BadPhoto):
        watermark.watermarked(b"not a picture", ".png", ["x"])
