"""The Django project: settings, tasks, and the apps that stand on units and reid_engine."""

from citysearch.celery import app as celery_app

__all__ = ["celery_app"]
