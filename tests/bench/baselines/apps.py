from django.apps import AppConfig


class BaselinesConfig(AppConfig):
    """Without migrations on purpose: `migrate --run-syncdb` makes the tables."""

    name = "tests.bench.baselines"
    label = "baselines"
