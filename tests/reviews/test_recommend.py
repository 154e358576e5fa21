from datetime import UTC, datetime, timedelta

import pytest

from governance.kernel.permissions import Permission, includes, matches
from reviews.recommend import CredentialFacts, GrantFacts, Seen, Window, recommend

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ACTIONS = ("SELECT", "INSERT", "DELETE")
PAYMENTS, REFUNDS = "table:ledger/public/payments", "table:ledger/public/refunds"


def permission(*pairs):
    statements = [{"actions": list(actions), "resources": list(resources)} for actions, resources in pairs]
    return Permission.from_json({"dialect": "postgresql", "statements": statements})


HELD = permission((("SELECT", "INSERT"), (PAYMENTS, REFUNDS)))


def window(days=90, actions=ACTIONS, resources=("table:ledger/*/*",)):
    return Window("statements", NOW - timedelta(days=days), NOW, tuple(actions), tuple(resources))


def use(action, resource=PAYMENTS, days_ago=1, count=1):
    return Seen(action, resource, NOW - timedelta(days=days_ago), count)


def advise(held=HELD, uses=(), windows=(), **more):
    return recommend(
        GrantFacts(permission=held, now=NOW, min_observed=timedelta(days=30), uses=uses, windows=windows, **more)
    )


def test_unknown_use_is_never_called_unused():
    advice = advise()
    assert (advice.answer, advice.target, advice.use.state) == ("", None, "not_observable")
    assert "Unknown is not unused" in advice.reasons[0]


def test_access_that_was_watched_whole_and_never_used_can_go():
    advice = advise(windows=[window()])
    assert (advice.answer, advice.use.state) == ("revoke", "unused")
    assert "90 days" in advice.reasons[0]


@pytest.mark.parametrize(
    "blind",
    [
        window(actions=["SELECT"]),
        window(resources=[PAYMENTS]),
        window(resources=["topic:ledger"]),
        window(actions=["*", ""]),
    ],
    ids=["one action unseen", "one table unseen", "another dialect", "broken patterns"],
)
def test_access_that_was_watched_in_part_only_is_not_called_unused(blind):
    advice = advise(windows=[blind])
    assert (advice.answer, advice.use.state) == ("", "not_observable")


def test_two_logs_together_can_watch_the_whole():
    advice = advise(windows=[window(resources=[PAYMENTS], days=90), window(resources=[REFUNDS], days=40)])
    assert (advice.answer, advice.use.watched) == ("revoke", timedelta(days=40))


def test_a_few_days_of_silence_prove_nothing():
    advice = advise(windows=[window(days=5)])
    assert (advice.answer, advice.use.state) == ("", "unused")
    assert "too short" in advice.reasons[-1]


def test_what_was_used_is_what_is_proposed_and_it_is_proved_and_replayed():
    advice = advise(uses=[use("SELECT", count=7)], windows=[window()])
    assert advice.answer == "scope_down"
    assert includes(HELD, advice.target).holds
    assert not includes(advice.target, HELD).holds
    assert matches(advice.target, "SELECT", PAYMENTS) == "yes"
    assert matches(advice.target, "INSERT", REFUNDS) == "no"
    assert advice.replayed == {"calls": 7, "refused": 0, "unknown": 0}
    assert any(reason.startswith("Never used:") for reason in advice.reasons)
    assert "0 of 7 calls" in advice.reasons[-1]


@pytest.mark.parametrize(
    ("uses", "words"),
    [
        ([("SELECT", 1)], "Seen: one call."),
        ([("SELECT", 16067)], "Seen: 16\u202f067 calls of one kind."),
        ([("SELECT", 16067), ("INSERT", 1)], "Seen: 16\u202f068 calls of 2 kinds."),
    ],
)
def test_use_is_told_in_calls_and_kinds(uses, words):
    seen = [use(action, count=count) for action, count in uses]
    assert advise(uses=seen, windows=[window()]).reasons[0].endswith(words)


def test_what_nobody_could_have_seen_stays_in_the_proposal():
    advice = advise(uses=[use("SELECT")], windows=[window(resources=[PAYMENTS])])
    assert advice.answer == "scope_down"
    assert matches(advice.target, "INSERT", REFUNDS) == "yes"
    assert matches(advice.target, "INSERT", PAYMENTS) == "no"


def test_use_without_any_window_narrows_nothing():
    advice = advise(uses=[use("SELECT")])
    assert (advice.target, advice.use.state) == (None, "used")
    assert advice.answer == ""


def test_a_short_watch_gives_a_start_for_choosing_but_no_advice():
    advice = advise(uses=[use("SELECT")], windows=[window(days=2)])
    assert advice.answer == ""
    assert advice.target is not None


def test_access_that_is_used_whole_is_fine():
    pairs = [(action, resource) for action in ("SELECT", "INSERT") for resource in (PAYMENTS, REFUNDS)]
    advice = advise(uses=[use(*pair) for pair in pairs], windows=[window()])
    assert (advice.answer, advice.target) == ("approve", None)


def test_use_of_other_access_does_not_count():
    advice = advise(uses=[use("DELETE", "table:other/public/x")], windows=[window()])
    assert (advice.answer, advice.use.state) == ("revoke", "unused")


def test_a_disabled_identity_needs_nothing():
    assert advise(is_disabled=True).answer == "revoke"


def test_a_missing_owner_is_said_aloud():
    assert advise(has_owner=False).reasons[-1] == "Nobody is accountable for this identity."


@pytest.mark.parametrize(
    ("facts", "answer"),
    [
        ({"expires_at": NOW - timedelta(days=1), "created_at": NOW - timedelta(days=9)}, "deactivate"),
        ({"last_used_at": NOW - timedelta(days=91), "created_at": NOW - timedelta(days=300)}, "deactivate"),
        ({}, ""),
        ({"last_used_at": NOW}, ""),
        ({"created_at": NOW - timedelta(days=400), "last_used_at": NOW}, "rotate"),
        (
            {"created_at": NOW - timedelta(days=400), "last_rotated_at": NOW - timedelta(days=9), "last_used_at": NOW},
            "keep",
        ),
        ({"created_at": NOW - timedelta(days=9), "never_expires": True, "last_used_at": NOW}, "rotate"),
        ({"created_at": NOW - timedelta(days=9)}, ""),
        ({"created_at": NOW - timedelta(days=9), "last_used_at": NOW}, "keep"),
    ],
)
def test_credentials(facts, answer):
    advice = recommend(CredentialFacts(now=NOW, **facts))
    assert advice.answer == answer
    assert advice.reasons


def test_a_right_that_no_log_shows_is_not_taken_along_with_one_that_goes():
    held = permission((("SELECT", "DELETE", "GRANT:DELETE"), (PAYMENTS,)))

    advice = advise(held=held, uses=[use("SELECT")], windows=[window()])

    # Who may pass DELETE on may also delete, and whether that was used nobody can see.
    assert advice.target is None or matches(advice.target, "GRANT:DELETE", PAYMENTS).name == "YES"


def test_ownership_is_never_recommended_away():
    held = permission((("OWN",), (PAYMENTS,)))

    advice = advise(held=held, uses=[use("SELECT")], windows=[window()])

    assert advice.target is None
