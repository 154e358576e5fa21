"""Every use case of access on request leaves exactly its own record."""

from datetime import timedelta
from typing import Any

import pytest

from governance.audit.models import AuditEvent
from reviews import access_requests

pytestmark = pytest.mark.django_db


def case_made(desk: Any, make: Any) -> Any:
    return desk.ask


def case_emergency(desk: Any, make: Any) -> Any:
    return lambda: desk.ask(is_emergency=True, hours=1)


def case_granted(desk: Any, make: Any) -> Any:
    request = desk.ask()
    return lambda: access_requests.grant_request(request=request, actor=desk.other, now=make.NOW)


def case_denied(desk: Any, make: Any) -> Any:
    request = desk.ask()
    return lambda: access_requests.deny_request(request=request, reason="No.", actor=desk.other, now=make.NOW)


def case_cancelled(desk: Any, make: Any) -> Any:
    request = desk.ask()
    return lambda: access_requests.cancel_request(request=request, actor=desk.asker, now=make.NOW)


def case_lapsed(desk: Any, make: Any) -> Any:
    desk.ask()
    return lambda: access_requests.end_due_access(now=make.NOW + timedelta(days=1))


def case_ended(desk: Any, make: Any) -> Any:
    request = access_requests.grant_request(request=desk.ask(), actor=desk.other, now=make.NOW)
    return lambda: access_requests.end_access(request=request, reason="Done.", actor=desk.asker, now=make.NOW)


def case_verified(desk: Any, make: Any) -> Any:
    case_ended(desk, make)()
    return lambda: access_requests.end_due_access(now=make.NOW)


def case_looked(desk: Any, make: Any) -> Any:
    request = desk.ask(is_emergency=True, hours=1)
    access_requests.end_due_access(now=make.NOW + timedelta(hours=1))
    said = {"was_justified": True, "note": "It was.", "actor": desk.other, "now": make.NOW}
    return lambda: access_requests.look_back(request=request, **said)


CASES = [
    (case_made, "access_request.made"),
    (case_emergency, "access_request.emergency_granted"),
    (case_granted, "access_request.granted"),
    (case_denied, "access_request.denied"),
    (case_cancelled, "access_request.cancelled"),
    (case_lapsed, "access_request.lapsed"),
    (case_ended, "access_request.ended"),
    (case_verified, "access_request.end_verified"),
    (case_looked, "access_request.looked_at"),
]


@pytest.mark.parametrize(("case", "verb"), CASES, ids=[verb for _, verb in CASES])
def test_it_leaves_exactly_its_record(case: Any, verb: str, desk: Any, make: Any) -> None:
    go = case(desk, make)
    before = set(AuditEvent.objects.values_list("pk", flat=True))
    go()
    after = AuditEvent.objects.exclude(pk__in=before)
    assert list(after.values_list("verb", flat=True)) == [verb]
    assert "Refunds" not in after.get().payload, "what people write stands beside the chain"
