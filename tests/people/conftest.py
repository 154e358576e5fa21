import pytest
from django.core.cache import cache
from django.core.management import call_command

from governance.audit.models import AuditEvent


@pytest.fixture(autouse=True)
def _only_people(settings):
    settings.ROOT_URLCONF = "tests.people_urls"
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }


@pytest.fixture
def shared_cache(db):
    """The real cache table, empty: sign-in throttling counts there."""
    call_command("createcachetable", verbosity=0)
    cache.clear()


@pytest.fixture
def verbs(db):
    """The verbs recorded so far, in order of writing."""

    def read() -> list[str]:
        return list(AuditEvent.objects.order_by("occurred_at").values_list("verb", flat=True))

    return read
