"""Every use case about the gateway leaves exactly its own record, with the rights of production's programs."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Actor, system_actor
from identities.models import Identity
from identities.services import agent_tokens, cut_offs, gateway_servers
from tests.identities.gateway.conftest import make_admin

NOW = timezone.now()
URL = "https://git.example.org/mcp"
TOLD = [gateway_servers.Told("git_log", "a" * 64, {"description": "Ada's log"})]


@pytest.fixture
def cases(agents: dict[str, Identity], admin_actor: Actor, make_token: Any) -> dict[str, Callable[[], Any]]:
    """Verb by verb: something to do that leaves it alone in the trail."""
    at = {"actor": admin_actor, "now": NOW}
    seen = gateway_servers.register_server(name="seen", url=URL, **at)
    gateway_servers.note_tools(server=seen, told=TOLD, actor=system_actor("gateway"), now=NOW)
    unseen = gateway_servers.register_server(name="unseen", url=URL, **at)
    token, _ = make_token(["mcp:call"])
    other = cut_offs.cut_off(target=cut_offs.Target(identity=agents["clock"]), reason="Ada said so.", **at)
    second = make_admin()
    coder = cut_offs.Target(identity=agents["coder"])
    return {
        "gateway_server.registered": lambda: gateway_servers.register_server(name="new", url=URL, **at),
        "gateway_server.changed": lambda: gateway_servers.change_server(
            server=seen, version=1, changes={"is_enabled": False}, **at
        ),
        "gateway_tools.seen": lambda: gateway_servers.note_tools(
            server=unseen, told=TOLD, actor=system_actor("gateway"), now=NOW
        ),
        "gateway_tools.accepted": lambda: gateway_servers.accept_tools(server=seen, hashes={"git_log": "a" * 64}, **at),
        "agent.token_linked": lambda: agent_tokens.link_agent_token(identity=agents["coder"], token_id=token.pk, **at),
        "access.cut_off": lambda: cut_offs.cut_off(target=coder, reason="Ada said so.", **at),
        "access.given_back": lambda: cut_offs.restore_access(
            cut_off_id=other.pk, reason="Ada said so.", actor=second, now=NOW
        ),
    }


@pytest.mark.parametrize(
    "verb",
    [
        *("gateway_server.registered", "gateway_server.changed", "gateway_tools.seen", "gateway_tools.accepted"),
        *("agent.token_linked", "access.cut_off", "access.given_back"),
    ],
)
def test_a_use_case_leaves_exactly_its_record(
    cases: dict[str, Callable[[], Any]], as_writer: Callable[[], Any], verb: str
) -> None:
    before = set(AuditEvent.objects.values_list("pk", flat=True))
    with as_writer():
        cases[verb]()
    left = AuditEvent.objects.exclude(pk__in=before)
    assert [event.verb for event in left] == [verb]
    assert "Ada" not in left[0].payload
    assert "example.org" not in left[0].payload
