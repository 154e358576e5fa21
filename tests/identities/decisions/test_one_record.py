"""Every use case about decisions leaves exactly its own record."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from identities.models import DecisionPolicy, Source
from identities.pdp.policy import change_decision_policy
from identities.pdp.usage import note_enforcement

NOW = timezone.now()


@pytest.fixture
def cases(db: None, admin_actor: Actor) -> dict[str, Callable[[], Any]]:
    at = {"actor": admin_actor, "now": NOW, "reason": "So it was agreed."}
    source = Source.objects.create(slug="agents", name="Agents", kind="push")
    current = DecisionPolicy.objects.get()
    stricter = current.document | {"approval": {"required_for": "all"}}
    return {
        "decision_policy.changed": lambda: change_decision_policy(number=current.number, document=stricter, **at),
        "source.changed": lambda: note_enforcement(source=source, is_enforced=True, **at),
    }


@pytest.mark.parametrize("verb", ["decision_policy.changed", "source.changed"])
def test_a_use_case_leaves_exactly_its_record(
    cases: dict[str, Callable[[], Any]], as_writer: Callable[[], Any], verb: str
) -> None:
    before = set(AuditEvent.objects.values_list("pk", flat=True))
    with as_writer():
        cases[verb]()
    left = AuditEvent.objects.exclude(pk__in=before)
    assert [event.verb for event in left] == [verb]
    assert "agreed" not in left[0].payload


WRONG: dict[str, Any] = {
    "no object": [],
    "a section that is missing": {"approval": {"required_for": "all"}},
    "a word that is no choice": {"approval": {"required_for": "some"}},
    "a number out of bounds": {"assurance": {"least": 5, "least_privileged": 0}},
    "a truth for a number": {"assurance": {"least": True, "least_privileged": 0}},
    "something nobody knows": {"colour": {"of": "blue"}},
}


@pytest.mark.parametrize("what", WRONG)
def test_a_policy_that_cannot_be_read_is_refused_and_the_one_in_force_stays(
    what: str, db: None, admin_actor: Actor
) -> None:
    current = DecisionPolicy.objects.get()
    wrong = WRONG[what]
    document = wrong if what in ("no object", "a section that is missing") else current.document | wrong
    with pytest.raises(DomainError):
        change_decision_policy(number=1, document=document, reason="Why not.", actor=admin_actor, now=NOW)
    assert DecisionPolicy.objects.get() == current


def test_a_change_thought_of_before_another_is_refused(db: None, admin_actor: Actor) -> None:
    document = DecisionPolicy.objects.get().document
    change = {"document": document, "reason": "Twice.", "actor": admin_actor, "now": NOW}
    change_decision_policy(number=1, **change)
    with pytest.raises(DomainError, match="Look again"):
        change_decision_policy(number=1, **change)


def test_people_other_than_administrators_and_programs_change_nothing(
    db: None, actor_of: Callable[..., Actor], make_user: Callable[..., Any]
) -> None:
    with pytest.raises(DomainError):
        change_decision_policy(number=1, document={}, reason="Mine.", actor=actor_of(make_user()), now=NOW)
