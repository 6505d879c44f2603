"""The map of a path on paper, and what is said of confirmed sightings that exclude each other."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import translation

from citysearch.cases import mapping
from citysearch.cases.contents import search_files
from citysearch.cases.mapping import path_map
from citysearch.cases.models import LogEntry
from citysearch.cases.package import package_write
from citysearch.cases.queries import evidence_pieces
from citysearch.cases.services import evidence_add
from citysearch.cases.tests.papers import Stroke, pdf_strokes, pdf_text
from citysearch.searches.models import Search
from citysearch.searches.paths import EMPTY
from units.models import Camera
from units.projection import haversine
from units.services import roads_replace

BLACK, GREY, INK = (0, 0, 0), (207, 207, 207), (23, 33, 44)
MAPPED, NORTH_UP = "Coordinate system: WGS-84", "North is up"
# A road around the cameras, near the border of the city (120.00 to 120.04, 30.00 to 30.02), and one far away.
RING = [[120.005, 30.002], [120.035, 30.002], [120.035, 30.018], [120.005, 30.018], [120.005, 30.002]]
AWAY = [[121.0, 30.0], [121.1, 30.0]]


@pytest.fixture
def kept(found: Search, operator: Any) -> Search:
    """A finished search with one piece of evidence."""
    evidence_add(found, int(found.candidates.first().crop_id), operator)
    return found


@pytest.fixture
def files(kept: Search, operator: Any) -> Any:
    """The files of the search's package as they are now, with another path if one is given."""

    def made(**changes: Any) -> dict[str, bytes]:
        for name, value in changes.items():
            setattr(kept, name, value)
        pieces = evidence_pieces(kept, operator)
        return dict(search_files(kept, pieces, LogEntry.objects.latest("id")))

    return made


def path_through(*places: list[float], inferred: bool = False) -> dict[str, Any]:
    """A path as GeoJSON, of stops before cameras that are not looked up."""
    camera = {"id": 1, "code": "cam-1", "name": "Camera 1"}
    facts = {"start": "2026-03-01T12:00:00+08:00", "end": "2026-03-01T12:00:00+08:00", "camera": camera}
    facts |= {"kind": "stop", "likelihood": 0.9, "verdict": "undecided"}
    stops = [
        {"properties": facts | {"number": n, "sighting": n}, "geometry": {"coordinates": place}}
        for n, place in enumerate(places, start=1)
    ]
    legs = [
        {"properties": {"kind": "leg", "inferred": inferred}, "geometry": {"coordinates": list(ends)}}
        for ends in zip(places, places[1:], strict=False)
    ]
    return {"features": [*legs, *stops], "conflicts": []}


def of_pen(strokes: list[Stroke], colour: tuple[int, int, int], width: float, dashes: int = 0) -> list[Stroke]:
    """The paths of the map alone: those of the legend are two points long."""
    found = [stroke for stroke in strokes if stroke[:3] == (colour, width, dashes)]
    return [stroke for stroke in found if len(stroke.points) > 2]


def reach(stroke: Stroke) -> tuple[float, float]:
    """How wide and high a path is on paper."""
    xs, ys = zip(*stroke.points, strict=True)
    return max(xs) - min(xs), max(ys) - min(ys)


def test_roads_lie_under_the_way_along_them_and_the_border_around(kept: Search, files: Any) -> None:
    roads_replace([{"line": RING}, {"line": AWAY}])
    path = path_through(*RING[:4], inferred=True)
    strokes = pdf_strokes(files(trajectory=path)["report.pdf"])
    [roads], [legs] = of_pen(strokes, GREY, 1.3), of_pen(strokes, BLACK, 1.9)
    assert strokes.index(roads) < strokes.index(legs)
    assert len(roads.points) == 5 and len(legs.points) == 6
    assert of_pen(strokes, BLACK, 1.9, dashes=2) == []
    assert len(of_pen(strokes, INK, 0.6, dashes=4)) == 1
    wide, high = reach(legs)
    metres = haversine((120.005, 30.01), (120.035, 30.01)), haversine((120.02, 30.002), (120.02, 30.018))
    assert wide / high == pytest.approx(metres[0] / metres[1], rel=1e-3)


