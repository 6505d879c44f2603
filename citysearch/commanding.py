"""What every command of manage.py is built on."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser


class TranslatedCommand(BaseCommand):
    """A command whose `help` may be a lazy translation: --help speaks the language of LANGUAGE_CODE."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        # argparse breaks lines by a regular expression, which takes only real strings.
        parser.description = str(self.help)
        return parser
