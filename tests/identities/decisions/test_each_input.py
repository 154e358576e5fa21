"""Each input of a decision by itself turns what is permitted into a denial, with a reason of its own."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from identities.models import Grant, GrantVersion, Identity, IdentityPosture, PosturePolicy, Source
from identities.pdp import guards
from identities.pdp.deciding import decide_many
from identities.pdp.reasons import SENTENCES, Reason
from tests.identities.decisions.world import NOW, World, permission, question

HOUR = timedelta(hours=1)
Change = Callable[[World, Identity, Grant], Any]
CHANGES: dict[str, tuple[str, Change]] = {
    "the identity is unknown": ("unknown_identity", lambda w, i, g: _set(i, external_id="another")),
    "two sources know the name": (
        "ambiguous_identity",
        lambda w, i, g: w.identity("agent", source=w.make_source("other")),
    ),
    "the identity is disabled": ("disabled", lambda w, i, g: _set(i, status="disabled")),
    "the source no longer holds it": ("retired", lambda w, i, g: _set(i, retired_at=NOW)),
    "its kind is another than the caller says": ("unknown_identity", lambda w, i, g: _set(i, kind="bot")),
    "the source is switched off": ("unknown_identity", lambda w, i, g: _source(w, is_enabled=False)),
    "the source was read too long ago": (
        "stale",
        lambda w, i, g: _source(w, last_success_at=NOW - timedelta(seconds=86_401)),
    ),
    "the source was never read": ("stale", lambda w, i, g: _source(w, last_success_at=None)),
    "the policy wants the source fresher": ("stale", lambda w, i, g: w.policy(staleness={"seconds": 60})),
    "the grant is gone": ("no_grant", lambda w, i, g: Grant.objects.update(retired_at=NOW)),
    "the grant is another's": ("no_grant", lambda w, i, g: Grant.objects.update(identity=w.identity("other"))),
    "the version is no longer the current one": (
        "no_grant",
        lambda w, i, g: GrantVersion.objects.update(seen_until=NOW),
    ),
    "the grant is not valid yet": ("expired", lambda w, i, g: GrantVersion.objects.update(valid_from=NOW + HOUR)),
    "the grant is no longer valid": ("expired", lambda w, i, g: GrantVersion.objects.update(valid_until=NOW)),
    "another grant denies it": (
        "denied_by_grant",
        lambda w, i, g: w.grant(i, permission("read_*", effect="deny", on="*")),
    ),
    "a review took the grant away": ("withheld", lambda w, i, g: Grant.objects.update(withheld_why="withheld")),
    "a review narrowed the grant": (
        "narrowed",
        lambda w, i, g: Grant.objects.update(withheld_why="withheld", narrowed_to=permission("list_files")),
    ),
    "its approval ended": ("approval_lapsed", lambda w, i, g: Grant.objects.update(approved_until=NOW)),
    "a tool changed after its approval": (
        "tool_drifted",
        lambda w, i, g: Grant.objects.update(withheld_why="tool_drifted"),
    ),
    "the policy wants a review": ("not_approved", lambda w, i, g: _unreviewed(w)),
    "the review saw another content": ("approval_lapsed", lambda w, i, g: _reviewed_otherwise(w)),
    "the policy wants assurance and none was judged": (
        "missing_input",
        lambda w, i, g: w.policy(assurance={"least": 2}),
    ),
    "the identity proves itself too weakly": ("low_assurance", lambda w, i, g: _weak(w, i)),
    "the agent may not for whom it acts": ("delegator_lacks", lambda w, i, g: _acts_for(w, i)),
    "the policy wants to know whom it acts for": ("unknown_delegator", lambda w, i, g: _acts_for_a_stranger(w, i)),
    "the policy is unreadable": ("unavailable", lambda w, i, g: w.policy(staleness={"seconds": "often"})),
}


def _set(identity: Identity, **fields: Any) -> None:
    Identity.objects.filter(pk=identity.pk).update(**fields)


def _source(world: World, **fields: Any) -> None:
    Source.objects.filter(pk=world.source.pk).update(**fields)


def _unreviewed(world: World) -> None:
    Grant.objects.update(reviewed_at=None, reviewed_digest=None)
    world.policy(approval={"required_for": "all"})


def _reviewed_otherwise(world: World) -> None:
    Grant.objects.update(reviewed_digest=b"another")
    world.policy(approval={"required_for": "all"})


def _weak(world: World, identity: Identity) -> None:
    world.policy(assurance={"least": 2})
    assure(identity, 1)


def assure(identity: Identity, level: int) -> None:
    policy, _ = PosturePolicy.objects.get_or_create(number=1, defaults={"document": {}})
    IdentityPosture.objects.create(
        identity=identity, assurance_lower=level, assurance_upper=4, worst_case=0, box="unmeasured", policy=policy,
        catalogue_version="1", facts_digest=b"", assessed_at=NOW,
    )  # fmt: skip


def _acts_for(world: World, identity: Identity) -> None:
    world.grant(world.identity("person"), permission("list_files"))
    _set(identity, acts_for="person")


def _acts_for_a_stranger(world: World, identity: Identity) -> None:
    _set(identity, acts_for="somebody")
    world.policy(delegation={"unknown": "deny"})


@pytest.fixture
def held(world: World) -> tuple[Identity, Grant]:
    """An agent that may, by a grant that was reviewed as it is."""
    agent = world.identity("agent")
    grant = world.grant(agent)
    world.reviewed(grant)
    return agent, grant


@pytest.mark.parametrize("what", CHANGES)
def test_one_fact_alone_turns_a_permit_into_a_denial(what: str, held: Any, world: World, ask: Any) -> None:
    agent, grant = held
    before = ask(subject_type="ai_agent")
    assert (before.permit, before.reason) == (True, "granted")
    reason, change = CHANGES[what]
    change(world, agent, grant)
    after = ask(subject_type="ai_agent")
    assert (after.permit, after.reason) == (False, reason)


REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "another action": ("no_grant", {"action": "write_file"}),
    "another resource": ("no_grant", {"resource": "server:mail"}),
    "the resource's name under another type": ("no_grant", {"resource": "client:files"}),
    "another subject": ("unknown_identity", {"subject": "somebody"}),
    "an unknown domain": ("unknown_domain", {"domain": "elsewhere"}),
    "a name without end": ("malformed", {"action": "x" * 300}),
    "a credential that nobody knows": ("unknown_credential", {"context": {"credential": "k9"}}),
    "a credential that was disabled": ("credential_disabled", {"context": {"credential": "k2"}}),
    "a credential that has expired": ("credential_expired", {"subject_properties": {"credential": "k3"}}),
    "a system that is not trusted": ("untrusted", {"context": {"issuer": "https://elsewhere.example"}}),
    "a trusted system for another audience": (
        "untrusted",
        {"context": {"issuer": "https://idp.example", "audience": "other", "token_subject": "repo:a"}},
    ),
    "a trusted system and another subject": (
        "untrusted",
        {"context": {"issuer": "https://idp.example", "audience": "files", "token_subject": "user:a"}},
    ),
    "on behalf of nobody known": ("unknown_delegator", {"context": {"on_behalf_of": "nobody"}}),
    "on behalf of one who may not": ("delegator_lacks", {"context": {"on_behalf_of": {"id": "person"}}}),
    "through an agent that is not known": ("unknown_agent", {"context": {"agent": "ghost"}}),
    "through an agent that may not": ("agent_lacks", {"context": {"agent": "person"}}),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_one_word_of_the_request_alone_turns_a_permit_into_a_denial(
    what: str, held: Any, world: World, ask: Any
) -> None:
    agent, _ = held
    world.identity("person")
    world.credential(agent, "k1", expires_at=NOW + HOUR)
    world.credential(agent, "k2", status="disabled")
    world.credential(agent, "k3", expires_at=NOW)
    world.trust(agent, "https://idp.example", subject="repo:*", audience="files")
    trusted = {"issuer": "https://idp.example", "audience": "files", "token_subject": "repo:a", "credential": "k1"}
    assert ask(context=trusted).reason == "granted"
    reason, words = REQUESTS[what]
    assert ask(**words).reason == reason


CONDITIONS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "the time": (
        {"operator": "DateLessThan", "key": "aws:CurrentTime", "values": ["2026-11-23T13:00:00Z"]},
        {},
        {"now": NOW + HOUR},
    ),
    "the network": (
        {"operator": "IpAddress", "key": "context.ip", "values": ["192.0.2.0/24"]},
        {"context": {"ip": "192.0.2.7"}},
        {"context": {"ip": "198.51.100.7"}},
    ),
    "the risk of the request": (
        {"operator": "NumericLessThan", "key": "context.risk", "values": ["50"]},
        {"context": {"risk": 20}},
        {"context": {"risk": 80}},
    ),
    "the environment of the subject": (
        {"operator": "StringEquals", "key": "subject.environment", "values": ["production"]},
        {},
        {"environment": "staging"},
    ),
    "an attribute of the subject": (
        {"operator": "StringEquals", "key": "subject.team", "values": ["ledger"]},
        {},
        {"attributes": {"team": "mail"}},
    ),
    "an attribute of the action": (
        {"operator": "Bool", "key": "action.soft", "values": ["true"]},
        {"action_properties": {"soft": True}},
        {"action_properties": {"soft": False}},
    ),
}


@pytest.mark.parametrize("what", CONDITIONS)
def test_a_condition_alone_turns_a_permit_into_a_denial(what: str, world: World, ask: Any) -> None:
    condition, fulfilled, other = CONDITIONS[what]
    agent = world.identity("agent", environment="production", attributes={"team": "ledger"})
    world.grant(agent, permission("read_file", conditions=[condition]))
    assert ask(**fulfilled).reason == "granted"
    facts = {name: value for name, value in other.items() if name in ("environment", "attributes")}
    if facts:
        _set(agent, **facts)
    assert ask(**{**fulfilled, **{name: value for name, value in other.items() if name not in facts}}).reason == (
        "condition_not_met"
    )


@pytest.mark.parametrize("key", ["context.risk", "aws:SourceIp"])
def test_what_a_condition_asks_for_and_nobody_said_denies_and_is_named(key: str, world: World, ask: Any) -> None:
    condition = {"operator": "StringEquals", "key": key, "values": ["low"]}
    world.grant(world.identity("agent"), permission("read_file", conditions=[condition]))
    assert ask(context={key.removeprefix("context."): "low"}).permit
    missing = ask()
    assert (missing.reason, missing.not_assessed) == ("missing_input", (key.lower(),))


def test_a_negated_condition_does_not_hold_because_nothing_was_said(world: World, ask: Any) -> None:
    condition = {"operator": "NotIpAddress", "key": "aws:SourceIp", "values": ["192.0.2.0/24"]}
    world.grant(world.identity("agent"), permission("read_file", conditions=[condition]))
    assert ask(context={"ip": "198.51.100.1"}).reason == "granted"
    assert ask().reason == "missing_input"


def test_a_deny_that_cannot_be_judged_denies(world: World, ask: Any) -> None:
    agent = world.identity("agent")
    world.grant(agent)
    condition = {"operator": "StringEquals", "key": "aws:SourceVpc", "values": ["vpc-1"]}
    world.grant(agent, permission("read_file", effect="deny", conditions=[condition]))
    assert ask(context={"aws:SourceVpc": "vpc-2"}).reason == "granted"
    assert ask().reason == "missing_input"


CLAIMS = {
    "environment": {"subject_properties": {"environment": "production"}},
    "assurance": {"subject_properties": {"assurance": 4}},
    "status": {"subject_properties": {"status": "trusted"}},
    "kind": {"subject_properties": {"kind": "machine"}},
    "tags": {"subject_properties": {"tags": ["blessed"]}},
    "acts_for": {"subject_properties": {"acts_for": "root"}},
    "time": {"context": {"time": "2020-01-01T00:00:00Z", "aws:CurrentTime": "2020-01-01T00:00:00Z"}},
}
GUARDED = {
    "environment": ("StringEquals", "subject.environment", "production"),
    "assurance": ("NumericGreaterThanEquals", "subject.assurance", "3"),
    "status": ("StringEquals", "subject.status", "trusted"),
    "kind": ("StringEquals", "subject.kind", "machine"),
    "tags": ("StringEquals", "subject.tags", "blessed"),
    "acts_for": ("StringEquals", "subject.acts_for", "root"),
    "time": ("DateLessThan", "aws:CurrentTime", "2021-01-01T00:00:00Z"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_request_cannot_say_what_is_governed(name: str, world: World, ask: Any) -> None:
    operator, key, value = GUARDED[name]
    condition = {"operator": operator, "key": key, "values": [value]}
    world.grant(world.identity("agent", environment="staging"), permission("read_file", conditions=[condition]))
    assert not ask(**CLAIMS[name]).permit
    assert not ask(**{part: {key.upper(): value} for part in CLAIMS[name]}).permit


def test_a_kill_switch_cuts_what_is_granted(held: Any, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask().permit
    monkeypatch.setattr(
        guards,
        "LOADERS",
        (lambda: lambda principal, request: Reason.KILLED if request.action == "read_file" else None,),
    )
    assert ask().reason == "killed"


def test_an_agent_may_what_it_and_whoever_stands_behind_it_may(world: World, ask: Any) -> None:
    agent, service, person = (world.identity(name) for name in ("agent", "service", "person"))
    for each in (agent, service, person):
        world.grant(each)
    _set(agent, acts_for="service")
    _set(service, acts_for="person")
    assert ask().permit
    Grant.objects.filter(identity=person).update(retired_at=NOW)
    assert ask().reason == "delegator_lacks"


def test_those_who_act_for_each_other_come_to_an_end(world: World, ask: Any) -> None:
    agent, other = world.identity("agent", acts_for="other"), world.identity("other", acts_for="agent")
    world.grant(agent), world.grant(other)
    assert ask().permit


def test_an_agent_acts_for_nobody_but_the_one_that_is_governed(world: World, ask: Any) -> None:
    agent = world.identity("agent", acts_for="person")
    for each in (agent, world.identity("person"), world.identity("boss")):
        world.grant(each)
    assert ask(context={"on_behalf_of": "person"}).permit
    assert ask(context={"on_behalf_of": "boss"}).reason == "not_for_delegator"


def test_a_team_that_nobody_knows_as_an_identity_is_said_to_be_not_assessed(world: World, ask: Any) -> None:
    world.grant(world.identity("agent", acts_for="payments team"))
    answer = ask()
    assert (answer.permit, answer.not_assessed) == (True, ("delegator",))


def test_enough_assurance_permits_and_more_is_asked_for_what_is_privileged(world: World, ask: Any) -> None:
    agent = world.identity("agent")
    world.grant(agent, is_privileged=True)
    assure(agent, 2)
    world.policy(assurance={"least": 2, "least_privileged": 2})
    assert ask().permit
    world.policy(assurance={"least_privileged": 3})
    assert ask().reason == "low_assurance"


def test_approval_may_be_asked_for_privileged_grants_alone(world: World, ask: Any) -> None:
    agent = world.identity("agent")
    world.grant(agent)
    world.policy(approval={"required_for": "privileged"})
    assert ask().permit
    Grant.objects.update(is_privileged=True)
    assert ask().reason == "not_approved"


def test_one_grant_that_stands_is_enough_beside_others_that_do_not(world: World, ask: Any) -> None:
    agent = world.identity("agent")
    world.grant(agent, version={"valid_until": NOW})
    world.grant(agent, withheld_why="withheld")
    world.grant(agent)
    assert ask().permit


def test_what_a_narrowing_left_is_still_permitted(world: World, ask: Any) -> None:
    agent = world.identity("agent")
    world.grant(
        agent, permission("read_file", "write_file"), withheld_why="withheld", narrowed_to=permission("read_file")
    )
    assert ask().permit
    assert ask(action="write_file").reason == "narrowed"


def test_an_identity_can_be_asked_for_by_its_id_when_its_name_is_not_one(world: World, ask: Any) -> None:
    first = world.identity("agent")
    world.grant(first)
    world.identity("agent", source=world.make_source("other"))
    assert ask(str(first.pk)).permit


def test_an_explanation_names_grants_the_review_and_what_stands_in_the_way(world: World, ask: Any) -> None:
    agent = world.identity("agent")
    granted, expired = world.grant(agent), world.grant(agent, version={"valid_until": NOW})
    world.reviewed(granted)
    assert ask().grants == ()
    answer = ask(wants_explanation=True)
    assert [(each.grant_id, each.stands) for each in answer.grants] == [
        (granted.pk, "granted"),
        (expired.pk, "expired"),
    ]
    assert "read_file" in answer.grants[0].words
    assert answer.review and answer.review.grant_id == granted.pk and answer.review.saw_this_version
    assert answer.snapshot_at == NOW - timedelta(minutes=5) and answer.policy_number


def test_the_answers_of_a_batch_come_in_the_order_of_its_questions(held: Any) -> None:
    asked = [question(), question(action="write_file"), question("nobody"), question()]
    answers = decide_many(asked, now=NOW)
    assert [each.reason for each in answers] == ["granted", "no_grant", "unknown_identity", "granted"]
    assert len({each.evaluation_id for each in answers}) == 4


def test_every_reason_has_its_sentence() -> None:
    assert set(SENTENCES) == set(Reason)


def test_a_fresh_source_keeps_its_promise_at_the_real_clock(world: World, ask: Any) -> None:
    now = timezone.now()
    Source.objects.update(last_success_at=now)
    world.grant(world.identity("agent"))
    assert ask(now=now).permit
