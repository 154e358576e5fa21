"""No verb of the trail without a use case that was seen to write it.

The cases stand beside the use cases, in the modules named `test_one_record.py`: each does one thing and finds exactly
its record. Where a real system has to take part, or more than one step, another module shows it and is named here.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

from governance.audit.actions import Verb

TESTS = Path(__file__).parents[1]
SHOWN_ELSEWHERE = {
    # A source that can be written to plans, carries out and is read again: a real PostgreSQL server.
    "order.planned": "reviews/remediation/test_leases.py",
    "order.verified": "reviews/remediation/test_remit_loop.py",
    "order.still_effective": "reviews/remediation/test_changing.py",
    "order.sessions_remain": "reviews/remediation/test_leases.py",
    "order.reappeared": "reviews/remediation/test_changing.py",
    "order.restored": "reviews/remediation/test_restoring.py",
    "order.watched": "reviews/remediation/test_watching.py",
    "order.protested": "reviews/remediation/test_watching.py",
    # A receiver that is told, that answers with a ticket, or that is silent for days.
    **{verb.value: "reviews/notices/test_pages_and_api.py" for verb in Verb if verb.startswith("webhook.")},
    "order.ticket_linked": "reviews/notices/test_tickets.py",
    # Codes of a second factor, through the pages that take them.
    "mfa.enabled": "people/test_second_factor.py",
    "mfa.disabled": "people/test_second_factor.py",
    # Readings that are held, let through, called off or cut off in the middle.
    "sync.held": "identities/sync/test_held.py",
    "sync.accepted": "identities/sync/test_held.py",
    "sync.rejected": "identities/sync/test_held.py",
    "sync.failed": "identities/sync/test_read.py",
    "sync.cancelled": "identities/sync/test_progress.py",
    "sync.cancel_requested": "identities/api/test_runs.py",
    # A refused request, through the pages and the API; a lock-out that somebody protests against; two who send past a window.
    "access.refused": "console/test_refusals.py",
    "order.questioned": "reviews/test_protesting.py",
    "order.urgency_signed": "reviews/remediation/test_urgency.py",
    "order.urgently_released": "reviews/remediation/test_urgency.py",
    # What concerns the trail itself, with its checkpoints and its archives.
    "hold.placed": "audit/test_holds.py",
    "hold.lifted": "audit/test_holds.py",
    "archive.verified": "audit/test_retention.py",
    "events.retired": "audit/test_retention.py",
}
# Verbs that nothing writes any more, and why they stay: what was recorded once must keep its meaning.
UNWRITTEN = {
    "audit.exported": "reading the trail over the API leaves no record yet",
    "order.executing": "a worker that takes an order writes order.sent",
    "audit.verified": "manage.py verify_audit writes nothing, so that an auditor can run it on a copy",
}


@cache
def verbs_of_cases() -> dict[str, set[str]]:
    """Verb by verb, the modules whose cases name it."""
    known = {verb.value for verb in Verb}
    found: dict[str, set[str]] = {}
    for path in TESTS.rglob("test_one_record.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for word in node.value.split():
                    if word in known:
                        found.setdefault(word, set()).add(str(path.relative_to(TESTS)))
    return found


@pytest.mark.parametrize("verb", [verb.value for verb in Verb])
def test_a_use_case_was_seen_to_write_the_verb(verb: str) -> None:
    if verb in UNWRITTEN:
        return
    module = SHOWN_ELSEWHERE.get(verb)
    if module:
        text = (TESTS / module).read_text(encoding="utf-8")
        assert f'"{verb}"' in text or f'"{verb.partition(".")[2]}"' in text
    else:
        assert verb in verbs_of_cases(), (
            "add a case to the test_one_record.py beside the use case, or name the module that shows it above"
        )


def test_no_exception_has_become_needless() -> None:
    assert (SHOWN_ELSEWHERE.keys() | UNWRITTEN.keys()) & verbs_of_cases().keys() == set()
