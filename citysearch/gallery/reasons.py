"""Why a picture was refused: one stable code each, and the sentence a person reads."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

REASONS = {
    "not_a_picture": _("Not a JPEG, PNG or WEBP picture."),
    "truncated": _("The picture is damaged or cut short."),
    "too_large": _("The picture is too large."),
    "too_small": _("The picture is too small."),
    "unknown_camera": _("There is no such camera, or you do not administer it."),
    "missing": _("There is no such file."),
    "unreadable": _("The file cannot be read."),
    "unsafe_name": _("The path leads out of the import."),
    "bad_time": _("The time cannot be read."),
    "bad_person": _("The person number is no whole number."),
    "bad_line": _("The line has too few columns."),
    "bad_name": _("The name does not follow the layout."),
    "bad_json": _("The file is no GA/T 1400 list of persons."),
    "bad_feature": _("The feature given with the picture has values that are no numbers."),
    "junk": _("A junk crop (person -1) is no gallery picture."),
    "encrypted": _("The file is encrypted."),
    "bomb": _("The file unpacks to far more than it should."),
}

# The keys of an ErasureReport as a person reads them.
ERASED = {
    "crops": _("crops"),
    "images": _("pictures"),
    "features": _("features"),
    "candidates": _("candidates"),
    "verdicts": _("verdicts"),
    "paths": _("paths"),
    "explanations": _("explanations"),
    "photos": _("photos"),
}


class Refused(Exception):
    """One picture of an import cannot be used; the import goes on. `code` is a key of REASONS."""

    def __init__(self, code: str, message: object = "") -> None:
        super().__init__(str(message) or str(REASONS[code]))
        self.code = code

    @property
    def message(self) -> str:
        return str(self.args[0])
