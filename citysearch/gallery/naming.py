"""Pictures of research sets, whose names say who, where and when. Times are made where the set tells only an order.

market1501  0002_c1s1_000451_03.jpg            person, camera and sequence, frame (25 a second)
msmt17      0000_000_01_0303morning_0015_0.jpg person, picture, camera, day and part of the day, frame
cuhk03      1_001_1_01.png                     camera pair, person, view, picture: no time at all
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from citysearch.gallery.reasons import Refused
from reid_engine.data.market1501 import JUNK, parse_name

FRAMES_PER_SECOND = 25
MARKET_START = datetime(2024, 3, 1, 0, 0, tzinfo=UTC)
# A sequence of Market-1501 lasts up to 1 h 20 min; each gets two hours of the day, so that none overlaps the next.
MARKET_SEQUENCE = timedelta(hours=2)
MSMT_YEAR = 2017
MSMT_HOURS = {"morning": 8, "noon": 12, "afternoon": 15}
# CUHK03 tells no time: person n passes the first view after n minutes and the second half a minute later.
CUHK_START = datetime(2024, 3, 1, 0, 0, tzinfo=UTC)
_MSMT = re.compile(r"(\d{4})_\d+_(\d{2})_(\d\d)(\d\d)(morning|noon|afternoon)_(\d+)_\d+\.jpg", re.IGNORECASE)
_CUHK = re.compile(r"([1-5])_(\d{3,4})_([12])_(\d\d)\.(?:png|jpg)", re.IGNORECASE)
_CUHK_PERSONS = 10_000


class Named(NamedTuple):
    """What a name says: the camera's number as text without leading noughts, the person, the moment."""

    camera: str
    person_id: int
    moment: datetime


def market_named(name: str) -> Named:
    """Raises Refused: bad_name, or junk for person -1."""
    crop = parse_name(name)
    if crop is None or crop.person_id == JUNK:
        raise Refused("junk" if crop else "bad_name", name)
    return Named(str(crop.camera_id), crop.person_id, market_moment(crop.sequence, crop.frame))


def market_moment(sequence: int, frame: int) -> datetime:
    """Frames at 25 a second; sequence 1 begins on 2024-03-01 00:00 UTC, each next one two hours later."""
    return MARKET_START + (max(1, sequence) - 1) * MARKET_SEQUENCE + timedelta(seconds=frame / FRAMES_PER_SECOND)


def msmt_named(name: str) -> Named:
    """Raises Refused: bad_name."""
    match = _MSMT.fullmatch(name)
    try:
        person, camera, month, day, part, frame = match.groups() if match else ()
        moment = datetime(MSMT_YEAR, int(month), int(day), MSMT_HOURS[part.lower()], tzinfo=UTC)
        return Named(str(int(camera)), int(person), moment + timedelta(seconds=int(frame) / FRAMES_PER_SECOND))
    except ValueError:
        raise Refused("bad_name", name) from None


def cuhk_named(name: str) -> Named:
    """The persons of each pair are counted on their own: the pair goes into the number. Raises Refused: bad_name."""
    match = _CUHK.fullmatch(name)
    if match is None:
        raise Refused("bad_name", name)
    pair, person, view, shot = map(int, match.groups())
    moment = CUHK_START + timedelta(minutes=person, seconds=30 * (view - 1) + shot)
    return Named(str(2 * (pair - 1) + view), _CUHK_PERSONS * pair + person, moment)


PARSERS: dict[str, Callable[[str], Named]] = {"market1501": market_named, "msmt17": msmt_named, "cuhk03": cuhk_named}
# How many cameras each set has: that many of the city's, by code, stand for them unless told otherwise.
CAMERAS = {"market1501": 6, "msmt17": 15, "cuhk03": 10}


def named_like(name: str) -> str | None:
    """The layout whose names look like this one."""
    for layout, parse in PARSERS.items():
        try:
            parse(name)
        except Refused as error:
            if error.code != "junk":
                continue
        return layout
    return None
