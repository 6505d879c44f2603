"""Which hours fit "footfall above X" or "while it rained"."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from units import services
from units.models import SensorReading
from units.queries import BadCondition, _common, _merged, unit_context, windows_of
from units.tests.cast import EAST, MILL_GRID, MILL_STREET, WEST, unit_of

DAY = datetime(2025, 6, 1, tzinfo=UTC)
RAIN = {"kind": "weather", "op": ">", "value": 0}
BUSY = {"kind": "footfall", "op": ">=", "value": 100}


def at(hours: float) -> float:
    return DAY.timestamp() + hours * 3600


def measure(code: str, kind: str, values: list[float], step_h: float = 1.0) -> None:
    unit = unit_of(code)
    services.readings_add_bulk(
        {"unit": unit, "kind": kind, "value": value, "time": DAY + timedelta(hours=step_h * i)}
        for i, value in enumerate(values)
    )


def test_no_condition_and_no_period_means_any_time(city):
    assert windows_of(city, [], None) is None
    assert windows_of(city, [], (None, None)) is None


def test_a_period_may_be_open_at_either_end(city):
    assert windows_of(city, [], (DAY, None)) == [(at(0), float("inf"))]
    assert windows_of(city, [], (None, DAY)) == [(float("-inf"), at(0))]


def test_while_it_rained(city):
    measure(WEST, "weather", [0, 2, 3, 0, 0, 1])
    assert windows_of(unit_of(WEST), [RAIN], None) == [(at(1), at(3)), (at(5), at(6))]


def test_a_period_cuts_the_hours_and_the_reading_before_it_still_holds(city):
    measure(WEST, "weather", [2, 2, 0])
    period = (DAY + timedelta(minutes=30), DAY + timedelta(minutes=90))
    assert windows_of(unit_of(WEST), [RAIN], period) == [(at(0.5), at(1.5))]


def test_a_reading_holds_at_most_an_hour(city):
    measure(WEST, "footfall", [150, 150], step_h=3)
    assert windows_of(unit_of(WEST), [BUSY], None) == [(at(0), at(1)), (at(3), at(4))]


def test_several_conditions_must_hold_together(city):
    measure(WEST, "weather", [1, 1, 0, 1])
    measure(WEST, "footfall", [150, 50, 150, 150])
    assert windows_of(unit_of(WEST), [RAIN, BUSY], None) == [(at(0), at(1)), (at(3), at(4))]
    assert windows_of(unit_of(WEST), [RAIN, {**RAIN, "op": "<", "value": 0}], None) == []


def test_a_grid_takes_the_weather_of_the_nearest_unit_above(city):
    measure("330100", "weather", [1, 1, 1])
    measure(WEST, "weather", [0, 1, 0])
    assert windows_of(unit_of(MILL_GRID), [RAIN], None) == [(at(1), at(2))]
    assert windows_of(unit_of(EAST), [RAIN], None) == [(at(0), at(3))]


def test_a_city_takes_what_is_measured_below_when_any_of_it_fits(city):
    measure(MILL_STREET, "footfall", [150, 0, 0])
    measure("330102001", "footfall", [0, 0, 200])
    assert windows_of(city, [BUSY], None) == [(at(0), at(1)), (at(2), at(3))]


@pytest.mark.parametrize(
    ("condition", "word"),
    [
        ({"kind": "noise", "op": ">", "value": 1}, "kind"),
        ({"kind": "weather", "op": "!", "value": 1}, "op"),
        ({"kind": "weather", "op": ">"}, "number"),
        ({"kind": "weather", "op": ">", "value": "nan"}, "number"),
        ("rain", "kind"),
        ({"kind": "traffic", "op": ">", "value": 1}, "Nobody measures"),
    ],
)
def test_a_condition_nobody_can_answer_is_refused(city, condition, word):
    with pytest.raises(BadCondition, match=word):
        windows_of(city, [condition], None)


WINDOWS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 8)).map(lambda w: (w[0], w[0] + w[1])), max_size=8)


@given(first=WINDOWS, second=WINDOWS)
def test_common_times_are_those_in_both(first, second):
    def moments(windows):
        return {m for start, end in windows for m in range(start, end)}

    one, two = _merged(first), _merged(second)
    assert moments(one) == moments(first)
    assert all(a[1] < b[0] for a, b in zip(one, one[1:], strict=False))
    assert moments(_common(one, two)) == moments(first) & moments(second)


def test_the_same_reading_twice_takes_the_new_value(city):
    measure(WEST, "footfall", [1, 2])
    measure(WEST, "footfall", [5])
    assert list(SensorReading.objects.values_list("value", flat=True)) == [5, 2]


def test_the_page_shows_who_measured_and_the_mean_of_those_below(city, django_assert_max_num_queries):
    measure(MILL_STREET, "footfall", [100, 200])
    measure("330102001", "footfall", [300, 400])
    measure("330100", "weather", [1])
    services.indicators_add_bulk(
        [
            {"unit": city, "indicator": "population", "value": 120_000, "year": year, "source": "census"}
            for year in (2020, 2010)
        ]
    )
    with django_assert_max_num_queries(20):
        context = unit_context(city)
    footfall = next(series for series in context["series"] if series["kind"] == "footfall")
    assert footfall["mean"] and footfall["points"] == [(DAY, 200.0), (DAY + timedelta(hours=1), 300.0)]
    assert [row["year"] for row in context["indicators"]] == [2020, 2010]
    below = unit_context(unit_of(MILL_GRID))
    assert {series["kind"]: series["unit_name"] for series in below["series"]} == {
        "weather": "Lakeside",
        "footfall": "Mill Street",
    }
    assert below["unit"]["path"].endswith("Mill South 1") and below["cameras"]["total"] == 0
