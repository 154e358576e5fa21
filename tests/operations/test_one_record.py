"""Making a restored state harmless leaves exactly its own record."""

from types import SimpleNamespace

import pytest
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.operations.restore import RESTORER, Restored, complete_restore

pytestmark = pytest.mark.django_db


def test_a_restore_leaves_exactly_installation_restored():
    now = timezone.now()
    manifest = {"product": "0.1.0", "trail": {"events": 5, "head": "00"}}
    backup = SimpleNamespace(manifest=manifest, entries={"database.dump": SimpleNamespace(sha256="ab")})

    complete_restore(done=Restored(now, "0.1.0"), backup=backup, end_api_tokens=True, actor=RESTORER, now=now)

    assert [event.verb for event in AuditEvent.objects.all()] == ["installation.restored"]
