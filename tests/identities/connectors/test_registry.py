"""Kinds of sources and what each connector can do."""

import pytest

from identities.connectors.contract import Capability, NotPossible, capabilities_of
from identities.connectors.registry import UnknownKind, connector_for, kinds


def test_every_kind_makes_a_connector_that_knows_its_kind():
    settings = {
        "postgresql": {"host": "h", "user": "u", "databases": ["d"]},
        "aws": {},
        "kubernetes": {"server": "https://h:6443"},
        "rabbitmq": {"address": "https://b:15671", "user": "u", "password": "env:P"},
        "redis": {"host": "h", "user": "u", "password": "env:P"},
        "mcp": {"files": ["/srv/app/.mcp.json"]},
        "remit": {"address": "https://remit.example.org", "token": "env:REMIT_TOKEN"},
        "push": {},
    }

    assert {connector_for(kind, settings[kind], {}).describe().kind for kind in kinds()} == set(kinds())


def test_an_unknown_kind_is_named_with_the_known_ones():
    with pytest.raises(UnknownKind, match=r"oracle.*postgresql"):
        connector_for("oracle", {}, {})


def test_a_source_that_pushes_can_be_neither_read_nor_changed():
    push = connector_for("push", {}, {})

    assert capabilities_of(push) == {Capability.READ}
    with pytest.raises(NotPossible):
        push.read()
