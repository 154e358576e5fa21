"""Who could do it: the net and the index say what the kernel says of everything, one by one."""

import itertools
import random
from datetime import timedelta

import pytest

from governance.kernel.actors import Role, system_actor
from governance.kernel.permissions import Answer, Permission, matches
from governance.kernel.questions import Question, read_question
from identities.models import GrantVersion, Identity, KnownPermission
from identities.selectors import who_could as module
from identities.selectors.who_could import NOT_YET_MADE, judge, who_could

EVERYBODY = system_actor("test")
SELECT = read_question("SELECT", "table:l/public/t")
GET = read_question("s3:GetObject", "arn:aws:s3:::ledger/x")
READ = {"actions": ["SELECT"], "resources": ["table:l/public/t"]}
TICK = timedelta(microseconds=1)
ONLY_INSIDE = [{"operator": "IpAddress", "key": "aws:SourceIp", "values": ["10.0.0.0/8"]}]

WORDS = {
    "aws": (["s3:Get*", "S3:getobject", "s3:P?tObject", "*", "iam:PassRole"], ["*", "b/*", "b/k", "B/k", "b/${aws:username}"]),
    "postgresql": (["SELECT", "OWN", "*", "SUPERUSER", "GRANT:SELECT"], ["*", "table:l/p/t", "table:l/*/t", "column:l/p/t/c", "cluster:"]),
    "tools": (["git_*", "git_log", "Git_log"], ["server:a", "server:*", "*"]),
    "scopes": (["contents:read", "contents:write", "repo", "*"], ["repo:a", "repo:*", "*"]),
    "kubernetes": (["get", "*", "delete"], ["*", "api:*//pods//*", "api:p//pods/log/*", "url:/debug/*"]),
    "rabbitmq": (["read", "*", "tag:administrator"], ["*", "vhost:v/a", "vhost:v/^(a|b)x", "vhost:v/^(?!a)", "vhost:v/", "broker:"]),
}  # fmt: skip
ASKED = {
    "aws": itertools.product(["s3:GetObject", "S3:PUTOBJECT", "iam:PassRole"], ["b/k", "B/k", "c"]),
    "postgresql": itertools.product(["SELECT", "OWN", "SUPERUSER"], ["table:l/p/t", "column:l/p/t/c", "cluster:"]),
    "tools": itertools.product(["git_log", "x"], ["server:a", "server:b"]),
    "scopes": itertools.product(["contents:read", "repo"], ["repo:a", "repo:c"]),
    "kubernetes": itertools.product(["get", "list"], ["api:p//pods//c", "api:p//pods/log/c", "url:/debug/x"]),
    "rabbitmq": itertools.product(["read", "tag:administrator"], ["vhost:v/a", "vhost:v/bx", "vhost:w/a", "broker:"]),
}


def answers(question, at, **more):
    page = who_could(actor=EVERYBODY, judgement=judge(question, at), at=at, **more)
    return {row.identity.name: row.answer for row in page.rows}


def some_permissions(dialect, number, chance):
    actions, resources = WORDS[dialect]
    for _ in range(number):
        yield [
            {
                "actions": {"include": chance.sample(actions, 1), "exclude": chance.sample(actions, chance.randint(0, 1))},
                "resources": chance.sample(resources, chance.randint(1, 2)),
                "effect": chance.choice(["allow", "allow", "allow", "deny"]),
                **({"conditions": ONLY_INSIDE} if chance.random() < 0.2 else {}),
            }
            for _ in range(chance.randint(1, 2))
        ]  # fmt: skip


