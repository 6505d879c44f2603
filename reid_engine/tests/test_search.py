"""The operator path from bytes to path: a walker whose crops are pictures, an engine that really looks at them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reid_engine import bundle
from reid_engine.calibration import Calibration
from reid_engine.contracts import Place, Ranking
from reid_engine.data.market1501 import parse_name
from reid_engine.engine import Engine
from reid_engine.errors import BadPhoto, EmptyGallery
from reid_engine.models import build
from reid_engine.photo import load_crop
from reid_engine.search import Gallery, hits_of, search

PLACES = {camera: Place(0.002 * camera, 0.0, 10.0) for camera in range(4)}
NOON = 1_700_000_000.0
CONFIG = {"backbone": "osnet_x0_25"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A random OSNet whose attention is switched off: it tells colours apart, which is all this story needs."""
    torch.manual_seed(1)
    model = build({**CONFIG, "classes": 0}).eval()
    torch.nn.init.zeros_(model.attention.expand.weight)
    path = tmp_path_factory.mktemp("bundle") / "colours.reid"
    facts = {
        "name": "colours",
        "created": "2026-01-01T00:00:00Z",
        "config": CONFIG,
        "preprocessing": {"height": 64, "width": 32, "mean": [0.5] * 3, "std": [0.25] * 3, "views": ["plain", "flip"]},
        "metrics": {},
        "calibration": Calibration(400.0, -8.0).as_dict(),
    }
    bundle.write(path, model, facts)
    return Engine(path)


def dressed(colour: tuple[int, int, int], seed: int) -> Image.Image:
    """A person in clothes of one colour before a noisy grey wall."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(118, 128, (128, 64, 3)).astype(np.int64)
    pixels[20:120, 8:56] = np.array(colour) + rng.integers(-3, 4, (100, 48, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def as_jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def gallery(engine: Engine) -> Gallery:
    """Someone in red walks past cameras 0, 1, 2, 3 in three minutes each; others in blue stand about."""
    red = [
        (camera, NOON + 180 * camera + second, dressed((220, 40, 40), 10 * camera + second))
        for camera in range(4)
        for second in range(2)
    ]
    blue = [(camera, NOON + 50 * i, dressed((40, 60, 220), 100 + i)) for i, camera in enumerate([0, 1, 2, 3] * 3)]
    rows = [row for pair in zip(red, blue, strict=False) for row in pair] + blue[len(red) :]
    cameras, times, crops = zip(*rows, strict=True)
    return Gallery(
        ids=np.arange(500, 500 + len(rows)),
        features=engine.crop_features(crops),
        camera_ids=np.array(cameras),
        seen_at=np.array(times),
        places=PLACES,
    )


def test_a_photo_leads_to_the_walkers_crops_sightings_and_path(engine: Engine, gallery: Gallery) -> None:
    answer = search(engine, [as_jpeg(dressed((220, 40, 40), 999))], gallery)
    assert set(answer.ranking.ids[:8].tolist()) == {500 + 2 * i for i in range(8)}
    assert answer.ranking.exact and answer.ranking.scanned == len(gallery.ids)
    by_id = {sighting.id: sighting for sighting in answer.sightings}
    path = [by_id[stop.sighting_id] for stop in answer.trajectory.stops]
    assert [sighting.camera_id for sighting in path] == [0, 1, 2, 3]
    assert all(len(sighting.crop_ids) == 2 for sighting in path)
    assert [leg.distance_m for leg in answer.trajectory.legs] == pytest.approx([222.4] * 3, abs=0.1)


def test_the_limit_cuts_the_ranking_and_what_follows_from_it(engine: Engine, gallery: Gallery) -> None:
    answer = search(engine, [as_jpeg(dressed((220, 40, 40), 999))], gallery, limit=3)
    assert len(answer.ranking.ids) == 3 == sum(len(s.crop_ids) for s in answer.sightings)


def test_a_road_graph_is_asked_for_the_ways_between_stops(engine: Engine, gallery: Gallery) -> None:
    roads = Gallery(**{**gallery.__dict__, "ground_distance": lambda a, b: (300.0, ((0.0, 0.0), (0.1, 0.1)))})
    legs = search(engine, [as_jpeg(dressed((220, 40, 40), 999))], roads).trajectory.legs
    assert {leg.distance_m for leg in legs} == {300.0} and all(leg.route for leg in legs)


def test_hits_carry_the_camera_and_time_of_their_own_crop() -> None:
    gallery = Gallery(
        np.array([9, 3, 7]), np.empty((3, 2), np.float16), np.array([90, 30, 70]), np.array([9.0, 3, 7]), {}
    )
    some = np.array([0.1, 0.2], np.float32)
    hits = hits_of(Ranking(np.array([7, 9]), some, some, some, 3, True), gallery)
    assert [(hit.crop_id, hit.camera_id, hit.seen_at) for hit in hits] == [(7, 70, 7.0), (9, 90, 9.0)]


def test_an_empty_gallery_and_a_bad_photo_are_said_plainly(engine: Engine, gallery: Gallery, tmp_path: Path) -> None:
    nothing = Gallery(np.empty(0, np.int64), np.empty((0, 512), np.float16), np.empty(0, np.int64), np.empty(0), PLACES)
    with pytest.raises(EmptyGallery, match="no crop"):
        search(engine, [as_jpeg(dressed((220, 40, 40), 1))], nothing)
    with pytest.raises(BadPhoto, match="not a JPEG"):
        search(engine, [b"no picture"], gallery)


@pytest.mark.slow
def test_real_people_are_found_by_the_shipped_bundle(real_data: Path) -> None:
    """Twenty people of the validation cut, each behind six cameras a minute apart, searched by a photo of theirs."""
    root = real_data / "market1501-451"
    crops = sorted(path for path in (root / "bounding_box_test").glob("*.jpg"))[:400]
    named = [parse_name(path.name) for path in crops]
    engine, cameras = Engine(bundle.SHIPPED), np.array([name.camera_id for name in named])
    gallery = Gallery(
        ids=np.arange(len(crops)),
        features=engine.crop_features([load_crop(path.read_bytes()) for path in crops]),
        camera_ids=cameras,
        seen_at=NOON + 600.0 * cameras + np.array([name.frame % 60 for name in named], dtype=float),
        places={camera: Place(0.002 * camera, 0.0, 10.0) for camera in range(1, 7)},
    )
    people = np.array([name.person_id for name in named])
    queries = {parse_name(path.name).person_id: path for path in sorted((root / "query").glob("*.jpg"))}
    asked = [person for person in queries if person in people][:20]
    first_right = path_right = path_stops = 0
    for person in asked:
        answer = search(engine, [queries[person].read_bytes()], gallery, limit=100)
        first_right += int(people[answer.ranking.ids[0]] == person)
        crops_of = {sighting.id: sighting.crop_ids[0] for sighting in answer.sightings}
        found = [people[crops_of[stop.sighting_id]] for stop in answer.trajectory.stops]
        path_right, path_stops = path_right + found.count(person), path_stops + len(found)
    assert first_right >= 0.8 * len(asked)
    assert path_right >= 0.5 * path_stops > 0
