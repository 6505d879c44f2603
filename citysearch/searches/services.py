"""Everything that writes a search outside of a worker: start, run again, cancel, verdicts, taking up lost ones."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from celery import Task, current_app
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError as BrokerGone

from citysearch.errors import Conflict, Unavailable
from citysearch.gallery.models import Crop, Segment
from citysearch.research.models import ModelVersion
from citysearch.research.queries import active_model
from citysearch.searches import tasks
from citysearch.searches.access import SEARCHERS, user_pk
from citysearch.searches.areas import Area, area_checked, area_unit
from citysearch.searches.models import Search, Verdict
from citysearch.searches.photos import CheckedPhoto, Taken, photos_again, photos_check, photos_remove, photos_store
from citysearch.searches.refusals import ERROR_WORDS, SearchRefused
from citysearch.searches.signals import search_started, verdicts_given
from citysearch.searches.states import CLOSED, OPEN, STALE_AFTER, State, lost, search_fail, search_move
from reid_engine.photo import Box
from units.access import User, has_role
from units.models import Unit
from units.queries import camera_ids, cameras_under, windows_of

log = logging.getLogger(__name__)

LONGEST = {"purpose": 300, "case": 80}
MAX_ATTEMPTS = 10
# While messages wait in the queue a silent search is most likely one of them; after this it is taken up regardless.
WAITING_AT_MOST = timedelta(minutes=10)


def search_start(
    user: User,
    unit: Unit | None,
    photos: Sequence[bytes],
    purpose: str,
    case: str,
    period_from: datetime | None = None,
    period_to: datetime | None = None,
    conditions: Sequence[Mapping[str, Any]] = (),
    area: object = None,
    boxes: Sequence[Box | None] = (),
    taken: Sequence[Taken | None] = (),
) -> Search:
    """Check everything that can be checked at once, store the search and hand it to the engine's queue.

    Searched is the unit, or instead of one the cameras in a drawn `area` (GeoJSON) that the user may search. `boxes`
    are the parts of the photos, in their order, that are compared, None is the whole photo; `taken` says where and when
    they were taken, None is unknown. Raises SearchRefused: no
    purpose or case, a bad photo, a unit or area without cameras or crops, a period that ends before it starts, a
    gallery indexed by another model version. Raises Unavailable while no model is active. A broker that is gone is no
    error: the search stays queued and is taken up when the broker is back.
    """
    texts = _checked_texts(purpose, case)
    unit, drawn = scope_of(user, unit, area)
    check_period(period_from, period_to)
    windows_of(unit, conditions, (period_from, period_to))  # refuses conditions that nobody can answer
    fields: dict[str, Any] = {"period_from": period_from, "period_to": period_to, "area": drawn}
    fields["conditions"] = [dict(condition) for condition in conditions]
    version = _checked_gallery(unit, drawn)
    return _search_create(user, unit, version, photos_check(photos, boxes, taken), texts | fields)


def search_rerun(search: Search, user: User) -> Search:
    """The same photos, unit or area, period, purpose and case, over today's gallery and model; the old one stays."""
    unit, area = scope_of(user, None if search.area else search.unit, search.area)
    fields = {name: getattr(search, name) for name in ("purpose", "case", "period_from", "period_to", "conditions")}
    version = _checked_gallery(unit, area)
    try:
        kept = photos_again(search)
    except OSError as error:
        raise SearchRefused("bad_photo", ERROR_WORDS["bad_photo"], status=409) from error
    return _search_create(user, unit, version, kept, fields | {"area": area})


def scope_of(user: User, unit: Unit | None, area: object) -> tuple[Unit, Area | None]:
    """The unit whose rights a search follows, and its drawn area if it has one; raises SearchRefused."""
    if (unit is None) == (area is None):
        message = _("Choose a unit or draw an area: one of them, not both.")
        raise SearchRefused("invalid", message, {"unit": message})
    if unit is None:
        drawn = area_checked(area)
        return area_unit(user, drawn), drawn
    _check_right(user, unit)
    return unit, None


def search_cancel(search: Search) -> Search:
    """Stop a search; what its finished parts found stays. Raises Conflict when it is over already."""
    now = timezone.now()
    if not search_move(search.pk, (State.QUEUED,), state=State.CANCELLED, cancel_requested=True, finished_at=now):
        if not search_move(search.pk, (State.RUNNING,), cancel_requested=True):
            raise Conflict(_("This search is over and cannot be stopped."))
        _close_if_nobody_is_at_it(search.pk)
    search.refresh_from_db()
    return search


