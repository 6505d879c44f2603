"""What the searches tell the apps above them, in the transaction that stores it."""

from __future__ import annotations

from django.dispatch import Signal

# Receivers take `search` and `user`.
search_started = Signal()
# Receivers take `search`, `user` and `rows`, the verdicts as stored.
verdicts_given = Signal()