@pytest.mark.parametrize("is_walked", [False, True], ids=["from versions", "from names"])
def test_the_answer_is_that_of_asking_every_permission_of_everybody(
    source, read_at, day, identity, grant, monkeypatch, is_walked
):
    chance = random.Random(4)
    monkeypatch.setattr(module, "FEW", -1 if is_walked else 20_000)
    records, number = [], 0
    for dialect in WORDS:
        for statements in some_permissions(dialect, 60, chance):
            holder = f"id{chance.randrange(60):02}"
            records.append(grant(f"g{number}", holder, dialect, *statements))
            number += 1
    read_at(source, day(1), [*(identity(f"id{n:02}") for n in range(60)), *records])
    assert KnownPermission.objects.count() > 200
    held: dict[str, list[Permission]] = {}
    for record in records:
        held.setdefault(record["identity"], []).append(Permission.from_json(record["permission"]))

    for dialect, asked in ASKED.items():
        for action, resource in list(asked):
            expected = {}
            for name, permissions in held.items():
                whole = tuple(s for one in permissions if one.dialect == dialect for s in one.statements)
                answer = matches(Permission(dialect, whole), action, resource, at=day(2))
                if answer is not Answer.NO:
                    expected[name] = answer
            question = Question(dialect, action, resource)
            certain = {name: answer for name, answer in expected.items() if answer is Answer.YES}

            assert answers(question, day(2), limit=100) == expected, (dialect, action, resource)
            assert answers(question, day(2), limit=100, answer=Answer.YES) == certain
            open_ones = {name: answer for name, answer in expected.items() if answer is Answer.UNKNOWN}
            assert answers(question, day(2), limit=100, answer=Answer.UNKNOWN) == open_ones


def test_every_permission_of_every_version_is_known(source, read_at, day, identity, grant):
    read_at(source, day(1), [identity("a"), grant("g", "a", "postgresql", READ)])
    read_at(source, day(2), [identity("a"), grant("g", "a", "postgresql", READ | {"actions": ["DELETE"]})])
    read_at(source, day(3), [identity("a"), grant("g", "a", "postgresql", READ)])

    known = {bytes(each) for each in KnownPermission.objects.values_list("digest", flat=True)}

    assert known == {bytes(each) for each in GrantVersion.objects.values_list("digest", flat=True)}
    assert len(known) == 2


def test_only_the_moment_counts(source, read_at, day, identity, grant):
    read_at(source, day(2), [identity("a"), grant("g", "a", "postgresql", READ)])
    read_at(source, day(4), [identity("a")])

    assert [answers(SELECT, at) for at in (day(2) - TICK, day(2), day(4) - TICK, day(4))] == [
        {},
        {"a": Answer.YES},
        {"a": Answer.YES},
        {},
    ]


def test_a_deny_in_one_grant_takes_what_another_gives(source, read_at, day, identity, grant):
    allow = {"actions": ["s3:Get*"], "resources": ["*"]}
    deny = {"actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::ledger/*"], "effect": "deny"}
    read_at(
        source,
        day(1),
        [
            *(identity(name) for name in ("denied", "free", "sometimes")),
            *(grant(f"allow-{name}", name, "aws", allow) for name in ("denied", "free", "sometimes")),
            grant("deny", "denied", "aws", deny),
            grant("deny-outside", "sometimes", "aws", deny | {"conditions": ONLY_INSIDE}),
        ],
    )
    page = who_could(actor=EVERYBODY, judgement=judge(GET, day(2)), at=day(2))
    reasons = {row.identity.name: [(r.allowed_if, r.denied_if) for r in row.reasons] for row in page.rows}

    assert answers(GET, day(2)) == {"free": Answer.YES, "sometimes": Answer.UNKNOWN}
    assert answers(GET, day(2), answer=Answer.YES) == {"free": Answer.YES}
    assert answers(GET, day(2), answer=Answer.UNKNOWN) == {"sometimes": Answer.UNKNOWN}
    assert reasons["sometimes"] == [((), ()), ((), ("the request comes from 10.0.0.0/8",))]


def test_conditions_leave_the_answer_open_and_are_named(source, read_at, day, identity, grant):
    statement = {"actions": ["s3:GetObject"], "resources": ["*"], "conditions": ONLY_INSIDE}
    read_at(source, day(1), [identity("a"), grant("g", "a", "aws", statement, label="Inside")])

    (row,) = who_could(actor=EVERYBODY, judgement=judge(GET, day(2)), at=day(2)).rows

    assert row.answer is Answer.UNKNOWN
    assert [(each.label, each.allowed_if) for each in row.reasons] == [
        ("Inside", ("the request comes from 10.0.0.0/8",))
    ]


