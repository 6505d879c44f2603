"""Who is trained on: people with a positive pair, and enough of them for a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..data.records import Record, people
from ..errors import BadConfig, BadDataset
from ..messages import gettext_noop as _
from .config import TrainConfig

NAMED = 5


def trainable(config: TrainConfig, records: Sequence[Record]) -> tuple[Record, ...]:
    """The records whose people have at least two crops, or all of them, as `single_crops` says.

    Raises BadDataset where it says to refuse and somebody has one crop only, BadConfig where a batch asks for more
    people than there are.
    """
    counts = Counter(record.person_id for record in records)
    single = sorted(person for person, count in counts.items() if count == 1)
    if single and config.single_crops == "refuse":
        text = _(
            "%(count)s people have one crop only, which makes no pair: %(people)s. Give them more crops, or say "
            "--single-crops leave_out, or repeat"
        )
        named = ", ".join(map(str, single[:NAMED])) + (", ..." if len(single) > NAMED else "")
        raise BadDataset(text, count=len(single), people=named)
    kept = tuple(record for record in records if config.single_crops != "leave_out" or counts[record.person_id] > 1)
    if people(kept) < config.people_per_batch:
        few = _("a batch of %(people)s people cannot be filled: there are %(found)s to train on; lower %(option)s")
        raise BadConfig(few, people=config.people_per_batch, found=people(kept), option="people_per_batch")
    return kept
