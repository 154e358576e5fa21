"""Definitions of real brokers: what is in the file is in the records, and what a broker refuses is refused."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from governance.kernel.actors import system_actor
from governance.kernel.permissions import Permission
from identities.connectors.files import FileRefused, Holds, Notes
from identities.connectors.rabbitmq.files import Definitions
from identities.models import Grant, Identity, Source, SyncMode, SyncOrigin
from identities.sync.receive import receive
from tests.recognising import format_of

FOLDER = Path(__file__).parents[3] / "shared/data/rabbitmq_rabbitmq-server"
GOOD = sorted(FOLDER.glob("case*.json"))
BAD = sorted(FOLDER.glob("failing_*.json"))
beside = pytest.mark.skipif(not GOOD, reason="the exports of RabbitMQ definitions are not beside the checkout")


def records_of(body: bytes) -> tuple[list[dict[str, Any]], Notes]:
    notes = Notes()
    return list(Definitions().records(io.BytesIO(body), notes)), notes


def count_of(records: list[dict[str, Any]], kind: str) -> int:
    return sum(record["type"] == kind for record in records)


@pytest.mark.real
@beside
@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_everything_that_decides_about_access_is_in_the_records(path):
    data = json.loads(path.read_text())
    users, held = data.get("users", []), data.get("permissions", [])
    names = {user["name"] for user in users} | {each["user"] for each in held}
    tags = [
        tag
        for user in users
        for tag in (user["tags"].split(",") if isinstance(user["tags"], str) else user["tags"])
        if tag
    ]

    records, notes = records_of(path.read_bytes())

    assert count_of(records, "identity") == len(names)
    assert count_of(records, "credential") == sum(bool(user.get("password_hash")) for user in users)
    assert count_of(records, "grant") == len(held) + len(tags)
    assert notes.counts["password hashes dropped"] == count_of(records, "credential")
    untouched = sum(number for what, number in notes.counts.items() if what.endswith("not taken over"))
    kept = ("users", "permissions", "topic_permissions")
    assert untouched == sum(len(value) for name, value in data.items() if name not in kept and isinstance(value, list))
    assert records[-1] == {"type": "end", "records": len(records) - 1}
    for record in records:
        if record["type"] == "grant":
            Permission.from_json(record["permission"])


@pytest.mark.real
@beside
@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_no_hash_of_a_password_leaves_the_file(path):
    written = json.dumps(records_of(path.read_bytes())[0])

    for user in json.loads(path.read_text()).get("users", []):
        assert user["password_hash"] not in written


@pytest.mark.real
@beside
@pytest.mark.parametrize("path", [*GOOD, *BAD], ids=lambda path: path.stem)
def test_every_export_is_recognised_by_how_it_begins(path):
    found = format_of(path.read_bytes()[:65_536])

    assert isinstance(found, Definitions)
    assert (found.kind, found.holds) == ("rabbitmq", Holds.INVENTORY)


@pytest.mark.real
@beside
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("failing_case12", "/exchanges/0/type"),
        ("failing_case17", "/policies/0/name"),
        ("failing_case19", "/users/0/limits/max-connections"),
        ("failing_case20", "no JSON"),
        ("failing_case21", "no virtual host"),
    ],
)
def test_what_a_broker_refuses_is_refused_with_the_place(name, reason):
    with pytest.raises(FileRefused, match=reason):
        records_of((FOLDER / f"{name}.json").read_bytes())


def test_every_failing_export_has_its_reason_above():
    assert len(BAD) in (0, 5)


def definitions(**sections: Any) -> bytes:
    return json.dumps({"rabbit_version": "3.10.8", **sections}).encode()


def user(name: str = "app", **more: Any) -> dict[str, Any]:
    hashed = base64.b64encode(bytes(36)).decode()
    fields = {"name": name, "password_hash": hashed, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": []}
    return fields | more


HELD = {"user": "app", "vhost": "/", "configure": "", "write": "^news$", "read": ".*"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"[]", "something else"),
        (b'{"rabbit_version": "3.10.8"}', "none of their sections"),
        (definitions(users=[user()])[:-9], "no JSON"),
        (b"\xff\xfe{", "UTF-8"),
        (b'{"users":' + b"[" * 100_000, "no JSON"),
        (definitions(users={}), "/users must be a list"),
        (definitions(users=["app"]), "/users/0 must be an object"),
        (definitions(users=[{"tags": ""}]), "/users/0/name"),
        (definitions(users=[user(tags=[1])]), "/users/0/tags"),
        (definitions(users=[user(), user()]), "twice"),
        (definitions(users=[user()], permissions=[HELD, HELD]), "twice"),
        (definitions(permissions=[HELD | {"read": None}]), "/permissions/0/read"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_place(body, words):
    with pytest.raises(FileRefused, match=words):
        records_of(body)


def test_a_topic_permission_is_told_as_a_condition():
    topic = {"user": "app", "vhost": "/", "exchange": "news", "write": "^eu\\.", "read": ".*"}

    records, notes = records_of(definitions(users=[user()], permissions=[HELD], topic_permissions=[topic]))

    (grant,) = [record for record in records if record["type"] == "grant"]
    conditions = [each["conditions"] for each in grant["permission"]["statements"] if "conditions" in each]
    assert conditions == [[{"operator": "RoutingKeyMatches", "key": "rabbitmq:RoutingKey", "values": ["^eu\\."]}]]
    assert notes.counts["topic permissions, taken over as conditions"] == 1


def test_a_password_that_no_password_can_fit_is_no_usable_one():
    records, _ = records_of(definitions(users=[user(hashing_algorithm="rabbit_password_hashing_sha512")]))

    assert [record["status"] for record in records if record["type"] == "credential"] == ["disabled"]


def test_an_expression_beyond_what_can_be_kept_is_counted_and_told_as_everything():
    records, notes = records_of(definitions(users=[user()], permissions=[HELD | {"read": "a" * 5000}]))

    assert notes.counts["expressions too long to keep, told as everything"] == 1
    assert any("vhost:%2F/.*" in each["resources"] for each in records[-2]["permission"]["statements"])


@pytest.mark.real
@beside
def test_the_inventory_takes_every_record(committed_db):
    """What the format yields passes the same checks as what anybody pushes."""
    for path in GOOD:
        records, _ = records_of(path.read_bytes())
        source = Source.objects.create(slug=path.stem, name=path.stem, kind="push", max_retire_percent=100)

        run = receive(
            source=source,
            lines=[json.dumps(record).encode() for record in records],
            mode=SyncMode.SNAPSHOT,
            is_complete=True,
            origin=SyncOrigin.API,
            actor=system_actor("test"),
            now=timezone.now(),
        )

        # A snapshot that holds nothing at all is never believed: it would retire everything.
        expected = "applied" if count_of(records, "identity") else "rejected"
        assert run.state == expected, (path.stem, run.problem)
        assert Identity.objects.filter(source=source).count() == count_of(records, "identity"), path.stem
        assert Grant.objects.filter(source=source).count() == count_of(records, "grant"), path.stem
