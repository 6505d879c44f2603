"""How well the active model does on the demo city, measured with the pieces a search is made of.

Rank-1: crops of the gallery as queries against the whole city, crops of the query's own camera left out.
Path F1: a fresh photo of a walker, the path a search would draw without any verdict, against where he really was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from citysearch.demo.drawing import draw_sample
from citysearch.demo.facts import Facts
from citysearch.demo.reel import jpeg
from citysearch.engine import engine_of
from citysearch.gallery.files import picture_read
from citysearch.gallery.models import Crop
from citysearch.gallery.queries import GalleryRows, gallery_of
from citysearch.research.models import ModelVersion
from citysearch.searches.paths import path_of, sightings_of
from reid_engine.contracts import Hit, Ranking
from reid_engine.photo import load_crop, load_photo
from units.models import Camera, Unit
from units.queries import cameras_under

Progress = Callable[[int, int], object]

# Crops of one camera farther apart belong to two passages.
PASSAGE_GAP_S = 120.0
PATHS = 24


@dataclass(frozen=True)
class Score:
    """Shares 0..1. `stops` and `passages` are what precision and recall are taken over."""

    rank1: float
    queries: int
    path_precision: float
    path_recall: float
    path_f1: float
    paths: int
    stops: int
    passages: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Scorer:
    """The city's whole gallery under one model version, and the truth about it."""

    def __init__(self, city: Unit, version: ModelVersion) -> None:
        self.cameras = {camera.pk: camera for camera in cameras_under(city)}
        self.engine = engine_of(version)
        self.rows: GalleryRows = gallery_of(list(self.cameras.values()), version)
        fields = Crop.objects.filter(camera__in=self.cameras).values_list("pk", "person_id", "camera_id", "captured_at")
        self.truth = {pk: (person, camera) for pk, person, camera, _time in fields}
        self.passages = _passages((pk, person, self.cameras[camera], time) for pk, person, camera, time in fields)

    def rank(self, query: NDArray[np.float32]) -> Ranking:
        """Every crop of the city in order of distance, up to SEARCH_LIMIT, as one part of a search ranks it."""
        return self.engine.rank(query, self.rows.features, self.rows.ids, settings.SEARCH_LIMIT)

    def is_first_right(self, crop: Crop) -> bool:
        """Whether the nearest crop of another camera shows the person of `crop`."""
        ranking = self.rank(self.engine.query_features([load_crop(picture_read(crop.image))]))
        elsewhere = [pk for pk in ranking.ids.tolist() if self.truth[pk][1] != crop.camera_id]
        return bool(elsewhere) and self.truth[elsewhere[0]][0] == crop.person_id

    def path_counts(self, photo: bytes, person: int) -> tuple[int, int, int, int]:
        """(right stops, stops, passages found, passages) of the path drawn for a photo of `person`."""
        ranking = self.rank(self.engine.query_features([load_photo(photo)]))
        stops = self._stops(ranking)
        found = [self.passages[pk] for pk in stops if self.truth[pk][0] == person]
        every = {passage for pk, passage in self.passages.items() if self.truth[pk][0] == person}
        return len(found), len(stops), len(set(found)), len(every)

    def _stops(self, ranking: Ranking) -> list[int]:
        """The best crop of each stop of the path."""
        times = dict(zip(self.rows.ids.tolist(), self.rows.seen_at.tolist(), strict=True))
        columns = zip(ranking.ids.tolist(), ranking.distances.tolist(), ranking.likelihoods.tolist(), strict=True)
        hits = [Hit(pk, self.truth[pk][1], times[pk], distance, likely) for pk, distance, likely in columns]
        path = path_of(sightings_of(hits, self.cameras), self.cameras)
        return [f["properties"]["crop"] for f in path["features"] if f["properties"]["kind"] == "stop"]


def city_score(city: Unit, version: ModelVersion, facts: Facts, progress: Progress | None = None) -> Score:
    """Measure Rank-1 over one query per walker and path F1 over PATHS walkers. Nothing of it is stored."""
    scorer = Scorer(city, version)
    queries, walkers = _queries(scorer), _walkers(scorer)[:PATHS]
    total, right = len(queries) + len(walkers), 0
    for number, crop in enumerate(queries, start=1):
        right += scorer.is_first_right(crop)
        _say(progress, number, total)
    counts = np.zeros(4)
    for number, person in enumerate(walkers, start=len(queries) + 1):
        counts += scorer.path_counts(jpeg(draw_sample(facts.seed, person), 92), person)
        _say(progress, number, total)
    return _score(right, len(queries), counts, len(walkers))


def _score(right: int, queries: int, counts: NDArray[np.float64], paths: int) -> Score:
    hits, stops, found, passages = counts.tolist()
    precision, recall = hits / max(stops, 1), found / max(passages, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return Score(right / max(queries, 1), queries, precision, recall, f1, paths, int(stops), int(passages))


def _say(progress: Progress | None, done: int, total: int) -> None:
    if progress:
        progress(done, total)


def _queries(scorer: Scorer) -> list[Crop]:
    """The middle crop of each walker whom at least two cameras saw."""
    own = _by_person(scorer)
    chosen = [
        ids[len(ids) // 2] for _person, ids in sorted(own.items()) if len({scorer.truth[pk][1] for pk in ids}) > 1
    ]
    return list(Crop.objects.filter(pk__in=chosen).order_by("pk"))


def _walkers(scorer: Scorer) -> list[int]:
    """Walkers seen by at least two cameras, in the order of their numbers."""
    own = _by_person(scorer)
    return sorted(person for person, ids in own.items() if len({scorer.truth[pk][1] for pk in ids}) > 1)


def _by_person(scorer: Scorer) -> Mapping[int, Sequence[int]]:
    own: dict[int, list[int]] = defaultdict(list)
    for pk, (person, _camera) in sorted(scorer.truth.items()):
        if person is not None:
            own[person].append(pk)
    return own


def _passages(crops: Iterable[tuple[int, int | None, Camera, Any]]) -> dict[int, tuple[int | None, int, int]]:
    """{crop id: passage}: crops of one person at one camera with no gap longer than PASSAGE_GAP_S."""
    passages: dict[int, tuple[int | None, int, int]] = {}
    last: dict[tuple[int | None, int], tuple[float, int]] = {}
    for pk, person, camera, time in sorted(crops, key=lambda crop: (crop[3], crop[0])):
        key, moment = (person, camera.pk), time.timestamp()
        before, number = last.get(key, (moment, 0))
        number += moment - before > PASSAGE_GAP_S
        last[key], passages[pk] = (moment, number), (person, camera.pk, number)
    return passages
