"""Files between two pages of the admin: looked at on the first, imported from the second, gone after a day."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core import signing
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from citysearch.errors import ServiceError

KEPT_S = 24 * 3600


def file_keep(file: UploadedFile, owner: int | None) -> str:
    """Keep an uploaded file; the token opens it for this user alone. Files that were forgotten are removed."""
    _folder().mkdir(parents=True, exist_ok=True)
    _purge()
    key = uuid.uuid4().hex
    with (_folder() / key).open("wb") as copy:
        copy.writelines(file.chunks())
    return signing.dumps([key, file.name, owner], salt=__name__)


@contextmanager
def kept_file(token: str, owner: int | None) -> Iterator[tuple[str, IO[bytes]]]:
    """The name and the content of a kept file. Raises ServiceError where it is gone, or is somebody else's."""
    try:
        key, name, kept_for = signing.loads(token, salt=__name__, max_age=KEPT_S)
    except signing.BadSignature:
        key = name = kept_for = ""
    if not key or kept_for != owner or not (_folder() / key).is_file():
        raise ServiceError(_("The file is no longer kept. Choose it again."))
    with (_folder() / key).open("rb") as file:
        yield name, file


def file_forget(token: str) -> None:
    """Remove a kept file; one that is gone is no error."""
    with suppress(signing.BadSignature):
        (_folder() / signing.loads(token, salt=__name__)[0]).unlink(missing_ok=True)


def _folder() -> Path:
    return Path(settings.VAR_DIR) / "looked-at"


def _purge() -> None:
    for path in _folder().iterdir():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - KEPT_S:
                path.unlink()
