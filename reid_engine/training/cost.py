"""What a run costs: seconds on the clock, and of processor time, to which other work on the machine adds nothing."""

from __future__ import annotations

import time
from typing import NamedTuple


class Cost(NamedTuple):
    """Seconds on the clock and of all the process's processors together."""

    seconds: float = 0.0
    processor_seconds: float = 0.0

    @classmethod
    def now(cls) -> Cost:
        """A moment; `since` tells what passed from it."""
        return cls(time.perf_counter(), time.process_time())

    def since(self, moment: Cost) -> Cost:
        """From `moment` to this one."""
        return Cost(self.seconds - moment.seconds, self.processor_seconds - moment.processor_seconds)

    def plus(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(self.seconds + other.seconds, self.processor_seconds + other.processor_seconds)
