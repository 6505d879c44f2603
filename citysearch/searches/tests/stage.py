"""What the tests of real worker processes run beside themselves: `python -m citysearch.searches.tests.stage WORD`.

setup   migrate and fill the installation under VAR_DIR: a city of two districts, four cameras, 400 crops
        of today, which the worker's purge of old ones leaves alone
start   start a search and print its id
worker  a Celery worker whose engine takes a third of a second for every fifty crops
"""

from __future__ import annotations

import os
import sys
import time


def setup() -> None:
    from datetime import timedelta

    import numpy as np
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.utils import timezone

    from citysearch.searches.tests import cast
    from units.models import Camera, Membership
    from units.tree import unit_add

    call_command("migrate", verbosity=0)
    city = unit_add(None, name="Lakeside", code="L", free_code=True)
    user = get_user_model().objects.create_user("operator", password="a long password")
    Membership.objects.create(user=user, role="operator", unit=city)
    version = cast.make_version()
    rng = np.random.default_rng(3)
    for number in range(4):
        district = unit_add(city, name=f"District {number}", code=f"L{number}", free_code=True)
        camera = Camera.objects.create(
            unit=district, code=f"cam-{number}", free_code=True, name=f"Camera {number}",
            longitude=120 + number / 100, latitude=30,
        )  # fmt: skip
        features = rng.normal(size=(100, cast.DIM)).astype(np.float16)
        cast.store_vectors(camera, version, features, start=timezone.now() - timedelta(hours=6))


def start() -> None:
    from django.contrib.auth import get_user_model

    from citysearch.searches.services import search_start
    from citysearch.searches.tests import cast
    from units.models import Unit

    user = get_user_model().objects.get(username="operator")
    print(search_start(user, Unit.objects.get(code="L"), [cast.photo_of(1)], "purpose", "case").pk)


def worker() -> None:
    from citysearch import engine
    from citysearch.celery import app
    from citysearch.searches import pipeline
    from citysearch.searches.tests import cast

    paint = cast.PaintEngine()
    paint.before_rank = lambda: time.sleep(1 / 3)
    engine._load = lambda version: paint  # type: ignore[assignment, return-value]
    pipeline.BATCH_ROWS = 50
    cast.neutral_ranker()
    app.worker_main(["worker", "-P", "threads", "-c", "1", "-Q", "engine,default", "-l", "INFO", "--without-gossip",
                     "--without-mingle", "-n", f"stage{os.getpid()}@%h"])  # fmt: skip


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "citysearch.settings")
    django.setup()
    {"setup": setup, "start": start, "worker": worker}[sys.argv[1]]()
