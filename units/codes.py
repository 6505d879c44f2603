"""Codes of units (GB/T 2260 and its extensions below the district) and of cameras (GB/T 28181)."""

from __future__ import annotations

import re

from django.utils.translation import gettext_lazy as _

from citysearch.errors import ServiceError
from units.models import Level

CODE_LENGTHS: dict[int, tuple[int, ...]] = {
    Level.CITY: (6,),
    Level.DISTRICT: (6,),
    Level.STREET: (9,),
    Level.REGION: (12,),
    Level.GRID: (14, 15),
}
FREE_CODE = re.compile(r"[\w.:/-]{1,40}")
CAMERA_TYPES = ("131", "132")


class BadCode(ServiceError):
    """A code that breaks its rule; `fields['code']` says which one."""

    code = "bad_code"

    def __init__(self, message: object, **data: object) -> None:
        super().__init__(message, {"code": message}, **data)


def significant_prefix(level: int, code: str) -> str:
    """What the codes below must start with: a city's code without its trailing pairs of zeros, else all of it."""
    return re.sub(r"(00)+$", "", code) if level == Level.CITY else code


def check_unit_code(level: int, code: str, free_code: bool, parent_prefix: str | None) -> None:
    """Raise BadCode unless `code` fits its level and starts with `parent_prefix` (None: the parent's code is free)."""
    if free_code:
        _check_free(code)
        return
    lengths = CODE_LENGTHS[level]
    if not (code.isascii() and code.isdigit() and len(code) in lengths):
        raise BadCode(
            _("The code %(code)s of a %(level)s must have %(digits)s digits. Correct it, or mark it as a free code.")
            % {"code": code, "level": Level(level).label, "digits": " / ".join(map(str, lengths))}
        )
    if (level == Level.CITY) != code.endswith("00") and level <= Level.DISTRICT:
        raise BadCode(_("The code %(code)s is wrong: a city's ends in 00, a district's does not.") % {"code": code})
    if parent_prefix is not None and not code.startswith(parent_prefix):
        raise BadCode(
            _("The code %(code)s must start with %(prefix)s, the code of the unit above.")
            % {"code": code, "prefix": parent_prefix}
        )


def check_camera_code(code: str, free_code: bool) -> None:
    """Raise BadCode unless `code` is 8 digits centre + 2 industry + 3 type + 7 serial, or a free one."""
    if free_code:
        _check_free(code)
        return
    if not (code.isascii() and code.isdigit() and len(code) == 20):
        raise BadCode(
            _("The camera code %(code)s must have 20 digits (GB/T 28181). Correct it, or mark it as a free code.")
            % {"code": code}
        )
    if not 11 <= int(code[:2]) <= 82:
        raise BadCode(_("The camera code %(code)s does not start with a province (11 to 82).") % {"code": code})
    if code[10:13] not in CAMERA_TYPES:
        raise BadCode(
            _("Digits 11 to 13 of the camera code %(code)s must be %(types)s, the types of a camera.")
            % {"code": code, "types": " / ".join(CAMERA_TYPES)}
        )


def _check_free(code: str) -> None:
    if not FREE_CODE.fullmatch(code):
        raise BadCode(_("The free code %(code)s must have 1 to 40 letters, digits or . : / - _") % {"code": repr(code)})
