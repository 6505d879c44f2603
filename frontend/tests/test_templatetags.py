"""Words, figures and plots of the templates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.template import Context, Template
from django.utils.translation import override
from hypothesis import given
from hypothesis import strategies as st

from frontend.templatetags.frontend import HEIGHT, WIDTH, grouped, likelihood_words, odds, place, plot_line, seconds

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


WORDS = [(0.95, "very likely"), (0.9, "very likely"), (0.7, "likely"), (0.3, "possible"), (0.1, "unlikely")]


@pytest.mark.parametrize(("likelihood", "words"), [*WORDS, (0.0999, "very unlikely")])
def test_a_likelihood_is_said_in_words(likelihood: float, words: str) -> None:
    assert likelihood_words(likelihood) == words


@pytest.mark.parametrize(
    ("name", "english", "chinese"),
    [
        ("湖滨区 Lakeside", "Lakeside", "湖滨区"),
        ("运河大道·梧桐路南 Canal Avenue / Plane Road S", "Canal Avenue / Plane Road S", "运河大道·梧桐路南"),
        ("Lakeside", "Lakeside", "Lakeside"),
        ("湖滨区", "湖滨区", "湖滨区"),
        ("Camera 湖 7", "Camera 湖 7", "Camera 湖 7"),
    ],
)  # fmt: skip
def test_of_a_name_in_two_languages_each_reader_sees_the_own_one(name: str, english: str, chinese: str) -> None:
    assert place(name) == english
    with override("zh-hans"):
        assert place(name) == chinese


def test_where_a_search_looked_is_its_unit_or_the_area_in_it() -> None:
    from citysearch.searches.models import Search
    from frontend.templatetags.frontend import where
    from units.models import Unit

    unit = Unit(name="湖滨区 Lakeside")
    assert [where(Search(unit=unit, area=area)) for area in (None, {"type": "Polygon"})] == [
        "Lakeside",
        "Drawn area in Lakeside",
    ]


def test_a_change_has_its_sign() -> None:
    from frontend.templatetags.frontend import change

    assert [change(share) for share in (0.0152, -0.003, 0.0001)] == ["+1.5%", "−0.3%", "±0.0%"]


def test_spans_of_time_are_short_and_exact_enough() -> None:
    assert [seconds(value) for value in (0.84, 9.96, 42.4, 185)] == ["0.8 s", "10 s", "42 s", "3 min 05 s"]


def test_large_numbers_are_grouped() -> None:
    assert grouped(1234567) == "1,234,567"


def test_an_icon_is_decoration_and_comes_from_the_sprite() -> None:
    drawn = Template("{% load frontend %}{% icon 'search' %}").render(Context())
    assert 'aria-hidden="true"' in drawn
    assert "img/icons.svg#search" in drawn


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60))
def test_a_plot_stays_in_its_box_and_goes_from_left_to_right(values: list[float]) -> None:
    points = [(NOON + timedelta(hours=number), value) for number, value in enumerate(values)]
    drawn = [tuple(map(float, point.split(","))) for point in plot_line(points).split(" ")]
    assert len(drawn) == len(values)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in drawn)
    assert [x for x, _y in drawn] == sorted(x for x, _y in drawn)


def test_a_higher_value_is_drawn_higher() -> None:
    points = [(NOON, 1.0), (NOON + timedelta(hours=1), 9.0)]
    (_, low), (_, high) = (map(float, point.split(",")) for point in plot_line(points).split(" "))
    assert high < low


def test_a_likelihood_is_never_nought_and_never_a_hundred_per_cent() -> None:
    assert [odds(value) for value in (0.0, 0.004, 0.014, 0.86, 0.996, 1.0)] == [
        "under 1%",
        "under 1%",
        "1%",
        "86%",
        "99%",
        "99%",
    ]