def test_the_map_says_its_coordinates_its_lines_and_how_long_a_metre_is(kept: Search, files: Any) -> None:
    roads_replace([{"line": RING}])
    said = pdf_text(files(trajectory=path_through(*RING[:3], inferred=True))["report.pdf"])
    wanted = [MAPPED, NORTH_UP, "way along roads, computed", "border of the searched unit", "500 m"]
    assert [words for words in wanted if words.replace(" ", "") not in said.replace(" ", "")] == []
    assert "straight line" not in said
    with translation.override("zh-hans"):
        said = pdf_text(files()["report.pdf"])
    assert all(words in said for words in ("坐标系：WGS-84", "被检索单元边界", "道路")) and NORTH_UP not in said


def test_without_roads_a_straight_dashed_line_leads_from_stop_to_stop(found: Search, kept: Search, files: Any) -> None:
    """The path of a real search, in a city whose streets nobody has imported."""
    stops = [one for one in found.trajectory["features"] if one["properties"]["kind"] == "stop"]
    assert len(stops) > 1
    made = files()["report.pdf"]
    strokes = pdf_strokes(made)
    assert of_pen(strokes, BLACK, 1.9, dashes=2) and not of_pen(strokes, BLACK, 1.9) and not of_pen(strokes, GREY, 1.3)
    assert "straight line: the way is not known" in pdf_text(made) and "computed" not in pdf_text(made)


def test_without_a_path_there_is_no_map(kept: Search, files: Any) -> None:
    roads_replace([{"line": RING}])
    for trajectory in (None, EMPTY):
        made = files(trajectory=trajectory)["report.pdf"]
        assert MAPPED not in pdf_text(made) and not of_pen(pdf_strokes(made), GREY, 1.3)


def test_one_stop_is_shown_with_the_streets_around_it(kept: Search, files: Any) -> None:
    beside = [[120.0105, 30.0], [120.0105, 30.01], [120.0106, 30.02]]
    roads_replace([{"line": beside}, {"line": AWAY}])
    made = files(trajectory=path_through([120.01, 30.005]))["report.pdf"]
    assert len(of_pen(pdf_strokes(made), GREY, 1.3)) == 1 and MAPPED in pdf_text(made)
    assert "200 m" in pdf_text(made) and "computed" not in pdf_text(made)


def test_a_drawn_area_is_what_was_searched(kept: Search) -> None:
    corners = [[120.008, 30.004], [120.012, 30.004], [120.012, 30.006], [120.008, 30.006], [120.008, 30.004]]
    kept.area = {"type": "Polygon", "coordinates": [corners]}
    drawn = path_map(kept, path_through([120.01, 30.005], [120.011, 30.005]))
    assert drawn and drawn.is_drawn_area
    assert {tuple(place) for line in drawn.outline for place in line} == {tuple(corner) for corner in corners}
    kept.area, kept.unit.polygon = None, None
    drawn = path_map(kept, path_through([120.01, 30.005]))
    assert drawn and drawn.outline == [] and not drawn.is_drawn_area


