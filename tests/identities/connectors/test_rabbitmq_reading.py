"""What a broker holds, as records."""

import contextlib
import time
from typing import Any

import amqp
import pytest

from identities.connectors.contract import Capability, ReadIncomplete, capabilities_of
from identities.connectors.rabbitmq import RabbitMQ
from identities.connectors.settings import BadSettings
from tests.plugins.queues import PASSWORD


def test_a_user_is_an_identity_with_a_password_and_one_grant_per_virtual_host(queues):
    queues.put("users", queues.app, password=PASSWORD, tags="monitoring")
    queues.put("permissions", "/", queues.app, configure="", write="", read="^x")

    (identity,) = queues.records("identity")
    (credential,) = queues.records("credential")
    grants = {record["id"]: record for record in queues.records("grant")}

    assert (identity["kind"], identity["status"]) == ("queue_user", "active")
    assert (credential["kind"], credential["status"]) == ("password", "active")
    assert sorted(record["native_ref"]["kind"] for record in grants.values()) == ["permissions", "permissions", "tag"]
    own = grants[f"permissions:{queues.app}/{queues.vhost.replace('/', '%2F')}"]
    assert own["permission"]["statements"] == [
        {"actions": ["configure", "write", "read"], "resources": [queues.resource(".*")]}
    ]


def test_a_user_without_a_password_has_no_password_credential(queues):
    queues.put("users", queues.app, password_hash="", tags="")

    assert queues.records("credential") == []
    assert queues.records("identity")[0]["attributes"]["password_login"] == "none"


def test_no_record_holds_what_somebody_signs_in_with(queues):
    hashed = queues.get("users", queues.app)["password_hash"]

    assert hashed not in str(list(queues.connector().read()))


def test_the_last_record_counts_the_others(queues):
    records = list(queues.connector().read())

    assert records[-1] == {"type": "end", "records": len(records) - 1}


def test_what_open_channels_do_is_use_and_nothing_is_called_unobserved_use(queues):
    with queues.client() as channel:
        channel.basic_consume("orders", callback=lambda message: None, no_ack=True)
        deadline = time.monotonic() + 60
        found: dict[tuple[str, str], Any] = {}
        identity: dict[str, Any] = {}
        while (len(found) < 2 or not identity.get("last_used_at")) and time.monotonic() < deadline:
            channel.basic_publish(amqp.Message("x"), routing_key="orders")
            with contextlib.suppress(TimeoutError):
                channel.connection.drain_events(timeout=0.5)
            found = {(use["action"], use["resource"]): use for use in queues.records("usage")}
            identity = queues.records("identity")[0]

    assert ("read", queues.resource("orders")) in found
    assert ("write", queues.resource("amq.default")) in found
    assert identity["last_used_at"] is not None
    assert queues.records("usage_window") == []


def test_without_the_tag_nothing_is_read_and_the_check_names_what_is_missing(queues):
    queues.put("users", queues.remit, password="Xq-connector-secret-94", tags="monitoring")

    with pytest.raises(ReadIncomplete, match="set_user_tags"):
        list(queues.connector().read())
    assert [(check.title, check.state) for check in queues.connector().check()] == [
        ("Sign in", "ok"),
        ("Tag administrator", "failed"),
    ]


def test_a_connection_is_checked_without_changing_anything(queues):
    before = queues.get("definitions")

    assert [check.state for check in queues.connector().check()] == ["ok"] * 5
    assert queues.get("definitions")["permissions"] == before["permissions"]


def test_everything_can_be_done_here(queues):
    assert capabilities_of(queues.connector()) == frozenset(Capability)


@pytest.mark.parametrize("address", ["ftp://broker", "https://user:pw@broker", "broker"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(BadSettings):
        RabbitMQ({"address": address, "user": "u", "password": "env:X"}, {})
