"""The demo city in the database: whole or not at all, true identities, clocks, users, samples, figures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from PIL import Image

from citysearch.demo import services, users
from citysearch.demo.facts import facts_read, samples_folder
from citysearch.demo.queries import demo_city, demo_logins, sample_photos
from citysearch.gallery.models import Crop
from citysearch.research.models import ModelVersion
from citysearch.searches.tests import cast
from units.access import units_of
from units.models import Camera, Indicator, Landmark, Level, Road, SensorReading, Unit
from units.queries import windows_of
from units.roads import RoadGraph

PEOPLE, CROPS = 5, 60

pytestmark = pytest.mark.django_db


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An engine that looks at colours alone: fast, and good enough for five people."""
    from citysearch import engine as door

    paint = cast.PaintEngine()
    door.engines_forget()
    monkeypatch.setattr(door, "_load", lambda version: paint)
    yield paint
    door.engines_forget()


@pytest.fixture(scope="module")
def drawn() -> Any:
    """Drawn once for all tests of this file."""
    return services.city_draw(7, PEOPLE, CROPS, processes=1)


@pytest.fixture
def built(drawn: Any, monkeypatch: pytest.MonkeyPatch) -> Unit:
    monkeypatch.setattr(services, "city_draw", lambda *arguments, **options: drawn)
    services.city_build(7, PEOPLE, CROPS)
    city = demo_city()
    assert city is not None
    return city


def pictures(media: Path) -> list[Path]:
    return [path for path in (media / "crops").rglob("*") if path.is_file()]


def test_the_built_city_has_units_streets_cameras_and_data(built: Unit) -> None:
    counts = {level: Unit.objects.filter(level=level).count() for level in Level}
    assert counts[Level.DISTRICT] >= 3 and counts[Level.STREET] >= 8
    assert counts[Level.REGION] >= 20 and counts[Level.GRID] >= 150
    assert Camera.objects.count() >= 48 and Road.objects.count() > 500 and Landmark.objects.count() > 5
    assert set(SensorReading.objects.values_list("kind", flat=True)) == {
        "weather", "temperature", "footfall", "traffic", "water_quality",
    }  # fmt: skip
    assert Indicator.objects.filter(unit=built).count() >= 5


def test_every_crop_knows_who_it_shows_and_its_camera_is_online(built: Unit, drawn: Any) -> None:
    assert Crop.objects.count() == len(drawn.shots)
    people = set(Crop.objects.values_list("person_id", flat=True))
    assert people == {shot.person for shot in drawn.shots} <= set(range(1, PEOPLE + 1))
    assert set(Crop.objects.values_list("camera__status", flat=True)) == {"online"}


def test_a_crop_is_stamped_by_its_camera_s_clock_within_the_stated_uncertainty(built: Unit, drawn: Any) -> None:
    true_times = {
        (shot.person, plan.row["code"]): [] for shot in drawn.shots for plan in [drawn.day.cameras[shot.camera]]
    }
    for shot in drawn.shots:
        true_times[(shot.person, drawn.day.cameras[shot.camera].row["code"])].append(shot.time)
    for crop in Crop.objects.select_related("camera"):
        shown = (crop.captured_at - drawn.midnight).total_seconds() - crop.camera.clock_offset_s
        errors = [abs(shown - time) for time in true_times[(crop.person_id, crop.camera.code)]]
        assert min(errors) <= crop.camera.clock_uncertainty_s + 0.01


def test_it_rains_for_some_hours_and_a_search_may_ask_for_them(built: Unit, drawn: Any) -> None:
    windows = windows_of(built, [{"kind": "weather", "op": ">", "value": 0}], None)
    assert windows and 0 < sum(end - start for start, end in windows) <= 5 * 3600
    assert windows[0][0] >= drawn.midnight.timestamp()


def test_the_street_graph_knows_a_way_between_any_two_cameras(built: Unit) -> None:
    from citysearch.searches.paths import place_of

    graph = RoadGraph.load()
    first, *others = Camera.objects.order_by("code")
    for other in others[::9]:
        metres, route = graph.distance(place_of(first), place_of(other))
        assert metres > 0 and len(route) > 2


