"""Every use case about findings leaves exactly its own record, with the rights of production's programs."""

from collections.abc import Callable
from typing import Any

import pytest

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from identities.models import Finding
from identities.posture.findings import acting, settling
from identities.posture.results import Result, Severity
from tests.identities.findings.conftest import DAY, NOW, outcome, take

WHY = {"reason": "Ada says that it stays.", "compensating_control": "Ada watches over it.", "until": NOW + 30 * DAY}


@pytest.fixture
def cases(finding: Finding, make_user: Any, actor_of: Any) -> dict[str, Callable[[], Any]]:
    """Verb by verb: something to do that leaves it alone in the trail."""
    ada, boss = actor_of(make_user(Role.CAMPAIGN_MANAGER, name="Ada")), actor_of(make_user(Role.ADMINISTRATOR))

    def on(use_case: Callable[..., Any], actor: Any = boss, **more: Any) -> Callable[[], Any]:
        return lambda: use_case(finding=finding, version=finding.version, actor=actor, now=NOW, **more)

    def asked(then: Callable[[], Any]) -> Callable[[], Any]:
        on(acting.request_acceptance, ada, **WHY)()
        finding.refresh_from_db()
        return then

    assign = on(acting.assign_finding, assignee=make_user(name="Ada"))
    return {
        "findings.changed": lambda: lambda: take([outcome(finding.identity, Result.PASS)]),
        "finding.assigned": lambda: assign,
        "finding.acceptance_requested": lambda: on(acting.request_acceptance, ada, **WHY),
        "finding.accepted": lambda: asked(on(acting.approve_acceptance)),
        "finding.acceptance_refused": lambda: asked(on(acting.refuse_acceptance, reason="Ada is wrong here.")),
        "finding.acceptance_withdrawn": lambda: asked(on(acting.withdraw_acceptance, ada)),
        "finding.acceptance_expired": lambda: asked(lambda: settling.settle_findings(now=NOW + 30 * DAY)),
    }


@pytest.mark.parametrize(
    "verb",
    [
        *("findings.changed", "finding.assigned", "finding.acceptance_requested", "finding.accepted"),
        *("finding.acceptance_refused", "finding.acceptance_withdrawn", "finding.acceptance_expired"),
    ],
)
def test_a_use_case_leaves_exactly_its_record(
    cases: dict[str, Callable[[], Any]], as_writer: Callable[[], Any], verb: str
) -> None:
    act = cases[verb]()
    before = set(AuditEvent.objects.values_list("pk", flat=True))
    with as_writer():
        act()
    left = AuditEvent.objects.exclude(pk__in=before)
    assert [event.verb for event in left] == [verb]
    assert "Ada" not in left[0].payload


def test_a_critical_finding_leaves_a_record_beside_that_of_its_pass(
    identity: Any, as_writer: Callable[[], Any]
) -> None:
    with as_writer():
        take([outcome(identity, severity=Severity.CRITICAL)])
    assert set(AuditEvent.objects.values_list("verb", flat=True)) >= {"findings.changed", "finding.opened"}
