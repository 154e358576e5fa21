"""Cutting access into pieces, putting pieces together again, and replaying what was seen."""

from datetime import timedelta

import pytest

from governance.kernel.permissions import Permission, includes
from reviews import evidence
from reviews.recommend import Seen

pytestmark = pytest.mark.django_db
OWNED = {"dialect": "postgresql", "statements": [{"actions": ["OWN"], "resources": ["table:ledger/public/payments"]}]}
DENYING = {
    "dialect": "aws",
    "statements": [
        {"actions": ["s3:*"], "resources": ["arn:aws:s3:::ledger/*"]},
        {"effect": "deny", "actions": ["s3:DeleteObject"], "resources": ["*"]},
    ],
}


@pytest.fixture
def bench(make):
    """`bench(permission, [("SELECT", "table:…")])`: what is held, its pieces and what was observed."""

    def go(permission, seen=()):
        item = make.item(permission)
        make.window(item.identity.source)
        for action, resource in seen:
            make.use(item.identity, action, resource, count=3)
        observed = evidence.observe(item.identity)
        held = Permission.from_json(item.grant_version.permission)
        return held, evidence.pieces_of(held, observed, make.NOW), observed

    return go


@pytest.mark.parametrize("permission", [OWNED, DENYING, None])
def test_keeping_every_piece_keeps_everything(bench, permission):
    held, pieces, _ = bench(permission)
    whole = evidence.target_of(held, pieces)
    assert includes(held, whole).holds
    assert includes(whole, held).holds


def test_every_single_piece_lies_inside_what_is_held(bench):
    for permission in (OWNED, DENYING):
        held, pieces, _ = bench(permission)
        assert pieces
        assert all(includes(held, evidence.target_of(held, [piece])).holds for piece in pieces)


def test_denies_stay_whatever_is_kept(bench):
    held, pieces, _ = bench(DENYING)
    target = evidence.target_of(held, pieces[:1])
    assert [statement.effect for statement in target.statements] == ["allow", "deny"]


def test_nothing_kept_is_empty(bench):
    held, _, _ = bench(OWNED)
    assert evidence.target_of(held, []).is_empty


def test_use_of_a_part_is_no_use_of_the_whole(bench):
    _, pieces, _ = bench(OWNED, [("SELECT", "table:ledger/public/payments")])
    use = {piece.action: piece.use.state for piece in pieces}
    assert use["SELECT"] == "used"
    assert use["INSERT"] == "unused"
    assert use["OWN"] == use["GRANT:SELECT"] == use["TRIGGER"] == "not_observable"


def test_the_replay_counts_calls_and_names_what_nobody_could_see(bench, make):
    seen = [("SELECT", "table:ledger/public/payments"), ("INSERT", "table:ledger/public/payments")]
    held, pieces, observed = bench(OWNED, [*seen, ("SELECT", "table:other/public/elsewhere")])
    target = evidence.target_of(held, [piece for piece in pieces if piece.action == "SELECT"])

    replayed = evidence.replay_target(held, target, observed, make.NOW)

    assert (replayed.calls, replayed.refused_calls) == (6, 3)
    assert [(use.action, use.resource) for use in replayed.refused] == [seen[1]]
    assert replayed.not_observable


def test_keys_name_the_content_and_so_survive_a_new_reading(bench, make):
    held, before, observed = bench(None)
    later = evidence.Observed([Seen("SELECT", "table:ledger/public/payments", make.NOW)], observed.windows)
    after = evidence.pieces_of(held, later, make.NOW + timedelta(days=1))
    assert [piece.key for piece in before] == [piece.key for piece in after]


def test_too_many_pieces_to_tick_are_not_offered(bench):
    tables = [f"table:ledger/public/t{number}" for number in range(evidence.MOST_PIECES)]
    _, pieces, _ = bench(
        {"dialect": "postgresql", "statements": [{"actions": ["SELECT", "INSERT"], "resources": tables}]}
    )
    assert pieces == []


def test_the_right_to_pass_on_is_named_among_what_goes(bench, make):
    passing_on = {
        "dialect": "postgresql",
        "statements": [{"actions": ["SELECT", "GRANT:SELECT"], "resources": ["table:ledger/public/payments"]}],
    }
    held, _, observed = bench(passing_on)
    target = Permission.from_json(make.NARROWER)

    removed = [text for change, text in evidence.difference(held, target) if change == "removed"]

    assert removed == ["grant SELECT on table payments in database ledger to others"]
    assert evidence.replay_target(held, target, observed, make.NOW).not_observable == removed


def test_what_stays_is_never_named_among_what_goes(make):
    held = Permission.from_json(make.HELD)
    lines = evidence.difference(held, Permission.from_json(make.NARROWER))
    assert ("kept", "read every row of table payments in database ledger") in lines
    assert not any(change == "removed" and "read" in text and "payments" in text for change, text in lines)
