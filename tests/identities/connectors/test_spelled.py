"""The change in the words of the system: what is printed means exactly what shall remain, in the system's own eyes."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from governance.kernel.dialects.aws import from_policy_document
from governance.kernel.dialects.kubernetes import from_rule
from governance.kernel.permissions import Permission, Proof, includes
from identities.connectors.contract import GrantRef
from identities.connectors.spelled import spell
from tests.plugins.brokers import free_port
from tests.plugins.governed import governed as ledger  # noqa: F401 - a fixture; the folder's own has another shape

ROLE = "arn:aws:iam::417390025518:role/ledger-etl"
MANAGED = "arn:aws:iam::417390025518:policy/everything"


def permission(dialect: str, *statements: dict[str, Any]) -> Permission:
    return Permission.from_json({"dialect": dialect, "statements": list(statements)})


def aws(actions: Any, resources: Any = ("*",), **more: Any) -> dict[str, Any]:
    as_is = {name: list(value) if isinstance(value, tuple) else value for name, value in
             {"actions": actions, "resources": resources}.items()}  # fmt: skip
    return as_is | more


def grant_of(held: Permission, identity: str = ROLE, **more: Any) -> GrantRef:
    facts = {"external_id": "grant-1", "path": (), "native_ref": {}} | more
    return GrantRef(identity=identity, permission=held, **facts)


ALL = permission("aws", aws(("*",)))
NARROW = permission(
    "aws",
    aws(("sqs:ReceiveMessage", "sqs:DeleteMessage"), ("arn:aws:sqs:eu-central-1:417390025518:ledger",)),
    aws({"include": ["*"], "exclude": ["iam:*"]}, effect="deny",
        conditions=[{"operator": "Bool", "key": "aws:SecureTransport", "values": ["false"]}]),
    aws(("s3:GetObject",), ("arn:aws:s3:::reports/*",), until="2027-01-31T00:00:00Z"),
)  # fmt: skip


def document_of(text: str) -> Any:
    return json.loads(text.partition("# narrowed.json\n")[2].partition("\n#")[0])


def test_the_printed_policy_means_what_shall_remain() -> None:
    text = spell(grant_of(ALL, native_ref={"policy": MANAGED}), NARROW)

    printed = Permission("aws", from_policy_document(document_of(text)))
    assert isinstance(includes(ALL, printed), Proof)
    assert printed.statements[:2] == NARROW.statements[:2]
    assert printed.statements[2].conditions[0].values == ("2027-01-31T00:00:00Z",)


def test_the_narrow_policy_is_attached_before_the_wide_one_goes() -> None:
    lines = spell(grant_of(ALL, native_ref={"policy": MANAGED}), NARROW).splitlines()

    assert lines[0].startswith("aws iam put-role-policy --role-name ledger-etl --policy-name remit-narrowed-")
    assert lines[1] == f"aws iam detach-role-policy --role-name ledger-etl --policy-arn {MANAGED}"


@pytest.mark.parametrize(
    ("grant", "line"),
    [
        ({"native_ref": {"kind": "inline", "policy": "old one"}}, "aws iam delete-role-policy --role-name ledger-etl --policy-name 'old one'"),
        ({"path": ({"kind": "policy", "id": MANAGED},)}, f"aws iam detach-role-policy --role-name ledger-etl --policy-arn {MANAGED}"),
        ({"native_ref": {"policy": MANAGED, "group": {"name": "ops"}}}, f"aws iam detach-group-policy --group-name ops --policy-arn {MANAGED}"),
        ({"identity": "user/x"}, "# Then take the policy away from which user/x has this access (grant-1)."),
        ({"identity": "somebody\nrm -rf /"}, "# Then take the policy away from which somebody rm -rf / has this access (grant-1)."),
    ],
)  # fmt: skip
def test_taking_everything_away_names_the_policy_as_far_as_it_is_known(grant: dict[str, Any], line: str) -> None:
    assert spell(grant_of(ALL, **grant), None) == line


def test_what_a_policy_cannot_say_is_said_to_the_reader() -> None:
    text = spell(grant_of(ALL), permission("aws", aws({"include": ["s3:*"], "exclude": ["s3:Delete*"]})))

    assert "A policy can't say “s3:* without s3:Delete*”" in text


_names = st.text(alphabet="abcdefgh", min_size=1, max_size=4)


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["get", "list", "watch", "delete", "*"]), min_size=1, max_size=2, unique=True),
            st.one_of(st.just("*"), _names), st.sampled_from(["", "apps", "*"]), _names,
            st.sampled_from(["", "log"]), st.one_of(st.just("*"), _names),
        ),
        min_size=1, max_size=4,
    )
)  # fmt: skip
def test_the_printed_rules_of_kubernetes_mean_what_shall_remain(rules: list[Any]) -> None:
    statements = [
        aws(tuple(verbs), (f"api:{namespace}/{group}/{kind}/{sub}/{name}",))
        for verbs, namespace, group, kind, sub, name in rules
    ]
    target = permission("kubernetes", *statements)
    held = permission("kubernetes", aws(("*",), ("*",)))

    text = spell(grant_of(held, "system:serviceaccount:prod:web"), target)

    manifests = list(yaml.safe_load_all(text.partition("# narrowed.yaml\n")[2]))
    printed = []
    for each in manifests:
        for rule in each.get("rules", ()):
            names = {"resource_names": rule["resourceNames"]} if "resourceNames" in rule else {}
            printed += from_rule(
                verbs=rule["verbs"], namespace=each["metadata"].get("namespace"), api_groups=rule["apiGroups"],
                resources=rule["resources"], **names,
            )  # fmt: skip
    found = Permission("kubernetes", tuple(printed))
    assert isinstance(includes(target, found), Proof) and isinstance(includes(found, target), Proof)
    assert all(each["subjects"] == [{"kind": "ServiceAccount", "namespace": "prod", "name": "web"}]
               for each in manifests if "subjects" in each)  # fmt: skip


def test_a_binding_that_others_share_is_edited_and_not_deleted() -> None:
    held = permission("kubernetes", aws(("*",), ("*",)))
    binding = {"binding": {"kind": "RoleBinding", "namespace": "prod", "name": "wide"}}

    text = spell(grant_of(held, "system:serviceaccount:prod:web", native_ref=binding), None)

    assert text == "kubectl edit rolebinding wide -n prod  # take out the subject ServiceAccount prod web; others stay"


def test_the_printed_sql_leaves_exactly_what_shall_remain(ledger: Any) -> None:  # noqa: F811
    ledger.give(f"GRANT SELECT, INSERT, DELETE ON payments TO {ledger.app}")
    table = f"table:{ledger.database}/public/payments"
    held = permission("postgresql", aws(("SELECT", "INSERT", "DELETE"), (table,)))
    target = permission(
        "postgresql", aws(("INSERT",), (table,)),
        aws(("SELECT",), (f"column:{ledger.database}/public/payments/id",)),
    )  # fmt: skip

    lines = spell(grant_of(held, ledger.app), target).splitlines()

    assert lines[0] == f'\\connect "{ledger.database}"' and (lines[1], lines[-1]) == ("BEGIN;", "COMMIT;")
    ledger.give(*lines[2:-1])
    assert ledger.can("SELECT id FROM payments") and ledger.can("INSERT INTO payments VALUES (9, 9)")
    assert not ledger.can("SELECT amount FROM payments") and not ledger.can("DELETE FROM payments WHERE id = 1")


def test_the_printed_sql_takes_everything_away(ledger: Any) -> None:  # noqa: F811
    ledger.give(f"GRANT SELECT ON payments TO {ledger.app} WITH GRANT OPTION")
    table = f"table:{ledger.database}/public/payments"
    held = permission("postgresql", aws(("GRANT:SELECT", "SELECT"), (table,)))

    ledger.give(*spell(grant_of(held, ledger.app), None).splitlines()[2:-1])

    assert not ledger.can("SELECT id FROM payments")


@pytest.mark.parametrize(
    ("resource", "action", "line"),
    [
        ("role:writers", "MEMBER", 'REVOKE "writers" FROM "etl ""x""";'),
        ("cluster:", "CREATEDB", 'ALTER ROLE "etl ""x""" NOCREATEDB;'),
        ("function:db/public/pay(integer, text)", "EXECUTE", 'REVOKE EXECUTE ON FUNCTION "public"."pay"(integer, text) FROM "etl ""x""";'),
        ("table:db/public/*", "SELECT", 'REVOKE SELECT ON ALL TABLES IN SCHEMA "public" FROM "etl ""x""";'),
        ("schema:db/public", "USAGE", 'REVOKE USAGE ON SCHEMA "public" FROM "etl ""x""";'),
        ("database:db", "CONNECT", 'REVOKE CONNECT ON DATABASE "db" FROM "etl ""x""";'),
    ],
)  # fmt: skip
def test_every_kind_of_object_has_its_words(resource: str, action: str, line: str) -> None:
    held = permission("postgresql", aws((action,), (resource,)))

    assert line in spell(grant_of(held, 'etl "x"'), None).splitlines()


