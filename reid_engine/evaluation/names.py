"""What the rows of an evaluation are called: keys in reports and bundles, words on tables and plots."""

from __future__ import annotations

from ..messages import gettext
from ..messages import gettext_noop as _

DIFF_ATTENTION = _("diff attention")
PLAIN_COSINE = _("plain cosine")
RERANKED = _(" + re-ranking")
OWN = _("as shipped")
BY_SITUATION = _("situated")


def spoken(name: str) -> str:
    """A row's name in the reader's language."""
    base = name.removesuffix(RERANKED)
    return gettext(base) + (gettext(RERANKED) if name != base else "")
