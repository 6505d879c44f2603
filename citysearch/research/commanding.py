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
from reid_engine.errors import ReidError, TrainingStopped


@contextmanager
def refusals() -> Iterator[None]:
    """Errors raised on purpose become the command's message and exit status 1, without a traceback."""
    try:
        yield
    except (ServiceError, ReidError) as error:
        raise CommandError(str(error)) from error


@contextmanager
def stopping(out: Path) -> Iterator[None]:
    """Ctrl-C becomes a message that says how to go on, and exit status 130."""
    try:
        yield
    except TrainingStopped as stop:
        raise CommandError(str(stop), returncode=130) from stop
    except KeyboardInterrupt:
        text = _("interrupted; what was finished is in %(folder)s; start the same command again to go on")
        raise CommandError(text % {"folder": out}, returncode=130) from None


def add_bundle_options(parser: CommandParser) -> None:
    """--bundle FILE or --model NAME; neither means the active version."""
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--bundle", type=Path, help=_("a bundle's file"))
    choice.add_argument("--model", help=_("a registered version's name, id or checksum (default: the active one)"))
    parser.add_argument(
        "--device", default=settings.ENGINE_DEVICE, help=_("cpu, cuda or cuda:N (default: %(default)s)")
    )


def add_table_forms(parser: CommandParser) -> None:
    """--json or --csv instead of a Markdown table, as options["table"]."""
    table = parser.add_mutually_exclusive_group()
    table.add_argument("--json", dest="table", action="store_const", const="json", help=_("print JSON"))
    table.add_argument("--csv", dest="table", action="store_const", const="csv", help=_("print CSV"))
    parser.set_defaults(table="markdown")


def chosen_bundle(bundle: Path | None, model: str | None) -> Path:
    """The file the options name. Raises ServiceError or BundleCorrupt where it is not there or not whole."""
    if bundle is not None:
        return bundle
    version = model_named(model) if model else active_model_or_refuse()
    model_verify(version)
    return bundle_path(version)
