"""manage.py train_reid: train a bundle; every option of reid_engine.training.config.TrainConfig."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from citysearch.progress import Bar, add_progress_option, bar
from citysearch.research.commanding import refusals
from citysearch.research.services import model_register
from reid_engine.errors import TrainingStopped
from reid_engine.options import add_train_options, check_paths, train_config
from reid_engine.training.config import TrainConfig, stages


class Command(TranslatedCommand):
    help = gettext_lazy(
        "Train a backbone with diff attention and write one bundle. After Ctrl-C the same command goes on."
    )  # type: ignore[assignment]

    def add_arguments(self, parser: CommandParser) -> None:
        add_train_options(parser)
        parser.add_argument(
            "--register", action="store_true", help=_("register the bundle as a model version when done")
        )
        add_progress_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            for config in stages(train_config(with_folder(options))):
                path = self._train(check_paths(config), shown=not options["no_progress"])
                self.stdout.write(str(path))
            if options["register"]:
                self.stdout.write(_("registered %(model)s") % {"model": model_register(path).name})

    def _train(self, config: TrainConfig, shown: bool) -> Path:
        from reid_engine.training.run import train

        progress: Bar[object] = bar(label=_("training"), shown=shown)
        try:
            with progress:
                return train(config, Teller(self, progress))
        except TrainingStopped as stop:
            raise CommandError(str(stop), returncode=130) from stop
        except KeyboardInterrupt:
            text = _("interrupted; start the same command again to go on from the last checkpoint in %(folder)s")
            raise CommandError(text % {"folder": config.out}, returncode=130) from None


class Teller:
    """The training's callback: moves the bar, and writes a line for each validation (which reports 0 steps)."""

    def __init__(self, command: BaseCommand, progress: Bar[object]) -> None:
        self.command, self.progress = command, progress

    def __call__(self, epoch: int, epochs: int, step: int, steps: int, values: dict[str, float]) -> None:
        self.progress.label = _("epoch %(epoch)d/%(epochs)d") % {"epoch": epoch, "epochs": epochs}
        if steps:
            done = (epoch - 1) * steps + step
            self.progress.update(done, epochs * steps, note=said(values, ("loss", "images_per_second")))
        else:
            self.command.stderr.write(f"{self.progress.label}: {said(values, tuple(values))}")


def said(values: dict[str, float], names: tuple[str, ...]) -> str:
    """The named values in words: "loss 1.234 images_per_second 310"."""
    return " ".join(f"{name} {values[name]:.4g}" for name in names if name in values)


def with_folder(options: dict[str, Any]) -> dict[str, Any]:
    """The options, with a folder below var/training/ where none is given (a recipe's own folder stays)."""
    if options.get("out") is None and options.get("recipe") is None:
        options = options | {"out": str(Path(settings.VAR_DIR) / "training" / (options.get("name") or "citysearch"))}
    return options