def test_of_too_many_roads_the_longest_within_the_frame_are_drawn(
    kept: Search, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(mapping, "ROADS", 2)
    roads_replace([{"line": [[120.01, 30.005], [120.01 + n / 1000, 30.005]]} for n in (1, 3, 2)] + [{"line": AWAY}])
    with django_assert_num_queries(2):
        drawn = path_map(kept, path_through([120.01, 30.005], [120.02, 30.005]))
    assert drawn and [line[-1][0] for line in drawn.roads] == [120.013, 120.012]


def test_stops_at_one_place_share_a_mark_and_nothing_leads_from_a_place_to_itself(kept: Search) -> None:
    here, there = [120.01, 30.005], [120.03, 30.015]
    drawn = path_map(kept, path_through(here, there, here, here, here, there))
    assert drawn and len(drawn.legs) == 3
    marks = mapping._marks({number: drawn.sheet.at(place) for number, place in drawn.stops.items()})
    assert [words for _place, words in marks] == ["1, 3–5", "2, 6"]
    assert mapping._numbers(range(1, 80, 2)) == "1, 3, 5, 7, 9, 11, 13, 15, …"


def test_every_place_of_a_path_lies_within_the_frame_wherever_on_earth(kept: Search) -> None:
    for south, east in ((30.0, 0.4), (69.0, 0.001), (-33.0, 0.0), (0.0, 3.0)):
        drawn = path_map(kept, path_through([20.0, south], [20.0 + east, south + 0.1]))
        assert drawn
        places = [drawn.sheet.at(place) for place in drawn.stops.values()]
        assert all(0 < x < mapping.WIDTH and 0 < y < drawn.sheet.height for x, y in places)
        assert math.dist(*places) > 100
    assert mapping._round_below(9.99) == 5 and mapping._round_below(200) == 200 and mapping._round_below(0.3) == 0.2


# Confirmed sightings that exclude each other.


@pytest.fixture
def torn(found: Search, api: Any, gallery: Any, eager_tasks: None, django_capture_on_commit_callbacks: Any) -> Search:
    """Corrected for cam-4's clock, person 1 stood before cam-1 and cam-4 half a minute apart; both are confirmed."""
    Camera.objects.filter(code="cam-4").update(clock_offset_s=3 * 1800 - 30, clock_uncertainty_s=0)
    names = ("0001_c1s1_000000_00.jpg", "0001_c4s1_000000_00.jpg")
    crops = [found.candidates.get(crop__source_name=name).crop_id for name in names]
    with django_capture_on_commit_callbacks(execute=True):
        body = [{"crop": crop, "verdict": "confirmed"} for crop in crops]
        assert api.post(f"/api/v1/searches/{found.pk}/verdicts/", body, format="json").status_code == 202
    found.refresh_from_db()
    return found


def test_the_report_says_which_two_where_when_why_and_what_the_path_keeps(torn: Search, files: Any) -> None:
    [conflict] = torn.trajectory["conflicts"]
    speed = f"{conflict['distance_m'] / conflict['seconds'] * 3.6:,.0f} km/h would have been needed."
    wanted = ["Confirmed sightings that exclude each other", "Camera 1 – cam-1, 2026-03-01", "Camera 4 – cam-4"]
    wanted += [f"{conflict['distance_m']:,.0f} m apart, {conflict['seconds']:.0f} s between them:", speed]
    wanted += ["more than 10.8 km/h", "The path keeps the", ", the likelier choice."]
    made = files()
    for said in (pdf_text(made["report.pdf"]), made["report.html"].decode()):
        assert [words for words in wanted if words.replace(" ", "") not in said.replace(" ", "")] == []
    with translation.override("zh-hans"):
        made = files()
    for said in (pdf_text(made["report.pdf"]), made["report.html"].decode()):
        assert all(words in said for words in ("互相矛盾的已确认出现记录", "所需速度为", "可能性更大", "路径保留"))
        assert "apart" not in said and "likelier" not in said


def test_the_page_for_printing_says_it_too_and_the_package_stays_verifiable(
    torn: Search, operator: Any, files: Any, tmp_path: Path
) -> None:
    client = Client()
    client.force_login(operator)
    assert "exclude each other" in client.get(f"/search/{torn.pk}/evidence").content.decode()
    path = tmp_path / "evidence.zip"
    with package_write(files().items()) as package:
        path.write_bytes(package.read())
    call_command("verify_export", path, verbosity=0)


def test_without_conflicts_nothing_is_said_of_them(kept: Search, files: Any) -> None:
    made = files()
    assert kept.trajectory["conflicts"] == []
    assert b"exclude" not in made["report.html"] and "exclude" not in pdf_text(made["report.pdf"])


@pytest.mark.parametrize(
    ("sightings", "words"), [((1, 9), "keeps the first"), ((9, 2), "keeps the second"), ((8, 9), "keeps neither")]
)
def test_what_the_path_keeps_is_read_from_the_path(
    files: Any, kept: Search, sightings: tuple[int, int], words: str
) -> None:
    path = path_through([120.01, 30.005], [120.03, 30.015])
    ends = [path["features"][-1]["properties"] | {"sighting": sighting} for sighting in sightings]
    ends[1] |= {"camera": None, "photo": 1}
    path["conflicts"] = [{"first": ends[0], "second": ends[1], "distance_m": 1520.4, "seconds": -20.0}] * 52
    said = files(trajectory=path)["report.html"].decode()
    assert (
        said.count(f"1,520 m apart, with no time between them: no speed would have been enough. The path {words}") == 50
    )
    assert "Query photo 2" in said and "Pairs not named here: 2." in said
