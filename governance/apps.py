"""The composition root as a Django app: it has no models, only commands and start-up wiring."""

from celery import current_app
from django.apps import AppConfig


class GovernanceConfig(AppConfig):
    name = "governance"
    label = "governance"

    def ready(self) -> None:
        # Web processes queue tasks by name, so they must know the names too.
        from governance import celery  # noqa: F401

        current_app.autodiscover_tasks(force=True)