def test_an_interrupted_build_leaves_nothing(drawn: Any, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(services, "city_draw", lambda *arguments, **options: drawn)

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(services, "_samples_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        services.city_build(7, PEOPLE, CROPS)
    assert demo_city() is None
    assert not Unit.objects.exists() and not Crop.objects.exists() and not Road.objects.exists()
    assert pictures(Path(settings.MEDIA_ROOT)) == []
    assert facts_read() is None


def test_users_have_their_roles_and_the_one_of_the_east_sees_the_east_alone(built: Unit) -> None:
    user_of = get_user_model().objects.get
    assert set(units_of(user_of(username="operator"), "operator")) == set(Unit.objects.all())
    east = units_of(user_of(username="operator-east"), "operator")
    assert east.count() > 10 and all(unit.code.startswith(services.EAST) for unit in east)
    assert user_of(username="administrator").is_staff and not user_of(username="operator").is_staff
    assert user_of(username="operator").check_password("citysearch")


def test_logins_are_told_only_once_there_is_a_city(db: None) -> None:
    assert demo_logins() == []


@pytest.mark.parametrize(("hosts", "known"), [(["localhost"], True), (["city.example.org"], False)])
def test_only_a_site_for_this_machine_has_the_printed_password(
    hosts: list[str], known: bool, settings: Any, built: Unit
) -> None:
    settings.ALLOWED_HOSTS, settings.DEMO_PASSWORD = hosts, ""
    password = users.demo_password()
    assert (password == "citysearch") is known
    assert users.demo_password() == password, "the same at every start"
    assert demo_logins()[0] == f"operator / {password}"


def test_a_given_password_counts(settings: Any) -> None:
    settings.DEMO_PASSWORD = "something else"
    assert users.demo_password() == "something else"


def test_sample_photos_are_offered_to_those_logged_in(built: Unit, client: Client) -> None:
    samples = sample_photos()
    assert 3 <= len(samples) <= 6
    address = samples[0]["url"]
    assert client.get(address).status_code == 302
    client.force_login(get_user_model().objects.get(username="operator"))
    answer = client.get(address)
    picture = Image.open(io.BytesIO(b"".join(answer.streaming_content)))  # type: ignore[attr-defined]
    assert (picture.format, picture.size) == ("JPEG", (192, 384))


@pytest.mark.parametrize("name", ["samples.json", "nobody.jpg", "..%2Fdb.sqlite3"])
def test_no_other_file_is_offered(built: Unit, client: Client, name: str) -> None:
    client.force_login(get_user_model().objects.get(username="operator"))
    assert client.get(f"/samples/{name}").status_code == 404


def test_a_sample_whose_file_is_gone_is_not_offered(built: Unit, client: Client) -> None:
    client.force_login(get_user_model().objects.get(username="operator"))
    for path in samples_folder().glob("*.jpg"):
        path.unlink()
    assert sample_photos() == []
    assert client.get(reverse("demo-sample", args=["walker-1.jpg"])).status_code == 404


def test_removing_the_city_leaves_the_users_and_nothing_else(built: Unit, settings: Any) -> None:
    count = Crop.objects.count()
    assert services.city_remove() == count > 0
    assert not Unit.objects.exists() and not Camera.objects.exists() and not Road.objects.exists()
    assert pictures(Path(settings.MEDIA_ROOT)) == [] and sample_photos() == []
    assert get_user_model().objects.filter(username="operator").exists()
    assert services.city_remove() == 0


def command(*options: str) -> str:
    out = io.StringIO()
    call_command("demo_city", "--no-progress", *options, stdout=out)
    return out.getvalue()


def test_the_command_builds_indexes_and_measures_once(drawn: Any, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    version = cast.make_version()
    monkeypatch.setattr(services, "city_draw", lambda *arguments, **options: drawn)
    said = command()
    assert "Built 云湖市 Cloudlake" in said and "Rank-1" in said and "path F1" in said
    facts = facts_read()
    assert facts is not None and facts.model == version.sha256
    assert 0.5 < facts.score["rank1"] <= 1.0, "colours alone tell five people apart"
    again = command()
    assert again.startswith("The demo city is there") and "Rank-1" in again
    assert Crop.objects.count() == len(drawn.shots)


def test_ctrl_c_is_answered_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(services, "city_draw", interrupted)
    with pytest.raises(SystemExit) as stopped:
        command()
    assert stopped.value.code == 130
    assert demo_city() is None


def test_an_interrupted_indexing_goes_on_at_the_next_run(built: Unit, engine: Any) -> None:
    cast.make_version()
    assert "Rank-1" in command()
    assert facts_read() is not None


def test_fresh_builds_it_anew(built: Unit, engine: Any) -> None:
    cast.make_version()
    before = demo_city()
    assert "Removed the demo city" in command("--fresh")
    after = demo_city()
    assert before is not None and after is not None and before.pk != after.pk


def test_without_a_model_the_city_is_built_and_says_so(
    drawn: Any, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    settings.BUNDLE = tmp_path / "none.reid"
    monkeypatch.setattr(services, "city_draw", lambda *arguments, **options: drawn)
    assert "There is no model" in command()
    assert demo_city() is not None and not ModelVersion.objects.exists()


def test_no_demo_city_is_built_among_real_units(city: Unit) -> None:
    assert "other units" in command()
    assert demo_city() is None


@pytest.mark.parametrize("options", [("--people", "1"), ("--crops", "2"), ("--seed", "-1")])
def test_senseless_numbers_are_refused(options: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match="must be"):
        command(*options)


@pytest.mark.slow
def test_the_shipped_model_finds_most_walkers_of_the_demo_city(settings: Any) -> None:
    command("--people", "30", "--crops", "700")
    facts = facts_read()
    assert facts is not None and facts.score["rank1"] >= 0.8 and facts.score["path_f1"] >= 0.4
