"""The searches' own fixtures: a case begins with a finished search."""

from citysearch.searches.tests.conftest import api, engine, found, gallery, start, version

__all__ = ["api", "engine", "found", "gallery", "start", "version"]
