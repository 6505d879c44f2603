"""Celery: queue `default` for imports and housekeeping, queue `engine` for whatever opens the door to torch."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "citysearch.settings")

app = Celery("citysearch")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