def test_rights_on_objects_yet_to_come_are_no_certain_yes(source, read_at, day, identity, grant):
    path = [{"kind": "default_privileges", "id": "x", "label": "x"}]
    read_at(source, day(1), [identity("a"), grant("g", "a", "postgresql", READ, path=path)])

    for wanted in (None, Answer.UNKNOWN):
        (row,) = who_could(actor=EVERYBODY, judgement=judge(SELECT, day(2)), at=day(2), answer=wanted).rows
        assert (row.answer, row.reasons[0].allowed_if) == (Answer.UNKNOWN, (NOT_YET_MADE,))
    assert answers(SELECT, day(2), answer=Answer.YES) == {}


def test_what_was_not_valid_then_does_not_count(source, read_at, day, identity, grant):
    until = grant("g", "a", "postgresql", READ, valid_until="2026-03-05T00:00:00Z")
    read_at(source, day(1), [identity("a"), until])

    assert answers(SELECT, day(4)) == {"a": Answer.YES}
    assert answers(SELECT, day(5)) == {}


@pytest.mark.parametrize("is_walked", [False, True], ids=["from versions", "from names"])
def test_the_holder_of_that_time_is_named_not_the_present_one(
    source, read_at, day, identity, grant, monkeypatch, is_walked
):
    monkeypatch.setattr(module, "FEW", -1 if is_walked else 20_000)
    both = [identity("alpha"), identity("beta")]
    read_at(source, day(1), [*both, grant("g", "alpha", "postgresql", READ)])
    read_at(source, day(3), [*both, grant("g", "beta", "postgresql", READ)])

    assert answers(SELECT, day(2)) == {"alpha": Answer.YES}
    assert answers(SELECT, day(3)) == {"beta": Answer.YES}


@pytest.mark.parametrize("batch", [1, 2, 5, 200])
def test_pages_join_without_gap_or_repetition(source, read_at, day, identity, grant, monkeypatch, batch):
    monkeypatch.setattr(module, "BATCH", batch)
    monkeypatch.setattr(module, "_ORDER", f" ORDER BY iv.name, iv.identity_id LIMIT {batch}")
    monkeypatch.setattr(module, "MOST_BATCHES", 2)
    deny = READ | {"effect": "deny"}
    records = []
    for number in range(12):
        records += [identity(f"id{number:02}"), grant(f"g{number}", f"id{number:02}", "postgresql", READ)]
        if number % 3:
            records.append(grant(f"d{number}", f"id{number:02}", "postgresql", deny))
    read_at(source, day(1), records)

    found, after, pages = [], None, 0
    while pages < 50:
        page = who_could(actor=EVERYBODY, judgement=judge(SELECT, day(2)), at=day(2), after=after, limit=3)
        found += [row.identity.name for row in page.rows]
        after, pages = page.last, pages + 1
        if after is None:
            break

    assert found == ["id00", "id03", "id06", "id09"]


def test_owners_learn_of_their_own_only(source, read_at, day, identity, grant, make_user, actor_of):
    read_at(source, day(1), [r for n in "ab" for r in (identity(n), grant(f"g{n}", n, "postgresql", READ))])
    owner = make_user(Role.OWNER)
    Identity.objects.filter(external_id="b").update(owner=owner)

    page = who_could(actor=actor_of(owner), judgement=judge(SELECT, day(2)), at=day(2))

    assert [row.identity.name for row in page.rows] == ["b"]


def test_the_number_of_queries_does_not_grow_with_the_answers(
    source, read_at, day, identity, grant, django_assert_max_num_queries
):
    read_at(
        source, day(1), [r for n in range(30) for r in (identity(f"i{n}"), grant(f"g{n}", f"i{n}", "postgresql", READ))]
    )

    with django_assert_max_num_queries(8):
        assert len(answers(SELECT, day(2))) == 30