def verdicts_add(search: Search, user: User, verdicts: Iterable[tuple[int, str]]) -> list[Verdict]:
    """Store what a person said of crops of this search, then score and draw again in the engine's queue.

    Every verdict is kept, the latest of each crop counts. Given while the search still runs, they are taken into
    account at its end. Raises SearchRefused for a crop that is none of the search's hits or an unknown verdict.
    """
    given = list(verdicts)
    _check_verdicts(search, given)
    with transaction.atomic():
        rows = Verdict.objects.bulk_create(
            Verdict(search=search, crop_id=crop, value=value, user_id=user_pk(user)) for crop, value in given
        )
        verdicts_given.send(Verdict, search=search, user=user, rows=rows)
        search_move(search.pk, CLOSED, heartbeat_at=timezone.now(), attempts=0)
        transaction.on_commit(lambda: _hand_over_verdicts(search.pk))
    return rows


def searches_requeue() -> int:
    """Hand searches that no worker has in hand to the queue again; how many there were.

    These are searches whose message never reached the broker or got lost with it, and those whose worker died: the
    broker itself gives a dead worker's message back only after the visibility timeout, which is hours. Any worker may
    call this at any time: a search is claimed by its heartbeat, so one worker hands it over, once.
    """
    found = list(Search.objects.filter(lost() | _verdicts_lost()).defer("trajectory", "features", "coverage"))
    waiting = _messages_waiting() if found else 0
    if waiting is None:
        return 0
    return sum(_take_up(search, counted=not waiting) for search in found if not waiting or _is_overdue(search))


def _checked_texts(purpose: str, case: str) -> dict[str, str]:
    texts = {"purpose": purpose.strip(), "case": case.strip()}
    words = {"purpose": _("State the purpose of the search."), "case": _("State the case the search belongs to.")}
    missing: dict[str, object] = {name: words[name] for name, text in texts.items() if not text}
    for name, text in texts.items():
        if len(text) > LONGEST[name]:
            missing[name] = _("At most %(most)s characters.") % {"most": LONGEST[name]}
    if missing:
        raise SearchRefused("invalid", _("A search needs a purpose and a case."), missing)
    return texts


def _check_right(user: User, unit: Unit) -> None:
    if not has_role(user, unit, *SEARCHERS):
        raise SearchRefused("not_found", _("There is no such unit."), {"unit": _("There is no such unit.")}, 404)


def check_period(start: datetime | None, end: datetime | None) -> None:
    if start and end and end <= start:
        message = _("The period ends before it starts. Swap the two times.")
        raise SearchRefused("bad_period", message, {"to": message})


def _checked_gallery(unit: Unit, area: Area | None = None) -> ModelVersion:
    """The active model version, where the unit (or area) has something indexed by it; SearchRefused, Unavailable."""
    version = active_model()
    if version is None:
        raise Unavailable(_("No model version is active. An administrator has to register and activate one."))
    cameras = cameras_under(unit).order_by()
    if not cameras.exists():
        raise _empty(unit, "no_camera", _("%(unit)s has no camera. Choose a unit with cameras."))
    if not Crop.objects.filter(camera__in=cameras).exists():
        raise _empty(
            unit,
            "empty_gallery",
            _("%(unit)s is empty: its cameras have no crops yet. Import crops or choose another unit."),
        )
    _check_indexed(Segment.objects.filter(camera__in=cameras), version)
    if area and not camera_ids(cameras.filter(Exists(Segment.objects.filter(camera=OuterRef("pk")))), area):
        message = _("No camera in this area has crops that can be searched. Draw a larger one.")
        raise SearchRefused("empty_gallery", message, {"area": message})
    return version


def _empty(unit: Unit, code: str, words: object) -> SearchRefused:
    message = str(words) % {"unit": unit.name}
    return SearchRefused(code, message, {"unit": message})


def _check_indexed(segments: Any, version: ModelVersion) -> None:
    if segments.filter(model_version=version).exists():
        return
    code = "bundle_mismatch" if segments.exists() else "not_indexed"
    raise SearchRefused(code, ERROR_WORDS[code], {"unit": ERROR_WORDS[code]}, status=409)


