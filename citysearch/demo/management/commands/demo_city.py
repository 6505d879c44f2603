"""`manage.py demo_city`: a fictitious city with cameras and people who walk it, to try everything on."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citysearch.commanding import TranslatedCommand
from citysearch.demo.facts import Facts, facts_read
from citysearch.demo.names import CITY
from citysearch.demo.queries import demo_city
from citysearch.errors import ServiceError
from citysearch.progress import Bar, add_progress_option
from citysearch.research.models import ModelVersion
from citysearch.research.queries import active_model, unindexed_crops


class Command(TranslatedCommand):
    help = gettext_lazy("Build the demo city (seeded, once), index it, and measure the active model on it.")  # type: ignore[assignment]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seed", type=int, default=7, help=_("Another seed is another city."))
        parser.add_argument("--people", type=int, default=64, help=_("How many people walk it (2 to 2000)."))
        parser.add_argument("--crops", type=int, default=2600, help=_("About how many crops at most."))
        parser.add_argument(
            "--fresh", action="store_true", help=_("Remove the demo city that is there and build it anew.")
        )
        add_progress_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        try:
            if not self._build(options):
                return
            self._index_and_score(options)
        except ServiceError as error:
            raise CommandError(error.message) from error
        except KeyboardInterrupt:
            self.stderr.write(
                _("Stopped. A half-built city was not kept; one that was being indexed goes on at the next run.")
            )
            raise SystemExit(130) from None
        self.stdout.write(_("Done in %(seconds).0f s.") % {"seconds": time.monotonic() - started})

    def _build(self, options: dict[str, Any]) -> bool:
        """Whether there is anything left to do."""
        city = demo_city()
        if city is not None and not options["fresh"]:
            return self._is_unfinished()
        from citysearch.demo import services

        if services.strangers_there():
            self.stdout.write(_("There are other units here: the demo city is built in an empty installation only."))
            return False
        if not 2 <= options["people"] <= 2000 or options["crops"] < 10 or options["seed"] < 0:
            raise CommandError(_("--people must be 2 to 2000, --crops at least 10, --seed not negative."))
        if city is not None:
            words = {"count": services.city_remove()}
            self.stdout.write(_("Removed the demo city that was there, with %(count)d crops.") % words)
        with _bar(_("drawing crops"), options) as progress:
            facts = services.city_build(options["seed"], options["people"], options["crops"], progress.update)
        self.stdout.write(_built(facts))
        return True

    def _is_unfinished(self) -> bool:
        """Say that the city is there; True when its indexing was interrupted."""
        facts, version = facts_read(), active_model()
        if facts is None or (version is not None and unindexed_crops(version)):
            return version is not None
        words = {"crops": f"{facts.crops:,}", "day": facts.day}
        self.stdout.write(_("The demo city is there: %(crops)s crops of %(day)s.") % words + _figures(facts.score))
        return False

    def _index_and_score(self, options: dict[str, Any]) -> None:
        from citysearch.demo import services
        from citysearch.demo.scoring import city_score

        version, city, facts = _model(), demo_city(), facts_read()
        if version is None or city is None or facts is None:
            words = {"path": settings.BUNDLE}
            self.stdout.write(_("There is no model at %(path)s: nothing is indexed, nothing can be searched.") % words)
            return
        with _bar(_("extracting features"), options) as progress:
            services.city_index(version, progress.update)
        with _bar(_("searching"), options) as progress:
            score = city_score(city, version, facts, progress.update)
        services.score_note(version, score.as_dict())
        self.stdout.write(_("Model %(model)s on it:") % {"model": version.name} + _figures(score.as_dict()))


def _bar(label: str, options: dict[str, Any]) -> Bar[object]:
    return Bar(label=label, shown=not options["no_progress"])


def _model() -> ModelVersion | None:
    """The active model; where none is active yet, the shipped one is made so."""
    if active_model() is None and settings.BUNDLE.is_file():
        from citysearch.research.services import model_activate, model_register

        model_activate(model_register(settings.BUNDLE), anyway=True)
    return active_model()


def _built(facts: Facts) -> str:
    from units.models import Camera, Level, Unit

    counts = [Unit.objects.filter(level=level).count() for level in Level]
    words = {
        "city": CITY, "districts": counts[1], "streets": counts[2], "regions": counts[3], "grids": counts[4],
        "cameras": Camera.objects.count(), "people": facts.people, "crops": f"{facts.crops:,}", "day": facts.day,
    }  # fmt: skip
    return (
        _(
            "Built %(city)s: %(districts)d districts, %(streets)d streets, %(regions)d regions, %(grids)d grids, "
            "%(cameras)d cameras, %(people)d people, %(crops)s crops of %(day)s."
        )
        % words
    )


def _figures(score: dict[str, Any]) -> str:
    if not score:
        return ""
    words = score | {"percent": f"{score['rank1']:.1%}"}
    return " " + (
        _(
            "Rank-1 %(percent)s (%(queries)d queries, other cameras only), path F1 %(path_f1).2f (precision "
            "%(path_precision).2f, recall %(path_recall).2f; %(paths)d photos, no verdicts)."
        )
        % words
    )