def test_permissions_of_rabbitmq_are_set_to_what_remains_and_others_cleared() -> None:
    held = permission(
        "rabbitmq", aws(("configure", "write", "read"), ("vhost:%2F/.*", "vhost:old/.*")), aws(("tag:management",), ("broker:",))
    )  # fmt: skip
    target = permission("rabbitmq", aws(("read",), ("vhost:%2F/^orders$", "vhost:%2F/^returns$")))

    assert spell(grant_of(held, "queue worker"), target).splitlines() == [
        "rabbitmqctl set_permissions -p / 'queue worker' '' '' '^orders$|^returns$'",
        "rabbitmqctl clear_permissions -p old 'queue worker'",
        "rabbitmqctl set_user_tags 'queue worker'",
        "# This sets all tags at once: name those that the user keeps beside; what goes is management.",
        "rabbitmqctl close_all_user_connections 'queue worker' 'permissions were narrowed'",
    ]


def test_a_dialect_without_commands_says_nothing() -> None:
    held = permission("scopes", aws(("repo",), ("*",)))

    assert spell(grant_of(held), None) == ""


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Any]:
    """A real Redis without persistence; yields a function that runs one line in redis-cli."""
    server, client = shutil.which("redis-server"), shutil.which("redis-cli")
    if not server or not client:
        message = "no redis-server: apt-get install redis-server"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    port = free_port()
    process = subprocess.Popen(
        [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )

    def call(line: str) -> str:
        answer = subprocess.run([client, "-p", str(port)], input=line, capture_output=True, text=True, check=False)
        return answer.stdout.strip()

    for _ in range(100):
        if call("PING") == "PONG":
            break
        time.sleep(0.05)
    yield call
    process.terminate()
    process.wait(10)


def test_the_printed_rules_of_redis_leave_exactly_what_shall_remain(redis_server: Any) -> None:
    from identities.connectors.spelled.redis import spell as spell_redis

    target = Permission("redis", permission("tools", aws(("get", "set"), ("read:jobs:*", "write:jobs:*")),
                                            aws(("get",), ("read:notes",)),
                                            aws(("get",), ("read:my file",))).statements)  # fmt: skip
    redis_server("ACL SETUSER worker on nopass allkeys allcommands")

    lines = spell_redis(grant_of(ALL, "worker"), target).splitlines()

    assert redis_server(lines[1]) == "OK"
    assert 'leave this out: +get "%R~my file"' in lines[-1]
    for command, answer in {
        "GET jobs:1": "OK", "SET jobs:1 x": "OK", "GET notes": "OK",
        "SET notes x": "no permissions", "GET other": "no permissions", "DEL jobs:1": "no permissions",
    }.items():  # fmt: skip
        assert answer in redis_server(f"ACL DRYRUN worker {command}"), command
