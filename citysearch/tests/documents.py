"""docs/commands.md and docs/api.md, written from the parsers and the schema: `make documents`; a test compares."""

from __future__ import annotations

from argparse import Action
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, get_commands, load_command_class
from django.utils import translation

FOLDER = Path(__file__).resolve().parents[2] / "docs"
OURS = ("citysearch", "units", "frontend")


def our_commands() -> dict[str, BaseCommand]:
    found = {name: app for name, app in get_commands().items() if str(app).startswith(OURS)}
    return {name: load_command_class(str(app), name) for name, app in sorted(found.items())}


def own_actions(name: str, command: BaseCommand) -> list[Action]:
    """What the command takes beside the options every command of Django has."""
    general = {action.dest for action in BaseCommand().create_parser("manage.py", name)._actions} | {"skip_checks"}
    return [action for action in command.create_parser("manage.py", name)._actions if action.dest not in general]


def commands_document() -> str:
    with translation.override("en"):
        sections = [_command_section(name, command) for name, command in our_commands().items()]
    return "# Commands\n\n`manage.py NAME`; every one says more with `--help`.\n\n" + "\n".join(sections)


def _command_section(name: str, command: BaseCommand) -> str:
    lines = [f"## `{name}`", "", str(command.help), ""]
    actions = own_actions(name, command)
    if actions:
        lines += ["| option | what it does | default |", "|---|---|---|", *map(_option_row, actions), ""]
    return "\n".join(lines)


def _option_row(action: Action) -> str:
    names = ", ".join(f"`{option}`" for option in action.option_strings) or f"`{action.dest.upper()}`"
    text = str(action.help or "") % {"default": action.default} if "%(" in str(action.help) else str(action.help or "")
    choices = f" ({', '.join(map(str, action.choices))})" if action.choices else ""
    default = "" if action.default in (None, False, "", [], ()) else f"`{action.default}`"
    return f"| {names} | {text}{choices} | {default} |".replace("|  |", "| |")


def options_without_help() -> list[str]:
    return [
        f"{name} {action.dest}"
        for name, command in our_commands().items()
        for action in own_actions(name, command)
        if not action.help
    ]


def api_document() -> str:
    from drf_spectacular.generators import SchemaGenerator

    with translation.override("en"):
        schema = SchemaGenerator().get_schema(request=None, public=True)
    rows = [_endpoint_row(*endpoint) for endpoint in _endpoints(schema)]
    return API_HEAD + "\n".join(["| address | what it does | parameters |", "|---|---|---|", *rows, ""])


API_HEAD = """# API

All addresses answer JSON. Log in with a session, or get a token from `/api/v1/token/` and send it as
`Authorization: Token ...`. What you may not see answers 404. An error is `{"error": {"code", "message", "fields"}}`:
the code is stable, the message is for a person, the fields name the inputs at fault. Lists are paged: `?page=`,
`?page_size=` up to 2000.
The schema lies at `/api/schema/`, with a page to try it at `/api/docs/`.

A search, from photo to path:

    POST /api/v1/searches/                        photos (1 to 5), boxes, taken, unit, from, to, purpose, case ...
    GET  /api/v1/searches/{id}/                   until state is done, cancelled or failed
    GET  /api/v1/searches/{id}/hits/              ?collapse=none gives every crop instead of bursts
    GET  /api/v1/searches/{id}/trajectory.geojson

A photo that shows more than the person is sent with a box: `boxes` is a JSON list with `[left, top, right, bottom]` or
`null` for each photo, in pixels of the upright photo (turned as its EXIF says). Only what is inside is compared; the
whole photo and its box are kept with the search. `POST /api/v1/photos/look/` (`photo`, `box`) says before a search what
is wrong with a photo (`small`, `blurred`, `dark`, `cut_off`, `whole_scene`) and proposes boxes of the people on it.

Where and when a photo was taken anchors the path: `taken` is a JSON list with `{"longitude", "latitude", "time"}` or
`null` for each photo. Such a photo is a stop of the path like a confirmed sighting, with `photo` (its position, from 0)
and without `camera` and `crop`; a confirmed sighting that excludes it is a conflict. What
the file itself says of place and time is in `says` of `POST /api/v1/photos/look/`; nothing of it is kept.

"""


def _endpoints(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/api/v1/"):
                yield method.upper(), path, operation


def _endpoint_row(method: str, path: str, operation: dict[str, Any]) -> str:
    names = [parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"]
    parameters = ", ".join(f"`{name}`" for name in names)
    return f"| `{method} {path}` | {operation.get('summary', '')} | {parameters} |".replace("|  |", "| |")


def addresses_without_summary() -> list[str]:
    from drf_spectacular.generators import SchemaGenerator

    schema = SchemaGenerator().get_schema(request=None, public=True)
    return [f"{method} {path}" for method, path, operation in _endpoints(schema) if not operation.get("summary")]


def main() -> None:
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "citysearch.settings")
    django.setup()
    (FOLDER / "commands.md").write_text(commands_document())
    (FOLDER / "api.md").write_text(api_document())


if __name__ == "__main__":
    main()
