"""Networks: backbones by name, diff attention, and the model that joins them."""

from __future__ import annotations

from .build import build

__all__ = ["build"]
