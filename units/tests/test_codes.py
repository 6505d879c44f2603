import pytest

from units.codes import BadCode, check_camera_code, check_unit_code, significant_prefix
from units.models import Level

GOOD_CAMERA = "33010600" + "07" + "132" + "0000017"


@pytest.mark.parametrize(
    ("level", "code", "prefix"),
    [
        (Level.CITY, "330100", None),
        (Level.CITY, "310000", None),
        (Level.DISTRICT, "330106", "3301"),
        (Level.STREET, "330106002", "330106"),
        (Level.REGION, "330106002051", "330106002"),
        (Level.GRID, "33010600205107", "330106002051"),
        (Level.GRID, "330106002051007", "330106002051"),
    ],
)
def test_codes_of_every_level_are_taken(level, code, prefix):
    check_unit_code(level, code, False, prefix)


@pytest.mark.parametrize(
    ("level", "code", "prefix", "word"),
    [
        (Level.CITY, "330106", None, "ends in 00"),
        (Level.DISTRICT, "330200", "3302", "ends in 00"),
        (Level.DISTRICT, "330206", "3301", "must start with 3301"),
        (Level.STREET, "33010600", "330106", "9 digits"),
        (Level.GRID, "3301060020510", "330106002051", "14 / 15 digits"),
        (Level.STREET, "33010600²", "330106", "9 digits"),
        (Level.STREET, "", "330106", "9 digits"),
    ],
)
def test_a_wrong_code_is_refused_with_the_reason(level, code, prefix, word):
    with pytest.raises(BadCode) as refused:
        check_unit_code(level, code, False, prefix)
    assert word in refused.value.message and "code" in refused.value.fields


def test_a_citys_prefix_is_what_comes_before_its_zeros():
    assert significant_prefix(Level.CITY, "330100") == "3301"
    assert significant_prefix(Level.CITY, "310000") == "31"
    assert significant_prefix(Level.DISTRICT, "330106") == "330106"


def test_a_free_code_may_be_any_short_word_but_not_nothing():
    check_unit_code(Level.STREET, "SW1A", True, "330106")
    for code in ("", "two words", "x" * 41):
        with pytest.raises(BadCode):
            check_unit_code(Level.STREET, code, True, None)


def test_camera_codes_follow_gb_t_28181_or_are_marked_free():
    check_camera_code(GOOD_CAMERA, False)
    check_camera_code("door-7", True)
    for code in (GOOD_CAMERA[:-1], "99" + GOOD_CAMERA[2:], GOOD_CAMERA[:10] + "111" + GOOD_CAMERA[13:], "door-7"):
        with pytest.raises(BadCode):
            check_camera_code(code, False)
