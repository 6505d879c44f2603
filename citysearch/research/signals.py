"""What this app asks of the gallery above it, which it may not import: the gallery connects itself in its `ready()`."""

from __future__ import annotations

from django.dispatch import Signal

# Receivers take `version` and return how many crops have no features made by it.
unindexed_asked = Signal()
# Receivers take `version` and `activate`, and queue the extraction of the missing features; they call model_indexed
# when done and then, if asked to, model_activate.
index_wanted = Signal()
