"""What the commands of this app share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from citysearch.errors import ServiceError
from citysearch.research.queries import active_model_or_refuse, bundle_path, model_named
from citysearch.research.services import model_verify
from reid_engine.errors import ReidError


@contextmanager
def refusals() -> Iterator[None]:
    """Errors raised on purpose become the command's message and exit status 1, without a traceback."""
    try:
        yield
    except (ServiceError, ReidError) as error:
        raise CommandError(str(error)) from error


def add_bundle_options(parser: CommandParser) -> None:
    """--bundle FILE or --model NAME; neither means the active version."""
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--bundle", type=Path, help=_("a bundle's file"))
    choice.add_argument("--model", help=_("a registered version's name, id or checksum (default: the active one)"))
    parser.add_argument(
        "--device", default=settings.ENGINE_DEVICE, help=_("cpu, cuda or cuda:N (default: %(default)s)")
    )


def chosen_bundle(bundle: Path | None, model: str | None) -> Path:
    """The file the options name. Raises ServiceError or BundleCorrupt where it is not there or not whole."""
    if bundle is not None:
        return bundle
    version = model_named(model) if model else active_model_or_refuse()
    model_verify(version)
    return bundle_path(version)