def _search_create(
    user: User, unit: Unit, version: ModelVersion, checked: Sequence[CheckedPhoto], fields: Mapping[str, Any]
) -> Search:
    search = Search(user_id=user_pk(user), unit=unit, model_version=version, **fields)
    try:
        with transaction.atomic():
            search.save(force_insert=True)
            photos_store(search, checked)
            search_started.send(Search, search=search, user=user)
            # Robust: the search is stored by then; what cannot be handed over is taken up later.
            transaction.on_commit(lambda: _hand_over(tasks.search_run, search.pk), robust=True)
    except Exception as error:
        # Whatever failed, no row names the photos: nobody would ever remove them.
        photos_remove(search.pk)
        if not isinstance(error, OSError):
            raise
        raise Unavailable(
            _("The photos could not be stored: %(reason)s. Free some space.") % {"reason": error.strerror}
        ) from error
    search.refresh_from_db()
    return search


def _hand_over(task: Task, pk: UUID) -> bool:
    """Send a search to the queue; with the broker gone it is kept, says so, and is taken up later."""
    try:
        task.delay(str(pk))
    except BrokerGone as gone:
        log.warning("search %s waits for the broker: %s", pk, gone)
        search_move(pk, OPEN, error={"code": "broker_gone", "stage": "check", "message": str(gone), "kept": 0})
        return False
    return True


def _hand_over_verdicts(pk: UUID) -> None:
    """Only a closed search is scored again; an open one looks at the verdicts when it closes."""
    if Search.objects.filter(pk=pk, state__in=CLOSED).exists():
        _hand_over(tasks.search_rescore, pk)


def _close_if_nobody_is_at_it(pk: UUID) -> None:
    if Search.objects.filter(lost(), pk=pk).exists():
        _hand_over(tasks.search_finish, pk)


def _check_verdicts(search: Search, given: Sequence[tuple[int, str]]) -> None:
    if search.state == State.FAILED:
        raise Conflict(_("This search has failed; there is nothing to judge. Run it again."))
    crops = {crop for crop, _value in given}
    known = set(search.candidates.filter(crop__in=crops).values_list("crop_id", flat=True))
    if not crops or crops - known:
        message = _("These crops are no hits of this search: %(crops)s.") % {"crops": sorted(crops - known)}
        raise SearchRefused("unknown_crop", message, {"crop": message})
    if {value for _crop, value in given} - set(Verdict.Value.values):
        message = _("A verdict is one of %(values)s.") % {"values": ", ".join(Verdict.Value.values)}
        raise SearchRefused("unknown_verdict", message, {"verdict": message})


def _verdicts_lost() -> Q:
    """Closed searches with verdicts that no ranking takes account of, a while after they were given."""
    newer = Verdict.objects.filter(search=OuterRef("pk"), id__gt=OuterRef("scored_verdict"))
    before = timezone.now() - STALE_AFTER
    return Q(Exists(newer), state__in=(State.DONE, State.CANCELLED), heartbeat_at__lt=before)


def _messages_waiting() -> int | None:
    """Messages in the engine's queue, or None while the broker is gone."""
    connection = current_app.connection_for_write(connect_timeout=2)
    try:
        with connection:
            connection.ensure_connection(max_retries=1, timeout=2)
            return int(connection.default_channel.queue_declare(tasks.ENGINE_QUEUE, passive=True).message_count)
    except (BrokerGone, *connection.connection_errors):
        return None
    except connection.channel_errors:
        return 0  # nothing waits in a queue that is not there


def _is_overdue(search: Search) -> bool:
    """Its message never reached the broker, or it has been silent for longer than a message should wait."""
    heartbeat = search.heartbeat_at or search.created_at
    return search.error is not None or heartbeat < timezone.now() - WAITING_AT_MOST


def _take_up(search: Search, counted: bool) -> bool:
    """Claim one lost search by its heartbeat and hand it over; one that outlived too many workers is given up."""
    attempts = search.attempts + int(counted)
    claimed = Search.objects.filter(pk=search.pk, state=search.state, heartbeat_at=search.heartbeat_at)
    if not claimed.update(heartbeat_at=timezone.now(), attempts=attempts):
        return False
    if attempts > MAX_ATTEMPTS:
        _give_up(search)
        return False
    if search.state in CLOSED:
        return _hand_over(tasks.search_rescore, search.pk)
    search_move(search.pk, OPEN, error=None)
    return _hand_over(tasks.search_run, search.pk)


def _give_up(search: Search) -> None:
    """An open search fails; a closed one keeps the ranking it has."""
    search_fail(search.pk, "worker_lost", f"taken up {MAX_ATTEMPTS} times", attempts=MAX_ATTEMPTS)
    newest = search.verdicts.order_by("-id").values_list("id", flat=True).first() or 0
    search_move(search.pk, CLOSED, scored_verdict=newest)
