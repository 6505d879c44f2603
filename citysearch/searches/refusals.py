"""What a search refuses, each with a stable code, and the words for what went wrong in a worker.

A worker does not know the language of the person who will read its error: it stores code and data, and the words are
chosen here when the search is read.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from citysearch.errors import ServiceError
from reid_engine.errors import BadPhoto


class SearchRefused(ServiceError):
    """A search that cannot be started, or not be changed in this way. `code` says why."""

    def __init__(
        self, code: str, message: object, fields: dict[str, object] | None = None, status: int = 400, **data: object
    ) -> None:
        super().__init__(message, fields, **data)
        self.code = code
        self.status = status


PHOTO_WORDS = {
    "not_a_picture": _("Photo %(number)s is not a JPEG, PNG or WEBP picture. Send one of these."),
    "too_large": _(
        "Photo %(number)s is too large (%(found)s; at most %(allowed)s). Make it smaller or cut out the person."
    ),
    "truncated": _("Photo %(number)s is damaged or cut short. Send the whole file again."),
    "too_small": _(
        "Photo %(number)s is %(width)sx%(height)s pixels; it must be at least 32x64. "
        "Use a larger picture of the person."
    ),
}

ERROR_WORDS = {
    "broker_gone": _(
        "The task queue cannot be reached. The search is kept and goes on by itself as soon as the queue is back."
    ),
    "bundle_corrupt": _("The model file is damaged. Have it put back from a copy, then run the search again."),
    "bundle_mismatch": _(
        "This gallery was indexed by another model version. "
        "Index it again with the active version (manage.py index_gallery)."
    ),
    "not_indexed": _("This gallery is not indexed yet. Wait for the index, or start it with manage.py index_gallery."),
    "empty_gallery": _(
        "No camera of this unit has an indexed crop any more. Import and index crops, then run it again."
    ),
    "too_many_files": _(
        "Too many feature files at once. Raise the worker's limit of open files (ulimit -n) and restart it."
    ),
    "store_corrupt": _("Stored features are damaged. Run manage.py verify_store; it names the cameras to index again."),
    "bad_photo": _("A stored photo can no longer be read. Start the search again from the photo."),
    "no_permission": _("Your right to search this unit has ended."),
    "worker_lost": _(
        "The search was taken up %(attempts)s times and each time its worker ended. Look into the worker's log."
    ),
    "internal": _("Something unexpected went wrong in the worker. Its log has the details; run the search again."),
}

NO_CROPS = _("There was nothing to compare: no camera of this unit has an indexed crop in the chosen time.")


def refused_photo(number: int, error: BadPhoto) -> SearchRefused:
    """The engine's BadPhoto in the reader's words, naming the photo by its place in the upload."""
    words = PHOTO_WORDS.get(str(error.data.get("reason")), PHOTO_WORDS["not_a_picture"])
    message = words % ({"number": number, "found": "?", "allowed": "?", "width": "?", "height": "?"} | error.data)
    return SearchRefused("bad_photo", message, {"photos": message}, reason=error.data.get("reason"))


def error_words(error: dict[str, Any] | None) -> dict[str, Any] | None:
    """The stored error of a search with `message` in the reader's language; `detail` keeps the worker's own words."""
    if error is None:
        return None
    words = ERROR_WORDS.get(error.get("code", "internal"))
    told = words % ({"attempts": "?"} | error) if words else error.get("message", "")
    return error | {"message": str(told), "detail": error.get("message", "")}
