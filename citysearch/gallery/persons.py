"""Crops of people as GA/T 1400 sends them (`/VIID/Persons`): PersonListObject JSON, the pictures in base64 inside."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from citysearch.gallery.moments import moment_in_name
from citysearch.gallery.reasons import Refused

# Types of a SubImageInfo that show one person whole: a person, or not said. Scenes and faces are no crops.
KINDS = ("10", "100")


class PersonPicture(NamedTuple):
    """One picture: its id, the DeviceID of its camera, its ShotTime (yyyyMMddHHmmss, local), its bytes in base64."""

    name: str
    camera: str
    shot_time: str
    data: str

    def read(self) -> bytes:
        """Raises Refused: missing, or unreadable."""
        if not self.data:
            raise Refused("missing", self.name)
        try:
            return base64.b64decode(self.data, validate=False)
        except binascii.Error as error:
            raise Refused("unreadable", f"{self.name}: {error}") from error

    def when(self, _data: bytes) -> datetime:
        """Raises Refused: bad_time."""
        moment = moment_in_name(self.shot_time)
        if moment is None:
            raise Refused("bad_time", self.shot_time or self.name)
        return moment


def persons_read(data: bytes) -> list[PersonPicture]:
    """The pictures of all persons of a document. Raises Refused (bad_json) for what is no PersonListObject."""
    try:
        persons = json.loads(data)["PersonListObject"]["PersonObject"]
        return [picture for person in persons for picture in _pictures(person)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused("bad_json", f"{type(error).__name__}: {error}") from error


def _pictures(person: dict[str, Any]) -> Iterator[PersonPicture]:
    for image in (person.get("SubImageList") or {}).get("SubImageInfoObject") or []:
        if str(image.get("Type", KINDS[0])) in KINDS:
            facts = {**person, **{key: value for key, value in image.items() if value}}
            name = facts.get("ImageID") or facts.get("PersonID")
            rest = (facts.get(key) for key in ("DeviceID", "ShotTime", "Data"))
            yield PersonPicture(*(str(value or "") for value in (name, *rest)))
