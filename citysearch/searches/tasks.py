"""Celery tasks of a search. Each takes an id and calls one step of the pipeline; what comes next is decided here.

search_run -> search_part per part -> search_finish by the last one; search_rescore after verdicts, search_redraw after
crops were erased.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from celery import Task, shared_task
from django.db import OperationalError as DatabaseBusy
from kombu.exceptions import OperationalError as BrokerGone

from citysearch.engine import memory_trim
from citysearch.errors import ServiceError
from citysearch.searches import explanations, pipeline, watch  # noqa: F401  watch connects itself to the worker
from citysearch.searches.models import Search, SearchPart
from citysearch.searches.states import CLOSED, search_fail, search_move
from reid_engine.errors import ReidError

log = logging.getLogger(__name__)

ENGINE_QUEUE = "engine"


@shared_task(name="searches.search_run", queue=ENGINE_QUEUE)
def search_run(search_id: str) -> None:
    """Check, enhance, extract, then one task per part."""
    with _said(UUID(search_id)):
        parts = pipeline.search_prepare(UUID(search_id))
        for part in parts:
            _pass_on(search_part, part)
        if not parts:
            _pass_on(search_finish, search_id)


@shared_task(name="searches.search_part", queue=ENGINE_QUEUE)
def search_part(part_id: int) -> None:
    """Match one part; after the last one, finish."""
    search_id = SearchPart.objects.filter(pk=part_id).values_list("search_id", flat=True).first()
    with _said(search_id):
        outcome = pipeline.part_match(part_id)
        if outcome and outcome[1]:
            _pass_on(search_finish, str(outcome[0]))


@shared_task(name="searches.search_finish", queue=ENGINE_QUEUE)
def search_finish(search_id: str) -> None:
    """Sightings, path, done."""
    with _said(UUID(search_id)):
        if pipeline.search_close(UUID(search_id)):
            _pass_on(search_rescore, search_id)
    _foresee(UUID(search_id))
    memory_trim()


@shared_task(name="searches.search_rescore", queue=ENGINE_QUEUE)
def search_rescore(search_id: str) -> None:
    """Rank and draw again with the verdicts given so far."""
    with _said(UUID(search_id)):
        if pipeline.search_rescore(UUID(search_id)):
            _pass_on(search_rescore, search_id)
    memory_trim()


@shared_task(name="searches.search_redraw", queue=ENGINE_QUEUE)
def search_redraw(search_id: str) -> None:
    """Draw again from the candidates that are left."""
    with _said(UUID(search_id)):
        pipeline.search_redraw(UUID(search_id))


@shared_task(name="searches.explanation_draw", queue=ENGINE_QUEUE)
def explanation_draw(search_id: str, crop_id: int, position: int) -> None:
    """Draw the overlay that explains one hit. What fails is in the log; the reader is told to try again."""
    try:
        explanations.explanation_draw(UUID(search_id), crop_id, position)
    except (ReidError, ServiceError, OSError):
        log.exception("explanation of crop %d in search %s", crop_id, search_id)


def _foresee(pk: UUID) -> None:
    """What the first verdict will need; the search is over, and nothing that fails here is the matter of anybody."""
    try:
        pipeline.search_foresee(pk)
    except Exception:
        log.exception("the ways of search %s were not measured ahead", pk)


def redraw_request(pk: UUID) -> None:
    """Have a search drawn again."""
    _pass_on(search_redraw, str(pk))


def _pass_on(task: Task, argument: object) -> None:
    """Send the next step to the queue; with the broker gone, the worker that has the search in hand goes on itself."""
    try:
        task.delay(argument)
    except BrokerGone:
        log.warning("the broker is gone; %s(%s) runs here", task.name, argument)
        task.run(argument)


@contextmanager
def _said(pk: UUID | None) -> Iterator[None]:
    """An error becomes the search's state, with a code and words; a busy database leaves it to be taken up again."""
    try:
        yield
    except Search.DoesNotExist:
        log.info("search %s is gone", pk)
    except DatabaseBusy:
        log.exception("search %s waits for the database", pk)
    except (ReidError, ServiceError) as error:
        log.warning("search %s: %s", pk, error)
        _fail(pk, error.code, str(error))
    except Exception as error:
        log.exception("search %s failed", pk)
        _fail(pk, "internal", f"{type(error).__name__}: {error}")


def _fail(pk: UUID | None, code: str, message: str) -> None:
    """An open search fails; a closed one keeps its result and says why it could not be scored again."""
    if pk is None or search_fail(pk, code, message):
        return
    newest = pipeline.newest_verdict(pk)
    error = {"code": code, "stage": "rescore", "message": message}
    search_move(pk, CLOSED, error=error, scored_verdict=newest)
