"""A policy that is put in force leaves exactly its record; one that is only looked at leaves none."""

from typing import Any

import pytest

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from identities.models import PosturePolicy, Source
from identities.posture.changing import PolicyChanged, PolicyUnchanged, set_policy
from identities.posture.moving import preview_policy
from identities.posture.policy import InvalidPolicy, first_document, policy_in_force
from tests.identities.posture.conftest import LATER


def heavier() -> dict[str, Any]:
    document = first_document()
    document["weights"] |= {"privilege": 40, "breadth": 10}
    return document


def test_a_new_version_leaves_one_record(db: None, admin_actor: Any) -> None:
    policy_in_force()
    before = set(AuditEvent.objects.values_list("pk", flat=True))

    policy = set_policy(document=heavier(), reason="Ada asked.", version=1, actor=admin_actor, now=LATER)

    (event,) = AuditEvent.objects.exclude(pk__in=before)
    assert event.verb == "posture_policy.changed"
    assert '"weights.privilege":"40"' in event.payload and "Ada" not in event.payload
    assert (policy.number, policy.created_by_id) == (2, admin_actor.person_id)
    assert policy_in_force().weights["privilege"] == 40
    assert PosturePolicy.objects.get(number=1).document == first_document()


def test_only_administrators_and_only_what_they_saw(db: None, admin_actor: Any, make_user: Any, actor_of: Any) -> None:
    told = {"document": heavier(), "reason": "Because.", "now": LATER}
    with pytest.raises(Forbidden):
        set_policy(**told, version=1, actor=actor_of(make_user(Role.CAMPAIGN_MANAGER)))
    with pytest.raises(InvalidPolicy):
        set_policy(**{**told, "reason": " "}, version=1, actor=admin_actor)
    with pytest.raises(PolicyUnchanged):
        set_policy(**{**told, "document": first_document()}, version=1, actor=admin_actor)

    set_policy(**told, version=1, actor=admin_actor)
    with pytest.raises(PolicyChanged):
        set_policy(**told, version=1, actor=admin_actor)


def test_a_preview_says_who_would_move_and_writes_nothing(judged: Source, admin_actor: Any) -> None:
    before = AuditEvent.objects.count()
    lines = first_document()
    lines["picture"]["broad_from"] = 99
    lines["bands"]["critical"] = 99.5

    by_lines = preview_policy(document=lines, actor=admin_actor, now=LATER)
    by_judging = preview_policy(document=heavier(), actor=admin_actor, now=LATER)

    assert by_lines.is_exact and by_judging.is_exact
    assert by_lines.moves == {
        ("unproven_broad", "unproven_contained"): 1,
        ("unproven_contained", "unproven_contained"): 2,
    }
    assert [(mover.name, mover.after) for mover in by_lines.movers] == [("admin", "unproven_contained")]
    assert by_judging.looked_at == 3 and by_judging.moving == 0
    assert by_judging.changes == {"weights.privilege": (30, 40), "weights.breadth": (20, 10)}
    assert AuditEvent.objects.count() == before
    assert PosturePolicy.objects.count() == 1
